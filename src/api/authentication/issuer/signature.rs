//! The signatures of tokens, checked by the cryptography that everything else here uses. Makes none.

use std::sync::Once;

use jsonwebtoken::signature::{Error, Verifier};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind,
    crypto::{CryptoProvider, JwtVerifier, KeyUtils},
    errors::{ErrorKind, Result, new_error},
};
use ring::{
    hmac,
    signature::{
        self as ring_signature, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
    },
};

static RING: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(new_error(ErrorKind::UnsupportedAlgorithm)),
    verifier_factory: verifier,
    // Keys are made from their parts by ourselves; this is for making parts from keys.
    key_utils: KeyUtils::new_unimplemented(),
};

/// From here on the library of tokens uses ring.
pub(super) fn use_ring() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = RING.install_default();
    });
}

struct RingVerifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    // The key decides which algorithms it is for: a public key never becomes a secret.
    if algorithm.family() != key.family() {
        return Err(new_error(ErrorKind::InvalidAlgorithm));
    }
    Ok(Box::new(RingVerifier {
        algorithm: *algorithm,
        key: key.clone(),
    }))
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        let verified = match self.algorithm.family() {
            AlgorithmFamily::Hmac => self.verify_secret(message, signature),
            AlgorithmFamily::Rsa => self.verify_rsa(message, signature),
            AlgorithmFamily::Ec | AlgorithmFamily::Ed => self.verify_curve(message, signature),
        };
        verified.ok_or_else(Error::new)
    }
}

impl RingVerifier {
    fn verify_secret(&self, message: &[u8], signature: &[u8]) -> Option<()> {
        let algorithm = match self.algorithm {
            Algorithm::HS256 => hmac::HMAC_SHA256,
            Algorithm::HS384 => hmac::HMAC_SHA384,
            Algorithm::HS512 => hmac::HMAC_SHA512,
            _ => return None,
        };
        let key = hmac::Key::new(algorithm, self.key.try_get_as_bytes().ok()?);
        hmac::verify(&key, message, signature).ok()
    }

    fn verify_rsa(&self, message: &[u8], signature: &[u8]) -> Option<()> {
        let parameters: &'static RsaParameters = match self.algorithm {
            Algorithm::RS256 => &ring_signature::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::RS384 => &ring_signature::RSA_PKCS1_2048_8192_SHA384,
            Algorithm::RS512 => &ring_signature::RSA_PKCS1_2048_8192_SHA512,
            Algorithm::PS256 => &ring_signature::RSA_PSS_2048_8192_SHA256,
            Algorithm::PS384 => &ring_signature::RSA_PSS_2048_8192_SHA384,
            Algorithm::PS512 => &ring_signature::RSA_PSS_2048_8192_SHA512,
            _ => return None,
        };
        match self.key.kind() {
            DecodingKeyKind::RsaModulusExponent { n, e } => RsaPublicKeyComponents { n, e }
                .verify(parameters, message, signature)
                .ok(),
            DecodingKeyKind::SecretOrDer(der) => {
                UnparsedPublicKey::new(parameters, der).verify(message, signature).ok()
            }
        }
    }

    fn verify_curve(&self, message: &[u8], signature: &[u8]) -> Option<()> {
        let algorithm: &'static dyn VerificationAlgorithm = match self.algorithm {
            Algorithm::ES256 => &ring_signature::ECDSA_P256_SHA256_FIXED,
            Algorithm::ES384 => &ring_signature::ECDSA_P384_SHA384_FIXED,
            Algorithm::EdDSA => &ring_signature::ED25519,
            _ => return None,
        };
        let key = UnparsedPublicKey::new(algorithm, self.key.try_get_as_bytes().ok()?);
        key.verify(message, signature).ok()
    }
}
