//! A certificate for localhost, from an authority that only its file makes trusted.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::NamedTempFile;

#[derive(Debug)]
pub struct Certificate {
    authority: NamedTempFile,
    pem: String,
    key_pem: String,
    config: Arc<ServerConfig>,
}

impl Certificate {
    /// Good for `localhost` by that name only.
    pub fn new() -> Self {
        Self::valid_between(DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH + TimeDelta::days(365_000))
    }

    /// The same, from the day of one time to that of another.
    pub fn valid_between(from: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        let midnight = |at: DateTime<Utc>| {
            let part = |part: u32| u8::try_from(part).expect("a part of a date");
            rcgen::date_time_ymd(at.year(), part(at.month()), part(at.day()))
        };
        let mut params = CertificateParams::new(Vec::new()).expect("no names are valid names");
        // Names are unique, so that one authority is not mistaken for another.
        let name = uuid::Uuid::now_v7().to_string();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed");
        let mut authority = NamedTempFile::new().expect("a temporary file");
        authority.write_all(issuer.pem().as_bytes()).expect("written");

        let key = KeyPair::generate().expect("a key");
        let names = ["localhost".to_owned()];
        let mut params = CertificateParams::new(names).expect("valid names");
        (params.not_before, params.not_after) = (midnight(from), midnight(until));
        let certificate = params.signed_by(&key, &issuer).expect("signed");
        let (pem, key_pem) = (certificate.pem(), key.serialize_pem());
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider's versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("the key is the certificate's");
        Self {
            authority,
            pem,
            key_pem,
            config: Arc::new(config),
        }
    }

    /// The authority's certificate in PEM, as a `ca_file` names it.
    pub fn authority(&self) -> &Path {
        self.authority.path()
    }

    /// The certificate in PEM, as a `certificate_file` holds it.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Its key in PEM, as a `key_file` holds it.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }
}
