//! The framing of a chunked body: `SIZE[;EXTENSION] CR LF DATA CR LF … 0 CR LF TRAILERS CR LF` (RFC 9112 §7.1).

use super::take;

/// A size of more digits does not fit into 64 bits, or starts with needless zeros.
const MOST_DIGITS: u8 = 16;

/// The position in a chunked body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chunked {
    at: At,
    /// The size of the current chunk, then what is left of it.
    size: u64,
    digits: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// The first byte of a line after the last chunk.
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    End,
}

impl Chunked {
    /// Reads on, at most to the end of the body, and returns the number of bytes read.
    ///
    /// # Errors
    /// A byte that is not allowed, with the number of those before it.
    pub fn read(&mut self, bytes: &[u8]) -> Result<usize, usize> {
        let mut at = 0;
        while at < bytes.len() && !self.is_complete() {
            at += match self.at {
                At::Data => {
                    let here = take(&bytes[at..], &mut self.size);
                    if self.size == 0 {
                        self.at = At::DataCr;
                    }
                    here
                }
                _ => {
                    self.at = self.step(bytes[at]).ok_or(at)?;
                    1
                }
            };
        }
        Ok(at)
    }

    pub fn is_complete(&self) -> bool {
        self.at == At::End
    }

    fn step(&mut self, byte: u8) -> Option<At> {
        match (self.at, byte) {
            (At::Size, _) if byte.is_ascii_hexdigit() && self.digits < MOST_DIGITS => {
                self.digits += 1;
                self.size = self.size * 16 + u64::from(char::from(byte).to_digit(16)?);
                Some(At::Size)
            }
            (At::Size, b';') if self.digits > 0 => Some(At::Extension),
            (At::Size, b'\r') if self.digits > 0 => Some(At::SizeLf),
            (At::Extension, b'\r') => Some(At::SizeLf),
            (At::Extension, b'\t') => Some(At::Extension),
            (At::Extension, _) if !byte.is_ascii_control() => Some(At::Extension),
            (At::SizeLf, b'\n') => {
                self.digits = 0;
                Some(if self.size == 0 { At::TrailerStart } else { At::Data })
            }
            (At::DataCr, b'\r') => Some(At::DataLf),
            (At::DataLf, b'\n') => Some(At::Size),
            (At::TrailerStart, b'\r') => Some(At::EndLf),
            (At::Trailer, b'\r') => Some(At::TrailerLf),
            (At::TrailerStart | At::Trailer, _) if byte != b'\n' => Some(At::Trailer),
            (At::TrailerLf, b'\n') => Some(At::TrailerStart),
            (At::EndLf, b'\n') => Some(At::End),
            _ => None,
        }
    }
}
