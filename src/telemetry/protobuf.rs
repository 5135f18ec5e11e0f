//! Writes messages in the binary format of Protocol Buffers: the few kinds of fields that OTLP uses.

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

#[cfg(test)]
mod tests {
    use super::Message;

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
