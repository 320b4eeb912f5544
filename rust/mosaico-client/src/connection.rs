//! Connections to the daemon: addresses, channels, and the pool for data.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use hyper_util::rt::TokioIo;
use mosaico_tls::{Stream, open};
use mosaico_types::ErrorKind;
use parking_lot::Mutex;
use tokio::io::DuplexStream;
use tonic::transport::{Endpoint, Uri};

use crate::error::{Error, Result, reason};
use crate::request_id::Named;
use crate::security::Security;

/// A Flight client over a channel of this crate.
pub(crate) type Flight = FlightServiceClient<Named>;

/// HTTP/2 window of a stream: bytes that the peer may send before this side reads them.
const STREAM_WINDOW: u32 = 1 << 19;

/// HTTP/2 window of a connection: the maximum. It must never block a stream, otherwise streams that wait for
/// their turn in a merge would starve the stream that the merge needs.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// A server that vanished is detected after these two durations.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// The largest message that is accepted from a server, as sent and as unpacked: four times what daemons accept, by
/// default, from writers.
pub(crate) const LARGEST_MESSAGE: usize = 1 << 30;

/// Maximum of long-lived calls on one connection; servers refuse more than 100 to 200.
const STREAMS_PER_CONNECTION: usize = 64;

/// Opens in-process connections to a daemon in the same process.
pub trait Connector: Send + Sync {
    /// The client's end of a new connection.
    ///
    /// # Errors
    /// If the daemon has ended.
    fn open(&self) -> io::Result<DuplexStream>;
}

/// Location of the daemon.
#[derive(Clone)]
pub enum Target {
    /// Over TCP.
    Tcp(Addresses),
    /// A daemon in this process.
    InProcess(Arc<dyn Connector>),
}

/// Addresses of daemons that serve the same store. The client connects to the current one; if that is
/// unreachable, the next reachable one becomes the current one.
#[derive(Debug, Clone)]
pub struct Addresses {
    all: Arc<[(String, u16)]>,
    current: Arc<AtomicUsize>,
    security: Security,
}

impl Addresses {
    /// Hosts (names or addresses) and ports; the first one is the current one.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the list is empty, or an entry is not a host.
    pub fn new(all: impl IntoIterator<Item = (String, u16)>) -> Result<Self> {
        let all: Arc<[(String, u16)]> = all.into_iter().collect();
        if all.is_empty() {
            return Err(Error::new(ErrorKind::InvalidInput, "no address of a daemon is given"));
        }
        for (host, port) in &*all {
            endpoint("http", host, *port)?;
        }
        Ok(Self { all, current: Arc::default(), security: Security::default() })
    }

    /// With TLS and an API key, for all addresses.
    ///
    /// # Errors
    /// [`ErrorKind::FailedPrecondition`] if the key would be readable on the way to one of them.
    pub fn with_security(self, security: Security) -> Result<Self> {
        self.all.iter().try_for_each(|(host, _)| security.check(host))?;
        Ok(Self { security, ..self })
    }

    async fn open(&self, timeout: Duration) -> io::Result<Stream> {
        let count = self.all.len();
        let share = timeout / u32::try_from(count).unwrap_or(u32::MAX);
        let from = self.current.load(Ordering::Relaxed);
        let mut failed = None;
        for at in (from..from + count).map(|at| at % count) {
            let (host, port) = &self.all[at];
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let opened = tokio::time::timeout(share, open(host, *port, self.security.tls())).await;
            match opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => {
                    self.current.store(at, Ordering::Relaxed);
                    return Ok(stream);
                }
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
    }
}

impl std::fmt::Display for Addresses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, (host, port)) in self.all.iter().enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            write!(f, "{separator}{host}:{port}")?;
        }
        Ok(())
    }
}

fn endpoint(scheme: &str, host: &str, port: u16) -> Result<Endpoint> {
    // A URI has brackets around an IPv6 address.
    let uri = if host.contains(':') && !host.starts_with('[') {
        format!("{scheme}://[{host}]:{port}")
    } else {
        format!("{scheme}://{host}:{port}")
    };
    Endpoint::from_shared(uri).map_err(|cause| {
        Error::new(ErrorKind::InvalidInput, format!("{host}:{port} is not a host and port: {cause}"))
    })
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(addresses) => addresses.fmt(f),
            Self::InProcess(_) => f.write_str("in-process"),
        }
    }
}

impl Target {
    /// Adds the reason to the error of a first call, if the server refused the connection.
    pub(crate) fn explain(&self, error: Error) -> Error {
        let refusal = match self {
            Self::Tcp(addresses) => addresses.security.refusal(),
            Self::InProcess(_) => None,
        };
        match refusal {
            Some(reason) => Error { message: format!("cannot connect to {self}: {reason}"), ..error },
            None => error,
        }
    }

    async fn connect(&self, timeout: Duration) -> Result<Named> {
        let unreachable = |cause: &dyn std::fmt::Display| {
            Error::new(ErrorKind::Unavailable, format!("cannot connect to {self}: {cause}"))
        };
        let (endpoint, key) = match self {
            Self::Tcp(addresses) => {
                let (host, port) = &addresses.all[0];
                let scheme = if addresses.security.tls().is_some() { "https" } else { "http" };
                (endpoint(scheme, host, *port)?, addresses.security.key_header().cloned())
            }
            Self::InProcess(_) => (Endpoint::from_static("http://in-process"), None),
        };
        let endpoint = endpoint
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        let connected = match self.clone() {
            Self::Tcp(addresses) => {
                let open = move |_: Uri| {
                    let addresses = addresses.clone();
                    async move { addresses.open(timeout).await.map(TokioIo::new) }
                };
                endpoint.connect_with_connector(tower::service_fn(open)).await
            }
            Self::InProcess(connector) => {
                let open = move |_: Uri| {
                    let stream = connector.open();
                    async move { stream.map(TokioIo::new) }
                };
                endpoint.connect_with_connector(tower::service_fn(open)).await
            }
        };
        let channel = connected.map_err(|error| unreachable(&reason(&error)))?;
        Ok(Named::new(channel, key))
    }
}

/// Connections for data. Each topic gets a connection of its own up to a limit; further topics use the least
/// busy one.
pub(crate) struct Pool {
    target: Target,
    timeout: Duration,
    size: usize,
    open: Mutex<Vec<Pooled>>,
}

struct Pooled {
    channel: Named,
    /// One clone per call in progress.
    calls: Arc<()>,
}

/// A pooled connection in use; dropping it releases its place.
pub(crate) struct Lease {
    pub(crate) flight: Flight,
    _call: Arc<()>,
}

impl Pooled {
    fn lease(&self) -> Lease {
        Lease { flight: flight(self.channel.clone()), _call: Arc::clone(&self.calls) }
    }

    fn load(&self) -> usize {
        Arc::strong_count(&self.calls) - 1
    }
}

impl Pool {
    pub(crate) fn new(target: Target, timeout: Duration) -> Self {
        let size = std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 8));
        Self { target, timeout, size, open: Mutex::new(Vec::new()) }
    }

    pub(crate) async fn get(&self) -> Result<Lease> {
        if let Some(lease) = self.idle() {
            return Ok(lease);
        }
        let channel = self.target.connect(self.timeout).await?;
        let pooled = Pooled { channel, calls: Arc::new(()) };
        let lease = pooled.lease();
        self.open.lock().push(pooled);
        Ok(lease)
    }

    /// The least busy connection, unless the pool has to open a new one.
    fn idle(&self) -> Option<Lease> {
        let open = self.open.lock();
        let least = open.iter().min_by_key(|pooled| pooled.load())?;
        let due = least.load() > 0 && open.len() < self.size;
        (!due && least.load() < STREAMS_PER_CONNECTION).then(|| least.lease())
    }

    pub(crate) async fn connect(&self) -> Result<Flight> {
        Ok(flight(self.target.connect(self.timeout).await?))
    }
}

/// Messages may be as large as one row; other limits bound the number in flight.
fn flight(channel: Named) -> Flight {
    Flight::new(channel).max_decoding_message_size(LARGEST_MESSAGE).max_encoding_message_size(usize::MAX)
}
