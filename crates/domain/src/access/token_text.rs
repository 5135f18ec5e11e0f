//! The texts of tokens: their prefixes, random parts and hashes.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use rand::Rng;
use ring::digest;

/// The prefix of every API token, so that a leaked one can be recognised.
pub const PREFIX: &str = "clt_";
/// The prefix of every access token of a session.
pub const ACCESS_PREFIX: &str = "cla_";
/// The prefix of every refresh token of a session.
pub(super) const REFRESH_PREFIX: &str = "clr_";

/// The length of a random text.
pub(super) const RANDOM_LENGTH: usize = 43;

/// 256 random bits, as letters, digits, `-` and `_`.
pub(super) fn random_text() -> String {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The key of a token in the cache. Tokens are random, so that a fast hash without salt is enough.
pub(super) type Digest = [u8; 32];

pub(super) fn digest_of(token: &str) -> Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    bytes
}

/// The stored form of a token.
pub(super) fn token_hash(token: &str) -> String {
    digest_of(token).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The key of a token in the cache, from its stored form. None if the text has another form.
pub(super) fn digest_of_hash(hash: &str) -> Option<Digest> {
    let mut digest = Digest::default();
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hash.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::{RANDOM_LENGTH, digest_of, digest_of_hash, random_text, token_hash};

    #[test]
    fn key_in_the_cache_follows_from_the_stored_form() {
        assert_eq!(digest_of_hash(&token_hash("a")), Some(digest_of("a")));
        assert_eq!(digest_of_hash("ab"), None);
    }

    #[test]
    fn random_texts_have_one_length() {
        assert_eq!(random_text().len(), RANDOM_LENGTH);
    }
}
