//! Certificates and keys in PEM files.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A file that cannot be used for TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong, and what to do.
    pub what: String,
}

impl FileError {
    pub(crate) fn new(path: &Path, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), what: what.into() }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot use {} for TLS: {}", self.path.display(), self.what)
    }
}

impl std::error::Error for FileError {}

fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(path).map_err(|e| FileError::new(path, e.to_string()))
}

/// The certificates of a file, at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|e| FileError::new(path, format!("it is not PEM: {e}")))?;
    if found.is_empty() {
        let what = "it contains no certificate; PEM begins with -----BEGIN CERTIFICATE-----";
        return Err(FileError::new(path, what));
    }
    Ok(found)
}

/// The private key of a file.
pub(crate) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, FileError> {
    let text = read(path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|e| {
        let is_encrypted = text.windows(9).any(|word| word == b"ENCRYPTED");
        FileError::new(
            path,
            match e {
                _ if is_encrypted => "the key is encrypted; decrypt it with `openssl pkey`".to_owned(),
                rustls::pki_types::pem::Error::NoItemsFound => {
                    "it contains no private key; PEM begins with -----BEGIN PRIVATE KEY-----".to_owned()
                }
                e => format!("it is not PEM: {e}"),
            },
        )
    })
}

/// The CA certificates of a file, as the ones to trust.
pub(crate) fn roots(path: &Path) -> Result<RootCertStore, FileError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|e| FileError::new(path, format!("a certificate in it is malformed: {e}")))?;
    }
    Ok(roots)
}
