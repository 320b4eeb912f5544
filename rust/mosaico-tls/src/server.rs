//! The server's end: certificates that are reloaded when their files change.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::{Mutex, RwLock};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::{TlsAcceptor, TlsStream};

use crate::client::{ClientFiles, ClientTls, unusable_pair};
use crate::explain::{date, explain_refusal};
use crate::files::{FileError, certificates, private_key, roots};
use crate::identity::{PeerIdentity, expires};
use crate::provider::provider;
use crate::stream::Stream;

/// How often the files are checked for changes.
const POLL: Duration = Duration::from_millis(500);

/// A certificate that expires sooner causes a warning, repeated with this pause.
const EXPIRES_SOON: Duration = Duration::from_secs(14 * 24 * 3600);
const EXPIRY_POLL: Duration = Duration::from_secs(24 * 3600);

/// How long, and for how many bytes, a refused client may continue to send.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 64 << 10;

/// The files of a server.
#[derive(Debug, Clone)]
pub struct ServerFiles {
    /// The certificate, followed by those of intermediate CAs.
    pub certificate: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// CA certificates; clients need a certificate that one of these signed.
    pub client_ca: Option<PathBuf>,
    /// CA certificates that signed the certificates of other daemons; `None`: `client_ca`, else those of the
    /// system.
    pub peer_ca: Option<PathBuf>,
}

/// What a port serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// gRPC; with a client CA, clients need a certificate.
    Grpc,
    /// HTTP; a client's certificate is optional, since monitors have none.
    Http,
}

/// TLS for the ports of a server.
#[derive(Debug)]
pub struct ServerTls {
    files: ServerFiles,
    loaded: RwLock<Loaded>,
    /// The state of the files that `loaded` is from, or that was refused.
    stamps: Mutex<Stamps>,
}

#[derive(Debug, Clone)]
struct Loaded {
    grpc: Arc<ServerConfig>,
    http: Arc<ServerConfig>,
    /// Only a cluster needs it, so a system without CA certificates is an error only there.
    peers: Result<ClientTls, FileError>,
    expires: Option<i64>,
}

/// Changes whenever a file is written or replaced.
type Stamp = (SystemTime, u64, u64);
type Stamps = Vec<Option<Stamp>>;

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// If one cannot be used.
    pub fn open(files: ServerFiles) -> Result<Self, FileError> {
        let stamps = stamps(&files);
        let loaded = load(&files)?;
        warn_of_expiry(&files, &loaded);
        Ok(Self { files, loaded: RwLock::new(loaded), stamps: Mutex::new(stamps) })
    }

    /// TLS for connections to other daemons, with the server's certificate as the client's one.
    ///
    /// # Errors
    /// If no CA is named and the system has none.
    pub fn peers(&self) -> Result<ClientTls, FileError> {
        self.loaded.read().peers.clone()
    }

    /// Performs the handshake of a new connection. The caller limits the time.
    ///
    /// # Errors
    /// The reason why the handshake failed, for the log.
    pub async fn accept(
        &self,
        stream: TcpStream,
        listener: Listener,
    ) -> Result<(Stream, Option<PeerIdentity>), String> {
        let config = {
            let loaded = self.loaded.read();
            Arc::clone(if listener == Listener::Grpc { &loaded.grpc } else { &loaded.http })
        };
        let stream = match TlsAcceptor::from(config).accept(stream).into_fallible().await {
            Ok(stream) => stream,
            Err((error, stream)) => {
                linger(stream).await;
                return Err(explain_refusal(&error));
            }
        };
        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let identity = certificate.and_then(PeerIdentity::of);
        Ok((Stream::Tls(Box::new(TlsStream::Server(stream))), identity))
    }

    /// Reloads the files when they change, until it is dropped. New files that cannot be used cause one
    /// warning, and the old certificate stays.
    pub async fn watch(self: Arc<Self>) {
        let mut refused = None;
        let mut expiry_checked = Instant::now();
        loop {
            sleep(POLL).await;
            let this = Arc::clone(&self);
            let before = refused.take();
            match tokio::task::spawn_blocking(move || this.poll(before.as_ref())).await {
                Ok(Poll::Reloaded) => {
                    let certificate = self.files.certificate.display();
                    tracing::info!(%certificate, "the TLS certificate is reloaded");
                    warn_of_expiry(&self.files, &self.loaded.read());
                }
                Ok(Poll::Refused(stamps)) => refused = Some(stamps),
                Ok(Poll::Kept(error)) => {
                    tracing::warn!("{error}; the certificate that was loaded before stays in use");
                }
                Ok(Poll::Unchanged) | Err(_) => {}
            }
            if expiry_checked.elapsed() >= EXPIRY_POLL {
                expiry_checked = Instant::now();
                warn_of_expiry(&self.files, &self.loaded.read());
            }
        }
    }

    /// Looks at the files once. `refused`: their state at the last look, if they could not be used then.
    fn poll(&self, refused: Option<&Stamps>) -> Poll {
        let now = stamps(&self.files);
        if *self.stamps.lock() == now {
            return Poll::Unchanged;
        }
        match load(&self.files) {
            Ok(loaded) => {
                *self.loaded.write() = loaded;
                *self.stamps.lock() = now;
                Poll::Reloaded
            }
            Err(error) if refused == Some(&now) => {
                *self.stamps.lock() = now;
                Poll::Kept(error)
            }
            Err(_) => Poll::Refused(now),
        }
    }
}

/// The result of a look at the files.
enum Poll {
    Unchanged,
    Reloaded,
    /// They cannot be used, but may be half written: the next look decides.
    Refused(Stamps),
    /// They cannot be used, and no longer change.
    Kept(FileError),
}

/// Reads what a refused client has sent already. If the connection closed before that, the client would get a
/// reset connection instead of the alert with the reason.
async fn linger(mut stream: TcpStream) {
    let drain = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut (&mut stream).take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    drop(timeout(LINGER, drain).await);
}

fn load(files: &ServerFiles) -> Result<Loaded, FileError> {
    let chain = certificates(&files.certificate)?;
    let config = |client_auth: Option<bool>, protocol: &[u8]| {
        let key = private_key(&files.key)?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|e| FileError::new(&files.certificate, e.to_string()))?;
        let builder = match (&files.client_ca, client_auth) {
            (Some(ca), Some(required)) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca)?), provider());
                let verifier = if required { verifier } else { verifier.allow_unauthenticated() };
                let verifier = verifier.build().map_err(|e| FileError::new(ca, e.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder
            .with_single_cert(chain.clone(), key)
            .map_err(|e| unusable_pair(&files.certificate, &files.key, &e))?;
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok::<_, FileError>(Arc::new(config))
    };
    let peers = ClientTls::open(&ClientFiles {
        ca: files.peer_ca.clone().or_else(|| files.client_ca.clone()),
        identity: Some((files.certificate.clone(), files.key.clone())),
        pinned: None,
    });
    if files.peer_ca.is_some() {
        peers.clone()?;
    }
    Ok(Loaded {
        grpc: config(Some(true), b"h2")?,
        http: config(Some(false), b"http/1.1")?,
        peers,
        expires: chain.first().and_then(expires),
    })
}

fn stamps(files: &ServerFiles) -> Stamps {
    let stamp = |path: &Path| {
        let metadata = fs::metadata(path)?;
        Ok::<_, io::Error>((metadata.modified()?, metadata.len(), metadata.ino()))
    };
    let all = [Some(&files.certificate), Some(&files.key), files.client_ca.as_ref(), files.peer_ca.as_ref()];
    all.into_iter().flatten().map(|path| stamp(path).ok()).collect()
}

fn warn_of_expiry(files: &ServerFiles, loaded: &Loaded) {
    let Some(expires) = loaded.expires else { return };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let certificate = files.certificate.display();
    let (now, soon) = (now.as_secs().cast_signed(), EXPIRES_SOON.as_secs().cast_signed());
    if expires <= now {
        tracing::warn!("the certificate {certificate} expired on {}; clients refuse it", date(expires));
    } else if expires <= now + soon {
        tracing::warn!("the certificate {certificate} expires on {}; renew it", date(expires));
    }
}
