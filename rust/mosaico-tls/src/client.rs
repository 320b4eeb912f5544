//! The client's end.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, TlsStream};

use crate::files::{FileError, certificates, private_key, roots};
use crate::provider::provider;
use crate::stream::{Refusal, Stream};

/// The files of a client.
#[derive(Debug, Clone, Default)]
pub struct ClientFiles {
    /// CA certificates to trust; `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// The client's own certificate and its key, for servers that require one.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The server's own certificate, for a client on its machine: trusted whatever the name of the host.
    pub pinned: Option<PathBuf>,
}

/// TLS for connections to servers: which CAs to trust, and the client's own certificate.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    refusal: Refusal,
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls")
    }
}

impl ClientTls {
    /// Reads the files.
    ///
    /// # Errors
    /// If one cannot be used, or the system has no CA certificates.
    pub fn open(files: &ClientFiles) -> Result<Self, FileError> {
        let unusable = |path: &Path, e: &dyn fmt::Display| FileError::new(path, e.to_string());
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|e| unusable("the TLS library".as_ref(), &e))?;
        let builder = match &files.pinned {
            None => builder.with_root_certificates(trusted(files)?),
            Some(path) => {
                let pinned = certificates(path)?.swap_remove(0);
                let mut roots = trusted(files).unwrap_or_else(|_| RootCertStore::empty());
                // A store without certificates is refused.
                roots.add(pinned.clone()).map_err(|e| unusable(path, &e))?;
                let others = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
                let others = others.build().map_err(|e| unusable(path, &e))?;
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Pinned { pinned, others }))
            }
        };
        let mut config = match &files.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => builder
                .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
                .map_err(|e| unusable_pair(certificate, key, &e))?,
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { config: Arc::new(config), refusal: Refusal::default() })
    }

    /// Secures a new connection to `host`, a name or an IP address, for gRPC. The caller limits the time.
    ///
    /// # Errors
    /// Those of the connection; [`crate::explain`] finds the reason in them.
    pub async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<Stream> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, format!("`{host}`: {e}")))?;
        let stream = TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await?;
        Ok(Stream::Client(Box::new(TlsStream::Client(stream)), self.refusal.clone()))
    }

    /// Why the server refused the last connection after its handshake: for calls that failed with it.
    pub fn refusal(&self) -> Option<String> {
        self.refusal.get()
    }
}

fn trusted(files: &ClientFiles) -> Result<RootCertStore, FileError> {
    files.ca.as_deref().map_or_else(system_roots, roots)
}

/// Trusts one certificate without further conditions, and others as usual.
#[derive(Debug)]
struct Pinned {
    pinned: CertificateDer<'static>,
    others: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *certificate == self.pinned {
            return Ok(ServerCertVerified::assertion());
        }
        self.others.verify_server_cert(certificate, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.others.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.others.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.others.supported_verify_schemes()
    }
}

/// A certificate and a key that cannot be used together.
pub(crate) fn unusable_pair(certificate: &Path, key: &Path, error: &Error) -> FileError {
    match error {
        Error::InconsistentKeys(_) => {
            FileError::new(key, format!("it is not the key of the certificate in {}", certificate.display()))
        }
        Error::InvalidCertificate(_) => FileError::new(certificate, error.to_string()),
        _ => FileError::new(key, error.to_string()),
    }
}

/// The CA certificates of the system, also the private ones of an organization; the variables SSL_CERT_FILE
/// and SSL_CERT_DIR name others.
fn system_roots() -> Result<RootCertStore, FileError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map_or_else(String::new, |error| format!(" ({error})"));
        let what = format!(
            "no CA certificates are there{why}; install them (package ca-certificates), or name a file"
        );
        return Err(FileError::new("the system's folder".as_ref(), what));
    }
    Ok(roots)
}
