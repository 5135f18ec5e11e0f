//! The fingerprint of a request: a hash that tells two requests under one key apart without storing their contents.

use std::fmt;

use ring::digest::{Context, Digest, SHA256};

/// The SHA-256 of an operation and its input.
#[derive(Clone, Copy, Debug)]
pub struct Fingerprint(Digest);

impl PartialEq for Fingerprint {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_ref() == other.0.as_ref()
    }
}

/// 64 hex digits.
impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .as_ref()
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl Fingerprint {
    /// Returns the fingerprint of these parts. Each is hashed with its length, so that no two lists of parts are the
    /// same.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        Self(context.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::Fingerprint;

    fn of(parts: &[&str]) -> String {
        Fingerprint::of(parts.iter().map(|part| part.as_bytes())).to_string()
    }

    #[test]
    fn parts_that_run_together_differ() {
        let (one, two, none) = (of(&["ab"]), of(&["a", "b"]), of(&["ab", ""]));
        assert!(one != two && one != none && two != none);
        assert_eq!((one.len(), &one), (64, &of(&["ab"])));
    }
}
