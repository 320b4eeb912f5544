//! Connections to daemons: addresses, the choice between them, and the channel of one connection.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use mosaico_tls::open;
use mosaico_types::ErrorKind;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tonic::transport::{Channel, Endpoint, Uri};
use ulid::Ulid;

use crate::call_layer::Named;
use crate::error::{ConnectionClosed, Error, Result, reason};
use crate::health::Health;
use crate::route::Route;
use crate::security::Security;

/// HTTP/2 window of a stream: bytes that the peer may send before this side reads them.
const STREAM_WINDOW: u32 = 1 << 19;

/// HTTP/2 window of a connection: the maximum. It must never block a stream, otherwise streams that wait for
/// their turn in a merge would starve the stream that the merge needs.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// A server that vanished is detected after these two durations. A ping may wait behind rows that a slow network
/// has not taken yet.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Time for one of several addresses to accept a connection and to answer, if others are left to be tried.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

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

/// Addresses of daemons that serve the same store. The client uses the current one. If that does not serve, the
/// next one that does becomes the current one.
#[derive(Debug, Clone)]
pub struct Addresses {
    all: Arc<[(String, u16)]>,
    route: Arc<Mutex<Route>>,
    security: Security,
}

/// An open connection to one daemon. Once it broke, calls over it fail: the pool opens another one.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) channel: Named,
    pub(crate) health: Arc<Health>,
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
        let route = Arc::new(Mutex::new(Route::new(all.len())));
        Ok(Self { all, route, security: Security::default() })
    }

    /// With TLS and an API key, for all addresses.
    ///
    /// # Errors
    /// [`ErrorKind::FailedPrecondition`] if the key would be readable on the way to one of them.
    pub fn with_security(self, security: Security) -> Result<Self> {
        self.all.iter().try_for_each(|(host, _)| security.check(host))?;
        Ok(Self { security, ..self })
    }

    /// A connection to the best address that serves: each is tried once at most.
    async fn connect(&self, timeout: Duration, names: &Arc<AtomicBool>) -> Result<Connection> {
        let begun = Instant::now();
        let order = self.route.lock().order(begun);
        // Addresses that are avoided, or probed by another call, are tried after all others.
        let mut queue: VecDeque<_> = order.into_iter().map(|at| (at, false)).collect();
        let mut failures = Vec::new();
        while let Some((at, forced)) = queue.pop_front() {
            let left = timeout.saturating_sub(begun.elapsed());
            let limit = match u32::try_from(queue.len()) {
                Ok(0) => left,
                others => (left / (others.unwrap_or(u32::MAX - 1) + 1)).min(ATTEMPT_TIMEOUT),
            };
            if !self.route.lock().claim(at, Instant::now(), limit) && !forced {
                queue.push_back((at, true));
                continue;
            }
            match self.attempt(at, limit, names).await {
                Ok(connection) => {
                    self.route.lock().served(at);
                    return Ok(connection);
                }
                Err(reason) => {
                    self.route.lock().failed(at, Instant::now());
                    let (host, port) = &self.all[at];
                    failures.push(if self.all.len() > 1 {
                        format!("{host}:{port}: {reason}")
                    } else {
                        reason
                    });
                }
            }
        }
        let message = format!("cannot connect to {self}: {}", failures.join("; "));
        let request_id = names.load(Ordering::Relaxed).then(|| Ulid::new().to_string());
        Err(Error { unsent: true, request_id, ..Error::new(ErrorKind::Unavailable, message) })
    }

    /// Connects to one address; returns why it failed. With several addresses, accepting a connection is not
    /// enough: a load balancer without a daemon and a daemon that hangs do that too.
    async fn attempt(
        &self,
        at: usize,
        limit: Duration,
        names: &Arc<AtomicBool>,
    ) -> Result<Connection, String> {
        let begun = Instant::now();
        let (host, port) = &self.all[at];
        let scheme = if self.security.tls().is_some() { "https" } else { "http" };
        let endpoint = endpoint(scheme, host, *port).map_err(|error| error.message)?;
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let opened = tokio::time::timeout(limit, open(name, *port, self.security.tls())).await;
        let stream = opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let stream = stream.map_err(|error| reason(&error))?;
        let channel = channel(endpoint, stream).await.map_err(|error| reason(&error))?;
        let health = Arc::new(Health::new(Some((Arc::clone(&self.route), at))));
        let key = self.security.key_header().cloned();
        let channel = Named::new(channel, key, Arc::clone(&health), Arc::clone(names));
        let connection = Connection { channel, health };
        if self.all.len() > 1 {
            let checked = connection.check(limit.saturating_sub(begun.elapsed())).await;
            checked.map_err(|error| self.security.refusal().unwrap_or(error.message))?;
        }
        Ok(connection)
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

/// The channel of a connection. It never reconnects: the address of a new connection is the route's decision.
async fn channel(
    endpoint: Endpoint,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Channel, tonic::transport::Error> {
    let mut stream = Some(TokioIo::new(stream));
    let once = move |_: Uri| std::future::ready(stream.take().ok_or(ConnectionClosed));
    let endpoint = endpoint
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    endpoint.connect_with_connector(tower::service_fn(once)).await
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
    /// Number of addresses.
    pub(crate) fn addresses(&self) -> usize {
        match self {
            Self::Tcp(addresses) => addresses.all.len(),
            Self::InProcess(_) => 1,
        }
    }

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

    /// A new connection. `names`: the daemon is known to name calls, so the failed one gets a request ID too.
    pub(crate) async fn connect(&self, timeout: Duration, names: &Arc<AtomicBool>) -> Result<Connection> {
        let connector = match self {
            Self::Tcp(addresses) => return addresses.connect(timeout, names).await,
            Self::InProcess(connector) => connector,
        };
        let unreachable = |cause: &dyn std::fmt::Display| {
            Error::new(ErrorKind::Unavailable, format!("cannot connect to {self}: {cause}"))
        };
        let stream = connector.open().map_err(|error| unreachable(&error))?;
        let channel = channel(Endpoint::from_static("http://in-process"), stream).await;
        let channel = channel.map_err(|error| unreachable(&reason(&error)))?;
        let health = Arc::new(Health::new(None));
        let channel = Named::new(channel, None, Arc::clone(&health), Arc::clone(names));
        Ok(Connection { channel, health })
    }
}
