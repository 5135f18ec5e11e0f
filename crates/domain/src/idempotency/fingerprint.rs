//! The fingerprint of a request: a hash by which two requests under one key are told apart without keeping their
//! contents.

use std::fmt;

use async_graphql::MaybeUndefined;
use ring::digest::{Context, Digest, SHA256};

/// The SHA-256 of an operation and of what it was asked for.
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

/// Takes in what is asked for, part by part. Each part goes in with its length, so that no two lists of parts look alike.
pub struct Fingerprinting(Context);

impl Fingerprinting {
    pub fn of(operation: &str) -> Self {
        let mut this = Self(Context::new(&SHA256));
        this.part(operation);
        this
    }

    pub fn part(&mut self, part: impl AsRef<[u8]>) -> &mut Self {
        let part = part.as_ref();
        self.0.update(&(part.len() as u64).to_be_bytes());
        self.0.update(part);
        self
    }

    /// A member that may be absent: then it leaves no trace, so that members of tomorrow change nothing today.
    pub fn member<T>(
        &mut self,
        name: &str,
        value: &MaybeUndefined<T>,
        take_in: impl FnOnce(&mut Self, &T),
    ) -> &mut Self {
        match value {
            MaybeUndefined::Undefined => {}
            MaybeUndefined::Null => {
                self.part(name).part("null");
            }
            MaybeUndefined::Value(value) => {
                self.part(name).part("value");
                take_in(self, value);
            }
        }
        self
    }

    pub fn text(&mut self, name: &str, value: &MaybeUndefined<String>) -> &mut Self {
        self.member(name, value, |of, text| {
            of.part(text);
        })
    }

    /// A list: how many members it has, then each of them.
    pub fn list<T>(
        &mut self,
        name: &str,
        value: &MaybeUndefined<Vec<T>>,
        take_in: impl Fn(&mut Self, &T),
    ) -> &mut Self {
        self.member(name, value, |of, list| {
            of.part((list.len() as u64).to_be_bytes());
            for member in list {
                take_in(of, member);
                of.part("end");
            }
        })
    }

    pub fn finish(self) -> Fingerprint {
        Fingerprint(self.0.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::Fingerprinting;

    fn of(parts: &[&str]) -> String {
        let mut fingerprint = Fingerprinting::of("test");
        for part in parts {
            fingerprint.part(part);
        }
        fingerprint.finish().to_string()
    }

    #[test]
    fn parts_that_run_together_differ() {
        let (one, two, none) = (of(&["ab"]), of(&["a", "b"]), of(&["ab", ""]));
        assert!(one != two && one != none && two != none);
        assert_eq!((one.len(), &one), (64, &of(&["ab"])));
    }
}
