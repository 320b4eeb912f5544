use std::io;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use hyper_util::rt::TokioIo;
use mosaico_types::ErrorKind;
use parking_lot::Mutex;
use tokio::io::DuplexStream;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::error::root_cause;
use crate::{Error, Result};

/// A Flight client over one of our channels.
pub(crate) type Flight = FlightServiceClient<Channel>;

/// Bytes a peer may send on one stream before we read them.
const STREAM_WINDOW: u32 = 1 << 19;

/// The window of a whole connection must never be what stops a stream: streams that wait for their turn in
/// a merge would then starve the one that the merge waits for. HTTP/2's maximum leaves it to the streams.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// A server that vanished without a word is noticed after these two.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Long-lived calls on one connection; servers refuse more than 100 to 200.
const STREAMS_PER_CONNECTION: usize = 64;

/// Opens in-process connections to a daemon in the same process.
pub trait Connector: Send + Sync {
    /// Our end of a new connection.
    ///
    /// # Errors
    /// If the daemon is gone.
    fn open(&self) -> io::Result<DuplexStream>;
}

/// Where the daemon is.
#[derive(Clone)]
pub enum Target {
    /// `host:port` over TCP.
    Tcp {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A daemon in this process.
    InProcess(Arc<dyn Connector>),
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::InProcess(_) => f.write_str("in-process"),
        }
    }
}

impl Target {
    async fn connect(&self, timeout: Duration) -> Result<Channel> {
        let unreachable = |cause: &dyn std::fmt::Display| {
            Error::new(ErrorKind::Unavailable, format!("cannot connect to {self}: {cause}"))
        };
        let uri = match self {
            // An IPv6 address stands in brackets in a URI.
            Self::Tcp { host, port } if host.contains(':') && !host.starts_with('[') => {
                format!("http://[{host}]:{port}")
            }
            Self::Tcp { host, port } => format!("http://{host}:{port}"),
            Self::InProcess(_) => "http://in-process".to_owned(),
        };
        let endpoint = Endpoint::from_shared(uri)
            .map_err(|cause| {
                Error::new(ErrorKind::InvalidInput, format!("{self} is not a host and port: {cause}"))
            })?
            .connect_timeout(timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        match self {
            Self::Tcp { .. } => endpoint.connect().await.map_err(|error| unreachable(&root_cause(&error))),
            Self::InProcess(connector) => {
                let connector = Arc::clone(connector);
                let open = move |_: Uri| {
                    let stream = connector.open();
                    async move { stream.map(TokioIo::new) }
                };
                endpoint
                    .connect_with_connector(tower::service_fn(open))
                    .await
                    .map_err(|error| unreachable(&root_cause(&error)))
            }
        }
    }
}

/// Connections for data. Topics get one of their own as long as there are few; then the least busy one.
pub(crate) struct Pool {
    target: Target,
    timeout: Duration,
    size: usize,
    open: Mutex<Vec<Pooled>>,
}

struct Pooled {
    channel: Channel,
    /// One clone per call in progress.
    calls: Arc<()>,
}

/// A pooled connection in use; dropping it makes room for another call.
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

    /// The least busy connection, unless a new one is due.
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

/// Messages may be as large as one row; how many are in flight is bounded elsewhere.
fn flight(channel: Channel) -> Flight {
    Flight::new(channel).max_decoding_message_size(usize::MAX).max_encoding_message_size(usize::MAX)
}
