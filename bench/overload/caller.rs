//! Connections that send one prepared request again and again. Knows no more of HTTP than it takes to tell answers
//! apart: whatever the callers spend, the server on the same machine doesn't have.

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

/// What became of the requests.
#[derive(Default)]
pub struct Outcome {
    /// Answered with data, and after how long.
    pub answered: Vec<Duration>,
    /// Told 503, and after how long.
    pub refused: Vec<Duration>,
    /// Why the figures are worth nothing.
    pub failure: Option<String>,
}

pub struct Caller {
    write: OwnedWriteHalf,
    request: Rc<[u8]>,
    /// When the requests were due that haven't been answered.
    open: Rc<RefCell<VecDeque<Instant>>>,
    listening: JoinHandle<()>,
}

impl Drop for Caller {
    /// Nobody waits for the answers to come.
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

    /// Sends one request without waiting; false when the system holds as many bytes for the server as it can.
    pub fn send(&self, due: Instant) -> bool {
        match self.write.try_write(&self.request) {
            Ok(written) => {
                assert_eq!(written, self.request.len(), "a request is sent whole or not at all");
                self.open.borrow_mut().push_back(due);
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => false,
            // The one that listens says why.
            Err(_) => false,
        }
    }
}

/// Comes back when something is wrong, with what that is.
async fn listen(
    mut read: OwnedReadHalf,
    open: &RefCell<VecDeque<Instant>>,
    outcome: &RefCell<Outcome>,
) -> Result<Infallible, String> {
    let mut bytes = Vec::with_capacity(32 * 1024);
    while read.read_buf(&mut bytes).await.is_ok_and(|length| length > 0) {
        let mut start = 0;
        while let Some((status, body, end)) = answer(&bytes[start..]) {
            let asked = open.borrow_mut().pop_front().ok_or("an answer that nobody asked for")?;
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

/// Status, body and length of the first answer, once it is there to its end.
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
