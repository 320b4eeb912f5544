//! Open connections: their number, the time that a new one may take, and which one makes room for another.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_stream::stream;
use futures::task::AtomicWaker;
use futures::{Stream, StreamExt};
use mosaico_engine::state::limits::Limits;
use mosaico_engine::state::process::descriptor_limit;
use mosaico_storage::error::is_shortage;
use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tonic::codegen::http::Extensions;
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::listen::connection::PeerFacts;
use crate::occasionally::Occasionally;

/// The preface of HTTP/2 and the header of the first frame: what a client sends without waiting.
const GREETING: usize = 24 + 9;

/// Pause after a connection could not be accepted, until descriptors or memory are free again.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(250);

/// All open connections of a server.
#[derive(Debug)]
pub(crate) struct Connections {
    limits: Limits,
    /// Connections at most: never so many that no descriptors are left for files.
    most: usize,
    open: Mutex<HashMap<u64, Arc<Connection>>>,
    next: AtomicU64,
    begun: Instant,
    gauge: Gauge,
    refusals: Occasionally,
    shortages: Occasionally,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    id: u64,
    /// `None` inside the process.
    pub(crate) address: Option<IpAddr>,
    /// When its last bytes arrived, in milliseconds since the server began.
    heard: AtomicU64,
    /// Calls in progress.
    pub(crate) calls: AtomicUsize,
    /// Its client has sent the first frames.
    greeted: AtomicBool,
    ended: AtomicBool,
    waker: AtomicWaker,
}

impl Connection {
    fn new(id: u64, address: Option<IpAddr>, heard: u64) -> Self {
        Self {
            id,
            address,
            heard: AtomicU64::new(heard),
            calls: AtomicUsize::new(0),
            greeted: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }

    /// A connection of the HTTP port, which counts its connections itself.
    pub(crate) fn of_http(address: Option<IpAddr>) -> Arc<Self> {
        Arc::new(Self::new(0, address, 0))
    }

    /// Whether [`Self::end`] was called; wakes the task when it is.
    pub(crate) fn poll_ended(&self, context: &mut Context<'_>) -> bool {
        self.waker.register(context.waker());
        self.ended.load(Ordering::Acquire)
    }

    /// Ends the connection.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.waker.wake();
    }
}

/// What a call knows of its connection; replaced by the transport's own facts before the services see it.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) connection: Arc<Connection>,
    /// Adds the facts of the transport.
    pub(crate) restore: Arc<dyn Fn(&mut Extensions) + Send + Sync>,
}

/// The address of a peer in the facts of its transport; `None` inside the process.
fn address_of(facts: &Extensions) -> Option<IpAddr> {
    facts.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr).map(|address| address.ip())
}

impl Connections {
    pub(crate) fn new(limits: &Limits, gauge: Gauge) -> Arc<Self> {
        let most = descriptor_limit().map_or(limits.connections, |all| limits.connections.min(all / 2));
        Arc::new(Self {
            limits: limits.clone(),
            most: most.max(1),
            open: Mutex::default(),
            next: AtomicU64::new(0),
            begun: Instant::now(),
            gauge,
            refusals: Occasionally::default(),
            shortages: Occasionally::default(),
        })
    }

    /// The connections of `incoming` that there is room for. Without descriptors or memory it waits.
    pub(crate) fn admit<IO: Connected>(
        self: Arc<Self>,
        incoming: impl Stream<Item = io::Result<IO>>,
    ) -> impl Stream<Item = io::Result<Counted<IO>>> {
        stream! {
            let mut incoming = pin!(incoming);
            while let Some(accepted) = incoming.next().await {
                match accepted {
                    Ok(io) => if let Some(io) = self.enter(io) { yield Ok(io) },
                    Err(error) if is_shortage(&error) => {
                        self.short(&error);
                        tokio::time::sleep(SHORTAGE_PAUSE).await;
                    }
                    Err(error) => yield Err(error),
                }
            }
        }
    }

    fn short(&self, error: &io::Error) {
        let ended = self.shed(&self.open.lock(), None);
        if let Some(times) = self.shortages.due() {
            tracing::error!(
                cause = %error, times, open = self.open.lock().len(), idle_ended = ended,
                "no connection can be accepted: this process has no free file descriptors or memory; raise the limit \
                 (`ulimit -n`, LimitNOFILE= of systemd), or lower --max-connections"
            );
        }
    }

    /// Ends the oldest idle connection, of `address` if given. Connections inside the process stay.
    fn shed(&self, open: &HashMap<u64, Arc<Connection>>, address: Option<IpAddr>) -> bool {
        let idle = open.values().filter(|connection| {
            connection.calls.load(Ordering::Relaxed) == 0
                && connection.address.is_some()
                && !connection.ended.load(Ordering::Relaxed)
                && (address.is_none() || connection.address == address)
        });
        // Silent ones first: a client that is between two calls keeps its connection as long as possible.
        let key = |connection: &&Arc<Connection>| {
            (connection.greeted.load(Ordering::Relaxed), connection.heard.load(Ordering::Relaxed))
        };
        let oldest = idle.min_by_key(key);
        oldest.map(|connection| connection.end()).is_some()
    }

    /// Counts a connection; `None` if there is no room for it.
    fn enter<IO: Connected>(self: &Arc<Self>, io: IO) -> Option<Counted<IO>> {
        let mut facts = Extensions::new();
        facts.insert(io.connect_info());
        PeerFacts::introduce(&mut facts);
        let address = address_of(&facts);
        let mut open = self.open.lock();
        if address.is_some() {
            let lives = |connection: &&Arc<Connection>| !connection.ended.load(Ordering::Relaxed);
            let of_address =
                open.values().filter(lives).filter(|connection| connection.address == address).count();
            let crowded = of_address >= self.limits.address_connections;
            let full = crowded || open.values().filter(lives).count() >= self.most;
            if full && !self.shed(&open, address.filter(|_| crowded)) {
                if let Some(times) = self.refusals.due() {
                    let (limit, option) = match crowded {
                        true => (self.limits.address_connections, "--max-address-connections"),
                        false => (self.most, "--max-connections"),
                    };
                    tracing::warn!(?address, limit, times, "connections are refused: {option} are in use");
                }
                return None;
            }
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection::new(id, address, self.now()));
        open.insert(connection.id, Arc::clone(&connection));
        self.gauge.inc();
        let deadline = address.map(|_| Box::pin(tokio::time::sleep(self.limits.connect_timeout)));
        Some(Counted { io, connection, all: Arc::clone(self), greeted: 0, deadline })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A counted connection. It ends if its peer does not send the first frames of HTTP/2 soon, and when [`Connection::end`] asks.
#[derive(Debug)]
pub(crate) struct Counted<IO> {
    io: IO,
    connection: Arc<Connection>,
    all: Arc<Connections>,
    /// Bytes of the greeting.
    greeted: usize,
    /// Until the greeting is complete.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<IO> Counted<IO> {
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.connection.poll_ended(context) {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the server needs the connection"));
        }
        let late = self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(context).is_ready());
        if late { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }

    fn heard(&mut self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.connection.heard.store(self.all.now(), Ordering::Relaxed);
        self.greeted = self.greeted.saturating_add(bytes);
        if self.greeted >= GREETING {
            self.deadline = None;
            self.connection.greeted.store(true, Ordering::Relaxed);
        }
    }
}

impl<IO> Drop for Counted<IO> {
    fn drop(&mut self) {
        self.all.open.lock().remove(&self.connection.id);
        self.all.gauge.dec();
    }
}

impl<IO: Connected> Connected for Counted<IO> {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        let facts = self.io.connect_info();
        let restore = move |to: &mut Extensions| drop(to.insert(facts.clone()));
        Peer { connection: Arc::clone(&self.connection), restore: Arc::new(restore) }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Counted<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(context, buffer);
        self.heard(buffer.filled().len() - before);
        polled
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Counted<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
