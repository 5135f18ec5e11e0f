//! The trusted certificates of TLS connections: those of the system, and those of a configured file.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::SettingsError;

/// Selects the cryptography of the process's clients. Must be called before the first client is created; later calls
/// have no effect.
pub(super) fn install_cryptography() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Reads a `ca_file`, which must contain only valid certificates. `key` is the setting that names it.
pub(super) fn pem(path: &Path, key: &str) -> Result<Vec<u8>, SettingsError> {
    let shown = path.display();
    let pem = std::fs::read(path).map_err(|error| SettingsError(format!("{key}: can't read {shown}: {error}")))?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|_| SettingsError(format!("{key}: {shown} is not PEM")))?;
    if certificates.is_empty() {
        return Err(SettingsError(format!("{key}: {shown} holds no certificate in PEM")));
    }
    for certificate in certificates {
        RootCertStore::empty()
            .add(certificate)
            .map_err(|_| SettingsError(format!("{key}: {shown} holds a certificate that can't be used")))?;
    }
    Ok(pem)
}
