//! Connections that send one prepared request repeatedly. Parses only enough HTTP to distinguish the answers: callers
//! share the machine with the server and must use little CPU.

use std::{
    cell::RefCell,
    collections::VecDeque,
    convert::Infallible,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{
    io::AsyncReadExt,
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::{JoinHandle, spawn_local},
};

/// The outcome of the requests.
#[derive(Default)]
pub struct Outcome {
    /// The response times of answers with data.
    pub answered: Vec<Duration>,
    /// The response times of answers with 503.
    pub refused: Vec<Duration>,
    /// The reason why the run is invalid.
    pub failure: Option<String>,
}

pub struct Caller {
    write: OwnedWriteHalf,
    request: Rc<[u8]>,
    /// The due times of requests that haven't been answered.
    open: Rc<RefCell<VecDeque<Instant>>>,
    listening: JoinHandle<()>,
}

impl Drop for Caller {
    /// Stops reading answers.
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Caller {
    /// Connects, and reads answers into `outcome` from now on.
    pub async fn connect(address: &str, document: &str, outcome: &Rc<RefCell<Outcome>>) -> Self {
        let stream = TcpStream::connect(address).await.expect("connected");
        stream.set_nodelay(true).expect("an option of every socket");
        let (read, write) = stream.into_split();
        let open: Rc<RefCell<VecDeque<Instant>>> = Rc::default();
        let (waiting, kept) = (open.clone(), outcome.clone());
        let listening = spawn_local(async move {
            let Err(failure) = listen(read, &waiting, &kept).await;
            kept.borrow_mut().failure = Some(failure);
        });
        let request = format!("GET /graphql?query={document} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        Self {
            write,
            request: request.into_bytes().into(),
            open,
            listening,
        }
    }

    pub fn waits(&self) -> usize {
        self.open.borrow().len()
    }

    /// Sends one request without waiting. Returns false when the system's send buffer is full.
    pub fn send(&self, due: Instant) -> bool {
        match self.write.try_write(&self.request) {
            Ok(written) => {
                assert_eq!(written, self.request.len(), "a request is sent whole or not at all");
                self.open.borrow_mut().push_back(due);
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => false,
            // The listening task reports the error.
            Err(_) => false,
        }
    }
}

/// Returns an error when one occurs.
async fn listen(
    mut read: OwnedReadHalf,
    open: &RefCell<VecDeque<Instant>>,
    outcome: &RefCell<Outcome>,
) -> Result<Infallible, String> {
    let mut bytes = Vec::with_capacity(32 * 1024);
    while read.read_buf(&mut bytes).await.is_ok_and(|length| length > 0) {
        let mut start = 0;
        while let Some((status, body, end)) = answer(&bytes[start..]) {
            let asked = open.borrow_mut().pop_front().ok_or("an answer without a request")?;
            let mut outcome = outcome.borrow_mut();
            match status {
                b"200" if body.starts_with(b"{\"data\"") => outcome.answered.push(asked.elapsed()),
                b"503" => outcome.refused.push(asked.elapsed()),
                _ => return Err(format!("neither data nor a refusal: {}", text(&bytes[start..]))),
            }
            start += end;
        }
        bytes.drain(..start);
    }
    Err("the server closed a connection".to_owned())
}

/// Status, body and length of the first answer, once it is complete.
fn answer(bytes: &[u8]) -> Option<(&[u8], &[u8], usize)> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let name = b"content-length: ";
    let at = bytes[..head].windows(name.len()).position(|window| window == name);
    let digits = &bytes[at.expect("a length") + name.len()..head];
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let length = digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
    let body = bytes.get(head + 4..head + 4 + length)?;
    Some((bytes.get(9..12)?, body, head + 4 + length))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(1000)]).into_owned()
}
