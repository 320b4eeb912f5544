//! TLS of the daemon's ports, and of the connections between daemons.

use std::path::PathBuf;

use clap::Args;
use mosaico_admin::ClientFiles;
use mosaico_server::{Error, ServerFiles, ServerTls};

/// The certificate of a daemon. A command presents it to the daemon that it talks to, and trusts it.
#[derive(Debug, Args)]
#[command(next_help_heading = "TLS")]
pub(crate) struct CertificateArgs {
    /// Certificate of the daemon in PEM, followed by those of intermediate CAs; with it, all ports use TLS.
    #[arg(long, value_name = "FILE", env = "MOSAICOD_TLS_CERT_FILE")]
    tls_cert: Option<PathBuf>,
    /// Private key of --tls-cert in PEM. Changed files are reloaded.
    #[arg(long, value_name = "FILE", env = "MOSAICOD_TLS_PRIVATE_KEY_FILE")]
    tls_key: Option<PathBuf>,
    /// CA certificates in PEM that signed the certificates of the other daemons of a cluster.  [default:
    /// --tls-client-ca, or the CAs of the system]
    #[arg(long, value_name = "FILE", env = "MOSAICOD_TLS_CA_FILE")]
    tls_ca: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "TLS")]
pub(crate) struct TlsArgs {
    #[command(flatten)]
    certificate: CertificateArgs,
    /// CA certificates in PEM; clients of the gRPC port then need a certificate that one of them signed
    /// (mutual TLS).
    #[arg(long, value_name = "FILE", env = "MOSAICOD_TLS_CLIENT_CA_FILE")]
    tls_client_ca: Option<PathBuf>,
    /// Whether the ports use TLS; `true` without --tls-cert is an error.  [default: if --tls-cert is given]
    #[arg(long, value_name = "BOOL", env = "MOSAICOD_TLS_ENABLED", num_args = 0..=1, default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new())]
    tls: Option<bool>,
}

impl CertificateArgs {
    /// The files for a connection to a daemon with the same settings.
    pub(crate) fn client_files(&self) -> ClientFiles {
        ClientFiles {
            ca: self.tls_ca.clone(),
            identity: self.tls_cert.clone().zip(self.tls_key.clone()),
            pinned: self.tls_cert.clone(),
        }
    }

    fn pair(&self) -> Result<Option<(PathBuf, PathBuf)>, Error> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Ok(Some((certificate.clone(), key.clone()))),
            (None, None) => Ok(None),
            _ => Err(Error::Startup("--tls-cert and --tls-key belong together; set both or none".into())),
        }
    }
}

impl TlsArgs {
    /// TLS for the ports; `None`: they serve plain text.
    pub(crate) fn open(&self) -> Result<Option<ServerTls>, Error> {
        if self.tls == Some(false) {
            return Ok(None);
        }
        let Some((certificate, key)) = self.certificate.pair()? else {
            let needless = self.tls_client_ca.is_some().then_some("--tls-client-ca");
            return match needless.or((self.tls == Some(true)).then_some("--tls")) {
                None => Ok(None),
                Some(option) => Err(Error::Startup(format!(
                    "{option} needs --tls-cert and --tls-key; `mosaicod tls-init` creates some for development"
                ))),
            };
        };
        let files = ServerFiles {
            certificate,
            key,
            client_ca: self.tls_client_ca.clone(),
            peer_ca: self.certificate.tls_ca.clone(),
        };
        ServerTls::open(files).map(Some).map_err(|e| Error::Startup(e.to_string()))
    }
}
