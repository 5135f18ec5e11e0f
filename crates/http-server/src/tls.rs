//! The TLS certificate, which is reloaded when its files change.
//!
//! Both files are read every few seconds and compared, which needs no signal and also notices a symbolic link that now
//! points to other files. Files that are unusable or don't match change nothing.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A certificate or key that can't be used, as a sentence. Holds nothing of the key.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CertificateError(String);

/// The message of the cause names a file, which belongs on the terminal and not in the log.
const STAYS: &str = "the certificate stays as it is: what http.certificate_file and http.key_file hold can't be used \
                     together, or not be read";

/// The certificate in use.
#[derive(Clone, Debug)]
pub struct Certificates {
    files: Files,
    current: Arc<Current>,
    acceptor: Arc<ServerConfig>,
    /// The contents that the certificate in use was read from.
    loaded: Arc<Read>,
}

impl Certificates {
    /// Reads a certificate chain and its key, both in PEM.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let files = Files {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        };
        let provider = Arc::new(ring::default_provider());
        let read = files.read()?;
        let current = Arc::new(Current(RwLock::new(Arc::new(files.certified(&read, &provider)?))));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| CertificateError(format!("TLS can't be used: {error}")))?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            files,
            current,
            acceptor: Arc::new(config),
            loaded: Arc::new(read),
        })
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone().into()
    }

    /// Checks the files every `pause` until it is aborted. Changes since they were loaded count, however long ago that
    /// was.
    pub fn watch(&self, pause: Duration) -> JoinHandle<()> {
        let (files, current, loaded) = (self.files.clone(), self.current.clone(), self.loaded.clone());
        let provider = self.acceptor.crypto_provider().clone();
        tokio::spawn(async move {
            let mut seen = loaded;
            loop {
                let files = files.clone();
                let Ok(read) = tokio::task::spawn_blocking(move || files.read().map(|read| (read, files))).await else {
                    return;
                };
                match read {
                    Ok((read, files)) => {
                        if *seen != read {
                            replace(&current, files.certified(&read, &provider));
                        }
                        seen = Arc::new(read);
                    }
                    Err(_) => tracing::warn!("{STAYS}"),
                }
                tokio::time::sleep(pause).await;
            }
        })
    }
}

fn replace(current: &Current, certified: Result<CertifiedKey, CertificateError>) {
    match certified {
        Ok(certified) => {
            *current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certified);
            tracing::info!("new connections get the new certificate");
        }
        Err(_) => tracing::warn!("{STAYS}"),
    }
}

#[derive(Clone, Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// The contents of the two files.
#[derive(PartialEq)]
struct Read {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// Shows neither file, because one is a key.
impl fmt::Debug for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Read")
    }
}

impl Files {
    fn read(&self) -> Result<Read, CertificateError> {
        let read = |path: &Path| {
            let wrong = |error: io::Error| CertificateError(format!("can't read {}: {error}", path.display()));
            fs::read(path).map_err(wrong)
        };
        Ok(Read {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
        })
    }

    fn certified(&self, read: &Read, provider: &CryptoProvider) -> Result<CertifiedKey, CertificateError> {
        let wrong = |path: &Path, what| CertificateError(format!("{} holds no {what} in PEM", path.display()));
        let chain = CertificateDer::pem_slice_iter(&read.certificate)
            .collect::<Result<Vec<_>, _>>()
            .ok()
            .filter(|chain| !chain.is_empty())
            .ok_or_else(|| wrong(&self.certificate, "certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(&read.key).map_err(|_| wrong(&self.key, "private key"))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|_| {
            CertificateError(format!(
                "the key in {} can't be used with the certificate in {}",
                self.key.display(),
                self.certificate.display()
            ))
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
