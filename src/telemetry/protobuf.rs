//! Writes messages in the binary format of Protocol Buffers: the few kinds of fields that OTLP uses. Reads the number
//! of rejected records from a collector's answer.

/// A message, of which every field is written at most once, or once for each of its values.
#[derive(Debug, Default)]
pub(super) struct Message(Vec<u8>);

/// The kinds of fields.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const BYTES: u64 = 2;
const FIXED_32: u64 = 5;

impl Message {
    pub fn number(mut self, field: u64, number: u64) -> Self {
        self.key(field, VARINT);
        self.varint(number);
        self
    }

    pub fn fixed64(mut self, field: u64, number: u64) -> Self {
        self.key(field, FIXED_64);
        self.0.extend(number.to_le_bytes());
        self
    }

    pub fn fixed32(mut self, field: u64, number: u32) -> Self {
        self.key(field, FIXED_32);
        self.0.extend(number.to_le_bytes());
        self
    }

    /// Bytes, or a text in UTF-8.
    pub fn bytes(mut self, field: u64, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.key(field, BYTES);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn message(self, field: u64, message: &Self) -> Self {
        self.bytes(field, &message.0)
    }

    pub fn messages(self, field: u64, messages: impl IntoIterator<Item = Self>) -> Self {
        messages
            .into_iter()
            .fold(self, |all, message| all.message(field, &message))
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn key(&mut self, field: u64, kind: u64) {
        self.varint(field << 3 | kind);
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }
}

/// The number of rejected records in the answer to an export: an `ExportTraceServiceResponse` or an
/// `ExportLogsServiceResponse`, which have the same form. 0 for any other bytes.
pub(super) fn rejected_records(answer: &[u8]) -> u64 {
    const PARTIAL_SUCCESS: u64 = 1;
    const REJECTED: u64 = 1;
    let partial = last(answer, |field| match field {
        (PARTIAL_SUCCESS, Value::Bytes(bytes)) => Some(bytes),
        _ => None,
    });
    let rejected = partial.and_then(|partial| {
        last(partial, |field| match field {
            (REJECTED, Value::Number(number)) => Some(number),
            _ => None,
        })
    });
    // A negative number is a mistake of the collector.
    rejected
        .filter(|number| i64::try_from(*number).is_ok())
        .unwrap_or_default()
}

/// The value of a field. Those of fixed length aren't needed.
enum Value<'b> {
    Number(u64),
    Bytes(&'b [u8]),
    Fixed,
}

/// The last of the fields that `select` returns a value for. None if the message is malformed.
fn last<'b, T>(mut message: &'b [u8], select: impl Fn((u64, Value<'b>)) -> Option<T>) -> Option<T> {
    let mut found = None;
    while !message.is_empty() {
        let key = read_varint(&mut message)?;
        let value = match key & 7 {
            VARINT => Value::Number(read_varint(&mut message)?),
            BYTES => {
                let length = read_varint(&mut message)?;
                Value::Bytes(take(&mut message, length)?)
            }
            FIXED_64 => take(&mut message, 8).map(|_| Value::Fixed)?,
            FIXED_32 => take(&mut message, 4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        found = select((key >> 3, value)).or(found);
    }
    found
}

fn take<'b>(message: &mut &'b [u8], length: u64) -> Option<&'b [u8]> {
    let (taken, rest) = message.split_at_checked(usize::try_from(length).ok()?)?;
    *message = rest;
    Some(taken)
}

fn read_varint(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = take(message, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing {
    //! Properties of the parser of answers that hold for any input. The fuzz targets call these.

    /// Checks that any answer has a number of rejected records, and that one with the number after it has that one.
    ///
    /// # Panics
    /// When the property doesn't hold.
    pub fn collector_answer(input: &[u8]) {
        let rejected = super::rejected_records(input);
        assert!(i64::try_from(rejected).is_ok());
        let partial = super::Message::default().number(1, rejected);
        let answer = super::Message::default().message(1, &partial).into_bytes();
        assert_eq!(super::rejected_records(&answer), rejected);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Message, fuzzing::collector_answer, rejected_records};

    proptest! {
        #[test]
        fn any_answer_can_be_read(answer in any::<Vec<u8>>()) {
            collector_answer(&answer);
        }
    }

    #[test]
    fn rejected_records_are_read_from_an_answer() {
        let partial = |partial: Message| Message::default().message(1, &partial).into_bytes();
        for (answer, rejected) in [
            (Vec::new(), 0),
            (partial(Message::default()), 0),
            (partial(Message::default().bytes(2, "a warning")), 0),
            (partial(Message::default().number(1, 7)), 7),
            (partial(Message::default().bytes(2, "too old").number(1, 300)), 300),
            (partial(Message::default().fixed32(9, 5).fixed64(8, 6).number(1, 7)), 7),
            (partial(Message::default().number(1, 7).number(1, 8)), 8),
            (
                partial(Message::default().number(1, i64::MAX.cast_unsigned())),
                i64::MAX.cast_unsigned(),
            ),
            (partial(Message::default().number(1, (-1_i64).cast_unsigned())), 0),
            (Message::default().number(1, 7).into_bytes(), 0),
            (
                Message::default()
                    .message(2, &Message::default().number(1, 7))
                    .into_bytes(),
                0,
            ),
            // Cut off, or not Protocol Buffers.
            (vec![0x0a, 0x02, 0x08], 0),
            (vec![0x0a, 0x01, 0x08], 0),
            (
                vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
                0,
            ),
            (vec![0xff; 11], 0),
            (b"{\"partialSuccess\":{\"rejectedSpans\":7}}".to_vec(), 0),
        ] {
            assert_eq!(rejected_records(&answer), rejected, "{answer:02x?}");
        }
    }

    /// The examples of <https://protobuf.dev/programming-guides/encoding/>, and fixed numbers.
    #[test]
    fn fields_are_encoded_as_specified() {
        let simple = Message::default().number(1, 150);
        let nested = Message::default().message(3, &simple);
        for (message, bytes) in [
            (simple, &[0x08, 0x96, 0x01][..]),
            (nested, &[0x1a, 0x03, 0x08, 0x96, 0x01]),
            (
                Message::default().bytes(2, "testing"),
                &[0x12, 0x07, b't', b'e', b's', b't', b'i', b'n', b'g'],
            ),
            (Message::default().fixed64(7, 1), &[0x39, 1, 0, 0, 0, 0, 0, 0, 0]),
            (Message::default().fixed32(16, 1), &[0x85, 0x01, 1, 0, 0, 0]),
            (
                Message::default().number(3, (-1_i64).cast_unsigned()),
                &[0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            ),
        ] {
            assert_eq!(message.into_bytes(), bytes);
        }
    }
}
