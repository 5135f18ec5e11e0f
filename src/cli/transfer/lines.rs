//! Reads the lines of a file or of standard input, and parses them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, stdin};
use std::path::Path;
use std::thread;

use tokio::sync::mpsc;

use super::super::Failure;
use super::line::{Line, parse};
use super::refusal::Refusal;
use clientele_core::problem::ProblemCode;

/// Limits of the lines that are read and stored at once.
pub(super) const LINES: usize = 1_000;
const BYTES: usize = 8 << 20;
/// Limit of a line in bytes. The largest client takes about as much.
const LONGEST_LINE: u64 = 64 << 20;

/// The lines of the source, which a thread reads and parses while the lines before are stored: standard input may wait
/// for long.
pub(super) struct Lines {
    pub read: mpsc::Receiver<io::Result<Part>>,
    /// The bytes of a file.
    pub total: Option<u64>,
}

/// Some of the lines.
#[derive(Default)]
pub(super) struct Part {
    /// None if the line is empty.
    pub lines: Vec<Option<Result<Line, Refusal>>>,
    pub bytes: usize,
}

impl Lines {
    /// Opens a file; - is standard input.
    pub fn open(file: &Path) -> Result<Self, Failure> {
        let failure = |error: io::Error| Failure::new(format!("can't read {}: {error}", file.display()));
        let (reader, total): (Box<dyn BufRead + Send>, _) = if file == Path::new("-") {
            (Box::new(BufReader::new(stdin())), None)
        } else {
            let opened = File::open(file).map_err(failure)?;
            let of_file = opened.metadata().map_err(failure)?;
            if of_file.is_dir() {
                return Err(failure(io::ErrorKind::IsADirectory.into()));
            }
            (Box::new(BufReader::with_capacity(1 << 16, opened)), Some(of_file.len()))
        };
        let (parts, read) = mpsc::channel(2);
        thread::spawn(move || send(reader, &parts));
        Ok(Self { read, total })
    }
}

fn send(mut reader: Box<dyn BufRead + Send>, parts: &mpsc::Sender<io::Result<Part>>) {
    loop {
        let part = part(&mut reader);
        let goes_on = part.as_ref().is_ok_and(|part| !part.lines.is_empty());
        if parts.blocking_send(part).is_err() || !goes_on {
            return;
        }
    }
}

/// Reads the next lines; none at the end.
fn part(reader: &mut impl BufRead) -> io::Result<Part> {
    let mut part = Part::default();
    while part.lines.len() < LINES && part.bytes < BYTES {
        let mut line = Vec::new();
        let mut bytes = reader.by_ref().take(LONGEST_LINE + 1).read_until(b'\n', &mut line)?;
        if bytes == 0 {
            break;
        }
        let is_whole = line.pop_if(|last| *last == b'\n').is_some() || bytes as u64 <= LONGEST_LINE;
        if !is_whole {
            bytes += reader.skip_until(b'\n')?;
            line.clear();
        }
        part.bytes += bytes;
        let text = std::str::from_utf8(&line).ok().filter(|_| is_whole);
        part.lines.push(text.map_or_else(|| Some(Err(unreadable())), parsed));
    }
    Ok(part)
}

fn parsed(text: &str) -> Option<Result<Line, Refusal>> {
    // Some editors begin a file with a byte order mark.
    let text = text.trim_start_matches('\u{feff}');
    (!text.trim().is_empty()).then(|| parse(text))
}

fn unreadable() -> Refusal {
    let most = LONGEST_LINE >> 20;
    let message = format!("The line is not text in UTF-8, or has more than {most} MiB.");
    Refusal::new(ProblemCode::Malformed, "", message)
}
