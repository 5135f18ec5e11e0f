//! The TLS certificate, which is reloaded when its files change.
//!
//! Both files are read every few seconds and compared, which needs no signal and also notices a symbolic link that now
//! points to other files. Files that are unusable or don't match change nothing.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use rustls::{
    CertificateError as Invalid, Error, RootCertStore, ServerConfig,
    client::verify_server_cert_signed_by_trust_anchor,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::{ClientHello, ParsedCertificate, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A certificate or key that can't be used, as a sentence. Holds nothing of the key.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub struct CertificateError {
    sentence: String,
    /// The same with the settings in place of the files, whose names belong on the terminal and not in the log.
    cause: String,
}

impl CertificateError {
    fn warn(&self) {
        tracing::warn!(cause = self.cause.as_str(), "the certificate was not replaced");
    }
}

/// The time in which all certificates of a chain are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    pub from: SystemTime,
    pub until: SystemTime,
}

impl Validity {
    /// None if the chain has a certificate that the TLS library can't parse.
    fn of(chain: &[CertificateDer<'_>], provider: &CryptoProvider) -> Option<Self> {
        // The library reports the limits of a certificate only for times outside of them.
        let (past, future) = (Duration::ZERO, Duration::from_secs(u64::MAX / 2));
        let (mut from, mut until) = (past, future);
        for certificate in chain {
            let parsed = ParsedCertificate::try_from(certificate).ok()?;
            let verify = |at| {
                verify_server_cert_signed_by_trust_anchor(
                    &parsed,
                    &RootCertStore::empty(),
                    &[],
                    UnixTime::since_unix_epoch(at),
                    provider.signature_verification_algorithms.all,
                )
            };
            if let Err(Error::InvalidCertificate(Invalid::NotValidYetContext { not_before, .. })) = verify(past) {
                from = from.max(Duration::from_secs(not_before.as_secs()));
            }
            if let Err(Error::InvalidCertificate(Invalid::ExpiredContext { not_after, .. })) = verify(future) {
                until = until.min(Duration::from_secs(not_after.as_secs()));
            }
        }
        Some(Self {
            from: SystemTime::UNIX_EPOCH.checked_add(from)?,
            until: SystemTime::UNIX_EPOCH.checked_add(until)?,
        })
    }
}

/// The certificate in use.
#[derive(Clone)]
pub struct Certificates {
    files: Arc<Files>,
    current: Arc<Current>,
    config: Arc<ServerConfig>,
    /// The contents that the certificate in use was read from.
    loaded: Arc<Contents>,
}

impl Certificates {
    /// Reads a certificate chain and its key, both in PEM.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let files = Files {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        };
        let provider = Arc::new(ring::default_provider());
        let loaded = files.read()?;
        let certified = files.certified(&loaded, &provider)?;
        let current = Arc::new(Current(RwLock::new(Arc::new(certified))));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| files.error(|_, _| format!("TLS can't be used: {error}")))?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            files: Arc::new(files),
            current,
            config: Arc::new(config),
            loaded: Arc::new(loaded),
        })
    }

    /// None if a certificate of the chain can't be parsed.
    pub fn validity(&self) -> Option<Validity> {
        let current = self.current.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        Validity::of(&current.cert, self.config.crypto_provider())
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        self.config.clone().into()
    }

    /// Checks the files every `pause` until it is aborted. Changes since they were loaded count, however long ago that
    /// was.
    pub fn watch(&self, pause: Duration) -> JoinHandle<()> {
        let (this, mut seen) = (self.clone(), self.loaded.clone());
        tokio::spawn(async move {
            loop {
                let files = this.files.clone();
                match tokio::task::spawn_blocking(move || files.read()).await {
                    Ok(Ok(read)) if *seen != read => {
                        this.replace(&read);
                        seen = Arc::new(read);
                    }
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => error.warn(),
                    Err(_) => return,
                }
                tokio::time::sleep(pause).await;
            }
        })
    }

    fn replace(&self, read: &Contents) {
        match self.files.certified(read, self.config.crypto_provider()) {
            Ok(certified) => {
                *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certified);
                tracing::info!("new connections get the new certificate");
            }
            Err(error) => error.warn(),
        }
    }
}

/// Shows neither files nor contents, because one is a key.
impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificates")
    }
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// The contents of the two files.
#[derive(PartialEq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    /// `text` gets the names of the certificate and of the key.
    fn error(&self, text: impl Fn(&dyn fmt::Display, &dyn fmt::Display) -> String) -> CertificateError {
        CertificateError {
            sentence: text(&self.certificate.display(), &self.key.display()),
            cause: text(&"http.certificate_file", &"http.key_file"),
        }
    }

    fn read(&self) -> Result<Contents, CertificateError> {
        let certificate = fs::read(&self.certificate);
        let key = fs::read(&self.key);
        Ok(Contents {
            certificate: certificate
                .map_err(|error| self.error(|certificate, _| format!("can't read {certificate}: {error}")))?,
            key: key.map_err(|error| self.error(|_, key| format!("can't read {key}: {error}")))?,
        })
    }

    fn certified(&self, read: &Contents, provider: &CryptoProvider) -> Result<CertifiedKey, CertificateError> {
        let chain = CertificateDer::pem_slice_iter(&read.certificate)
            .collect::<Result<Vec<_>, _>>()
            .ok()
            .filter(|chain| !chain.is_empty())
            .ok_or_else(|| self.error(|certificate, _| format!("{certificate} holds no certificate in PEM")))?;
        let key = PrivateKeyDer::from_pem_slice(&read.key)
            .map_err(|_| self.error(|_, key| format!("{key} holds no private key in PEM")))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|_| {
            self.error(|certificate, key| {
                format!("the key in {key} can't be used with the certificate in {certificate}")
            })
        })
    }
}

/// Gives each handshake the current certificate.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}
