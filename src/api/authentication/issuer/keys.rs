//! The keys that verify the issuer's tokens: one from the configuration, or those that the issuer publishes.

use std::sync::Arc;

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use rustls::pki_types::{SubjectPublicKeyInfoDer, pem::PemObject};

use super::published::{FetchError, PublishedKeys};
use crate::api::authentication::JwtSettings;

/// A shorter secret can be guessed.
const SHORTEST_SECRET: usize = 32;
/// The maximum number of keys tried for a token without a key id: during a rotation an old and a new key exist, with
/// some margin.
const MOST_TRIED: usize = 4;

#[derive(Debug)]
pub(super) enum Keys {
    Static(Arc<DecodingKey>),
    Published(Arc<PublishedKeys>),
}

impl Keys {
    pub fn of(settings: &JwtSettings, algorithms: &[Algorithm]) -> Result<Self, String> {
        let section = "authentication.jwt";
        let symmetric = algorithms
            .iter()
            .filter(|algorithm| algorithm.family() == AlgorithmFamily::Hmac)
            .count();
        if algorithms.is_empty() || symmetric > 0 && symmetric < algorithms.len() {
            return Err(format!(
                "{section}.algorithms must be either those of secrets (HS…) or those of public keys"
            ));
        }
        match (settings.jwks_url.is_empty(), settings.key.is_empty()) {
            (false, true) if symmetric > 0 => {
                Err(format!("{section}.algorithms: published keys can't be secrets (HS…)"))
            }
            (false, true) => PublishedKeys::new(settings).map(Self::Published),
            (true, false) if symmetric > 0 && settings.key.reveal().len() < SHORTEST_SECRET => {
                Err(format!("{section}.key must have at least {SHORTEST_SECRET} bytes"))
            }
            (true, false) if symmetric > 0 => Ok(Self::Static(Arc::new(DecodingKey::from_secret(
                settings.key.reveal().as_bytes(),
            )))),
            (true, false) => public_key(settings.key.reveal())
                .map(|key| Self::Static(Arc::new(key)))
                .ok_or_else(|| format!("{section}.key must be a public key in PEM: RSA, P-256, P-384 or Ed25519")),
            _ => Err(format!("{section} needs either a jwks_url or a key")),
        }
    }

    /// A number that grows with every change of the keys. None while no keys can be trusted.
    pub fn generation(&self) -> Option<u64> {
        match self {
            Self::Static(_) => Some(0),
            Self::Published(published) => published.usable().map(|(_, generation)| generation),
        }
    }

    /// The number of keys that can verify signatures of these algorithms. Published keys are fetched, and not kept.
    pub async fn usable(&self, algorithms: &[Algorithm]) -> Result<usize, FetchError> {
        let Self::Published(published) = self else { return Ok(1) };
        let keys = published.fetch().await?;
        let is_usable =
            |key: &&Jwk| DecodingKey::from_jwk(key).is_ok() && algorithms.iter().any(|&algorithm| fits(key, algorithm));
        Ok(keys.iter().filter(is_usable).count())
    }

    /// The key of this id, or all fitting keys if the token has no key id, with their generation. Empty when none is
    /// known.
    pub fn find(&self, id: Option<&str>, algorithm: Algorithm) -> (Vec<Arc<DecodingKey>>, u64) {
        let published = match self {
            Self::Static(key) => return (vec![key.clone()], 0),
            Self::Published(published) => published,
        };
        let Some((known, generation)) = published.usable() else {
            return (Vec::new(), 0);
        };
        let named = |key: &&Jwk| id.is_none_or(|id| key.common.key_id.as_deref() == Some(id));
        let fitting = known.iter().filter(named).filter(|key| fits(key, algorithm));
        let keys = fitting.filter_map(|key| DecodingKey::from_jwk(key).ok().map(Arc::new));
        (keys.take(MOST_TRIED).collect(), generation)
    }
}

/// Returns true when the key is for signatures of this algorithm.
fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let is_for_signatures = matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let named = key.common.key_algorithm;
    let is_meant = named.is_none_or(|named| named.to_string() == format!("{algorithm:?}"));
    let can_verify = match (&key.algorithm, algorithm) {
        (AlgorithmParameters::RSA(_), _) => algorithm.family() == AlgorithmFamily::Rsa,
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES256) => key.curve == EllipticCurve::P256,
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES384) => key.curve == EllipticCurve::P384,
        (AlgorithmParameters::OctetKeyPair(key), Algorithm::EdDSA) => key.curve == EllipticCurve::Ed25519,
        // A published secret is no secret.
        _ => false,
    };
    is_for_signatures && is_meant && can_verify
}

/// Reads a public key in PEM: a sequence of an algorithm identifier and a bit string with the key. The token library
/// could, with another parser of ASN.1 and one of big numbers, which the server has no other use for.
fn public_key(pem: &str) -> Option<DecodingKey> {
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    const CURVE: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
    let info = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).ok()?;
    let (info, []) = element(0x30, &info)? else { return None };
    let (algorithm, rest) = element(0x30, info)?;
    let (name, _) = element(0x06, algorithm)?;
    let ([0, key @ ..], []) = element(0x03, rest)? else {
        return None;
    };
    match name {
        RSA => Some(DecodingKey::from_rsa_der(key)),
        CURVE => Some(DecodingKey::from_ec_der(key)),
        ED25519 => Some(DecodingKey::from_ed_der(key)),
        _ => None,
    }
}

/// The contents of the first element of DER, which must have this tag, and the remaining bytes.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 | 0x82 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            let length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length).filter(|_| found == tag)
}
