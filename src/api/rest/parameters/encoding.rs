//! Decodes parameters: `name=value` pairs separated by ampersands, `+` for a space, `%` for any byte.

use crate::api::rest::{
    body::not_utf8,
    errors::{Refusal, codes},
};

/// The maximum number of pairs in a query string or form, far above the number of a client's parameters.
const MOST: usize = 100;

/// # Errors
/// When there are too many pairs, or when the decoded bytes aren't UTF-8: replacing them would silently change a name.
pub fn decode(text: &str) -> Result<Vec<(String, String)>, Refusal> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    if pairs.clone().count() > MOST {
        let source = format!("There are more than {MOST} parameters.");
        return Err(Refusal::new(codes::PARAMETER_NOT_ALLOWED, source));
    }
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((unescape(name)?, unescape(value)?))
        })
        .collect()
}

fn unescape(text: &str) -> Result<String, Refusal> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        bytes.push(match (first, escaped(tail)) {
            (b'%', Some(byte)) => {
                rest = &tail[2..];
                byte
            }
            (b'+', _) => b' ',
            // A percent sign without two digits stands for itself.
            (byte, _) => *byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| not_utf8())
}

/// The byte of two hexadecimal digits.
fn escaped(text: &[u8]) -> Option<u8> {
    let [high, low, ..] = text else { return None };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn pairs_are_unescaped() {
        let pairs = decode("a=1+2&b=%C3%A9%26&&c&d=100%&=x&e=f=g").expect("UTF-8");
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            pairs,
            [
                ("a", "1 2"),
                ("b", "é&"),
                ("c", ""),
                ("d", "100%"),
                ("", "x"),
                ("e", "f=g")
            ]
        );
    }

    #[test]
    fn other_encodings_are_refused() {
        assert_eq!(decode("a=%E9").map_err(|refusal| refusal.code.number), Err(22));
    }

    #[test]
    fn pairs_are_counted_before_they_are_read() {
        assert_eq!(decode(&"a=1&&".repeat(100)).map(|pairs| pairs.len()), Ok(100));
        let refused = decode(&"%E9&".repeat(101)).map_err(|refusal| (refusal.code.number, refusal.source));
        assert_eq!(
            refused,
            Err((27, Some("There are more than 100 parameters.".to_owned())))
        );
    }
}
