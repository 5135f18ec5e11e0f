//! A server that is not PostgreSQL, or answers each connection with an error.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// PostgreSQL's answer before it requests a password.
const ENCRYPTED: &[u8] = b"S";
const SSL_REQUEST_BYTES: usize = 8;

pub struct Fake {
    pub port: u16,
    /// Reserves the port without answering.
    _listener: Option<TcpListener>,
}

impl Fake {
    /// Answers every connection with these bytes.
    pub fn start(answer: Vec<u8>) -> Self {
        Self::serve(move |mut stream| {
            read_startup(&mut stream);
            let _ = stream.write_all(&answer);
        })
    }

    /// The same over TLS.
    pub fn with_tls(config: Arc<ServerConfig>, answer: Vec<u8>) -> Self {
        Self::serve(move |mut stream| {
            let mut request = [0; SSL_REQUEST_BYTES];
            let _ = stream
                .read_exact(&mut request)
                .and_then(|()| stream.write_all(ENCRYPTED));
            let connection = ServerConnection::new(config.clone()).expect("a valid configuration");
            let mut stream = StreamOwned::new(connection, stream);
            read_startup(&mut stream);
            let _ = stream.write_all(&answer).and_then(|()| stream.flush());
        })
    }

    /// Accepts connections and sends nothing.
    pub fn silent() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        Self {
            port: listener.local_addr().expect("an address").port(),
            _listener: Some(listener),
        }
    }

    /// The thread ends with the process.
    fn serve(answer: impl Fn(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || listener.incoming().flatten().for_each(answer));
        Self { port, _listener: None }
    }
}

/// The length comes first, and counts itself.
fn read_startup(stream: &mut impl Read) {
    let mut length = [0; 4];
    if stream.read_exact(&mut length).is_ok() {
        let mut startup = vec![0; (u32::from_be_bytes(length) as usize).saturating_sub(4)];
        let _ = stream.read_exact(&mut startup);
    }
}

/// An error of PostgreSQL.
pub fn error(code: &str, message: &str) -> Vec<u8> {
    let fields = format!("SFATAL\0VFATAL\0C{code}\0M{message}\0\0");
    let length = u32::try_from(fields.len() + 4).expect("short");
    [b"E".as_slice(), &length.to_be_bytes(), fields.as_bytes()].concat()
}
