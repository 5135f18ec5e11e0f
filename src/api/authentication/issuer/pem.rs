//! Parses public keys in PEM. Knows no issuer.

use jsonwebtoken::DecodingKey;
use rustls::pki_types::{SubjectPublicKeyInfoDer, pem::PemObject};

/// Reads a public key in PEM: a sequence of an algorithm identifier and a bit string with the key.
pub(super) fn public_key(pem: &str) -> Option<DecodingKey> {
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    const CURVE: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
    let info = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).ok()?;
    let (0x30, info, []) = element(&info)? else { return None };
    let (0x30, algorithm, rest) = element(info)? else {
        return None;
    };
    let (0x06, name, _) = element(algorithm)? else {
        return None;
    };
    let (0x03, [0, key @ ..], []) = element(rest)? else {
        return None;
    };
    match name {
        RSA => Some(DecodingKey::from_rsa_der(key)),
        CURVE => Some(DecodingKey::from_ec_der(key)),
        ED25519 => Some(DecodingKey::from_ed_der(key)),
        _ => None,
    }
}

/// The first element of DER: its tag, its contents, and the remaining bytes.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 | 0x82 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            (
                bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
                rest,
            )
        }
        _ => return None,
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((tag, contents, rest))
}
