//! Requests that say twice how long they are: by Content-Length and by chunks. Whoever goes by the other one, a proxy before
//! this server perhaps, sees another request than we do (RFC 9112 §6.1). The parser drops the length without a word, so the
//! heads are kept here as they came, until they are requests.

use axum::http::{HeaderMap, Method, header};

/// Beyond this no head goes on. What else is read while no request is under way is of no use.
const MOST: usize = 64 * 1024;

/// What has been read and isn't yet a request.
#[derive(Debug, Default)]
pub struct Heads(Vec<u8>);

impl Heads {
    pub fn read(&mut self, bytes: &[u8]) {
        if self.0.len() + bytes.len() <= MOST {
            self.0.extend_from_slice(bytes);
        }
    }

    /// The parser has made a request of the first head: whether that had both lengths.
    pub fn parsed(&mut self, method: &Method, headers: &HeaderMap) -> bool {
        let bytes = std::mem::take(&mut self.0);
        let head = bytes.trim_ascii_start();
        let chunked = headers.contains_key(header::TRANSFER_ENCODING);
        // What was left of an earlier body is no head.
        if !head.starts_with(method.as_str().as_bytes()) {
            return false;
        }
        let mut end = 0;
        let mut length = false;
        for line in head.split_inclusive(|&byte| byte == b'\n') {
            end += line.len();
            if line.trim_ascii().is_empty() {
                break;
            }
            let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
            length |= name.eq_ignore_ascii_case(header::CONTENT_LENGTH.as_str().as_bytes());
        }
        if !chunked {
            // The next request may be there already.
            let body = headers
                .get(header::CONTENT_LENGTH)
                .and_then(|value| value.to_str().ok());
            let body = body.and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
            let rest = end.checked_add(body).and_then(|start| head.get(start..));
            self.0 = rest.unwrap_or_default().to_vec();
        }
        chunked && length
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};

    use super::Heads;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn both_lengths_are_seen_in_whatever_request_has_them() {
        let chunked = headers(&[("transfer-encoding", "chunked")]);
        let two = headers(&[("content-length", "2")]);
        let both = "POST / HTTP/1.1\r\nContent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n";
        let turned = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length:4\r\n\r\n";
        let bare = "POST / HTTP/1.1\ntransfer-encoding: chunked\ncontent-length: 4\n\n";
        let chunks = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
        let length = "POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\nab";
        for (bytes, requests) in [
            (both.to_owned(), vec![(&chunked, true)]),
            (turned.to_owned(), vec![(&chunked, true)]),
            (bare.to_owned(), vec![(&chunked, true)]),
            (format!("{chunks}content-length: 4\r\n"), vec![(&chunked, false)]),
            (length.to_owned(), vec![(&two, false)]),
            (format!("{length}{chunks}"), vec![(&two, false), (&chunked, false)]),
            (format!("{length}\r\n{both}"), vec![(&two, false), (&chunked, true)]),
        ] {
            let mut heads = Heads::default();
            // However the bytes are cut.
            for byte in bytes.as_bytes() {
                heads.read(&[*byte]);
            }
            for (headers, expected) in requests {
                assert_eq!(heads.parsed(&Method::POST, headers), expected, "{bytes}");
            }
        }
    }
}
