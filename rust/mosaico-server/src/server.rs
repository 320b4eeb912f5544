//! Starting a server, serving, shutdown.

use std::fs::File;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use futures::Stream;
use mosaico_engine::access::keys::Keys;
use mosaico_engine::access::store_access::{self, AccessMode, StoreAccess};
use mosaico_engine::maintenance::compact::{self, Compacted};
use mosaico_engine::maintenance::online_rebuild;
use mosaico_engine::startup;
use mosaico_engine::state::config::Config;
use mosaico_engine::state::engine::Engine;
use mosaico_storage::error::{Error, Result};
use mosaico_tls::{Listener, ServerTls, TLS_SCHEME};
use mosaico_wire::maintenance::{Progress, Rebuilt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::select;
use tonic::server::NamedService;
use tonic::transport::server::Connected;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};
use tower::util::MapResponseLayer;

use crate::access::Access;
use crate::access::audit::{Audit, AuditFile, commands};
use crate::access::layer::AccessLayer;
use crate::connections::Connections;
use crate::limits::{Gate, GateLayer};
use crate::listen::connections;
use crate::peers::PeerPool;
use crate::request_layer::CallsLayer;
use crate::service::{Service, reflection, transport_refusals};

/// Flow-control window of one stream; a lane that waits for the disk buffers no more than this.
const STREAM_WINDOW: u32 = 512 << 10;
/// Per connection: as many waiting lanes as clients put on one connection do not block its other lanes.
const CONNECTION_WINDOW: u32 = 64 * STREAM_WINDOW;
const FRAME_BYTES: u32 = 256 << 10;
/// A connection ends after this many calls that were reset before the server began them, and after this many
/// resets because of its errors.
const PENDING_RESETS: usize = 20;
const ERROR_RESETS: usize = 1024;
/// The server detects a vanished client after these two periods.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// A server with exclusive or shared access to a store.
#[derive(Debug)]
pub struct Server {
    core: Arc<Engine>,
    keys: Arc<Keys>,
    /// Locked until the server is dropped; contains the server's address for other processes.
    lock: File,
    tls: Option<Arc<ServerTls>>,
    gate: Arc<Gate>,
    audit: Arc<Audit>,
}

impl Server {
    /// Opens the store and recovers the state that an earlier process left.
    ///
    /// # Errors
    /// [`Error::Startup`] if the store cannot be used: not writable, or in use by another server.
    pub async fn open(config: Config) -> Result<Self> {
        config.check()?;
        Self::on(StoreAccess::take(&config, AccessMode::Serve).await?, config).await
    }

    /// Recovers the state that an earlier process left in a store.
    pub(crate) async fn on(hold: StoreAccess, config: Config) -> Result<Self> {
        let audit_file = config.audit_log.clone().map(AuditFile::open).transpose()?;
        let (core, lock) = startup::open(hold, config).await?;
        let audit = Audit::new(&core, audit_file);
        let keys = Arc::new(Keys::new(core.store.clone(), core.tasks.clone()));
        core.while_serving(commands::watch(Arc::clone(&core), Arc::clone(&keys), Arc::clone(&audit)));
        let gate = Gate::new(&core);
        Ok(Self { core, keys, lock, tls: None, gate, audit })
    }

    pub(crate) fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    pub(crate) fn audit(&self) -> &Arc<Audit> {
        &self.audit
    }

    /// New connections to other daemons.
    pub(crate) fn peer_pool(&self) -> Arc<PeerPool> {
        Arc::new(PeerPool::new(self.tls.clone(), Arc::clone(&self.keys)))
    }

    pub(crate) fn core(&self) -> &Arc<Engine> {
        &self.core
    }

    /// Serves TCP connections with TLS only, and uses it for connections to other daemons. The caller runs
    /// [`ServerTls::watch`].
    pub fn secure(&mut self, tls: Arc<ServerTls>) {
        self.tls = Some(tls);
    }

    /// Merges small chunks of finalized sequences into large, time-sorted ones; reading and recording
    /// continue meanwhile. Garbage collection removes the files of the old chunks with other unreferenced
    /// files.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::StoreUnavailable`] or [`Error::Internal`] if the store or the catalog cannot
    /// be used; damaged topics are in the report.
    pub async fn compact(&self, progress: &(dyn Fn(Progress) + Sync)) -> Result<Compacted> {
        compact::run(&self.core, progress).await
    }

    /// Rebuilds the catalog from the store, one sequence at a time; reading and recording continue meanwhile.
    /// An interrupted rebuild, also by [`Self::shutdown`], can simply be restarted.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::StoreUnavailable`] or [`Error::Internal`] if the store or the catalog cannot
    /// be used; [`Error::ShuttingDown`]. Damaged sequences are in the report.
    pub async fn rebuild(&self, progress: &(dyn Fn(Progress) + Sync)) -> Result<Rebuilt> {
        online_rebuild::run(&self.core, progress, &self.core.stopping).await
    }

    /// The Flight service; [`AccessLayer`] adds the callers to its requests.
    fn service(&self) -> FlightServiceServer<Service> {
        let (core, gate) = (Arc::clone(&self.core), Arc::clone(&self.gate));
        FlightServiceServer::new(Service::new(core, self.peer_pool(), gate))
            .max_decoding_message_size(self.core.config.max_message_bytes)
            .max_encoding_message_size(usize::MAX)
    }

    /// Serves Flight, gRPC health and reflection on TCP connections, with TLS after [`Self::secure`], until
    /// `shutdown` is ready. Without other settings, a listener that only this machine reaches serves everybody,
    /// any other one API keys. The server
    /// then interrupts puts (stored rows are kept, a later put resumes), and lets reads continue for the
    /// configured grace period.
    ///
    /// # Errors
    /// [`Error::Internal`] if the transport fails; [`Error::OwnershipLost`] some time after another daemon
    /// took the bucket.
    pub async fn serve_tcp(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> Result<()> {
        let scheme = if self.tls.is_some() { TLS_SCHEME } else { "" };
        let bound = listener.local_addr();
        let recorded =
            bound.and_then(|bound| store_access::tell_address(&self.lock, scheme, bound).map(|()| bound));
        let bound = recorded.map_err(|e| Error::internal("writing to the state folder", e))?;
        let access = Access::new(Arc::clone(&self.keys), &self.core.config, Some(bound));
        self.serve_to(access, connections(listener, self.tls.clone(), Listener::Grpc), shutdown).await
    }

    /// Serves any connections, such as the halves of [`tokio::io::duplex`]; see [`Self::serve_tcp`]. Without
    /// other settings, it serves everybody.
    ///
    /// # Errors
    /// As of [`Self::serve_tcp`].
    pub async fn serve<IO>(
        &self,
        incoming: impl Stream<Item = io::Result<IO>>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<()>
    where
        IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let access = Access::new(Arc::clone(&self.keys), &self.core.config, None);
        self.serve_to(access, incoming, shutdown).await
    }

    async fn serve_to<IO>(
        &self,
        access: Arc<Access>,
        incoming: impl Stream<Item = io::Result<IO>>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<()>
    where
        IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let (closing, stopping) = (&self.core.closing, &self.core.stopping);
        let fence = self.core.store.fence().clone();
        let (mut reporter, health) = health_reporter();
        reporter.set_serving::<FlightServiceServer<Service>>().await;
        let reflection = tonic_reflection::server::Builder::configure()
            .register_file_descriptor_set(reflection::descriptors())
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()
            .map_err(|e| Error::internal("describing the services", e))?;
        let lost = AtomicBool::new(false);
        let signal = async {
            let asked = async {
                select! {
                    () = shutdown => {}
                    () = closing.cancelled() => {}
                }
            };
            let mut asked = pin!(asked);
            select! {
                () = &mut asked => {}
                () = fence.lost() => {
                    say_goodbye(&mut reporter).await;
                    // Calls that arrive meanwhile get the reason as their error.
                    select! {
                        () = asked => {}
                        () = tokio::time::sleep(self.core.config.lost_grace) => lost.store(true, Ordering::Relaxed),
                    }
                }
            }
            closing.cancel();
            stopping.cancel();
            say_goodbye(&mut reporter).await;
        };
        let limit = self.core.config.max_message_bytes;
        let limits = &self.core.config.limits;
        let incoming = Connections::new(limits, self.core.metrics.connections.clone()).admit(incoming);
        let gate = Arc::clone(&self.gate);
        self.core.while_serving(Arc::clone(&gate).watch());
        let calls = CallsLayer { metrics: Arc::clone(&self.core.metrics), audit: Arc::clone(&self.audit) };
        let served = tonic::transport::Server::builder()
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME_BYTES)
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .max_concurrent_streams(limits.connection_calls)
            .http2_max_header_list_size(limits.header_bytes)
            .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS))
            .http2_max_local_error_reset_streams(Some(ERROR_RESETS))
            .layer(GateLayer(Arc::clone(&gate)))
            .layer(calls)
            .layer(MapResponseLayer::new(move |response| transport_refusals::complete(response, limit)))
            .layer(AccessLayer { access, gate })
            .add_service(self.service())
            .add_service(health)
            .add_service(reflection)
            .serve_with_incoming_shutdown(incoming, signal);
        let grace = async {
            closing.cancelled().await;
            tokio::time::sleep(self.core.config.shutdown_grace).await;
        };
        select! {
            served = served => served.map_err(|e| Error::internal("serving connections", e))?,
            () = grace => {}
        }
        if lost.load(Ordering::Relaxed) { self.core.check_owner() } else { Ok(()) }
    }

    /// Shuts the server down: interrupts puts and reads, finishes chunks that are being written, and releases
    /// the store. Acknowledged rows that are not in a chunk yet stay in the WAL; the next start resumes with
    /// them.
    pub async fn shutdown(self) {
        self.audit.end().await;
        startup::shutdown(&self.core).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Without `shutdown`, dropping the server also ends the background work.
        self.audit.close();
        self.core.closing.cancel();
        self.core.stopping.cancel();
    }
}

/// Notifies health watchers and ends their streams, which would otherwise block the shutdown.
async fn say_goodbye(reporter: &mut HealthReporter) {
    for service in ["", <FlightServiceServer<Service> as NamedService>::NAME] {
        reporter.set_service_status(service, ServingStatus::NotServing).await;
        reporter.clear_service_status(service).await;
    }
}
