//! The HTTP port: what monitors read (liveness, readiness, metrics), and what pages and players read (sequences and
//! the rows of topics). Nothing here changes anything.
//!
//! [`admit`] is the border of all routes; [`pages`] answers with the same readers, budgets and limits as Flight.

mod admit;
mod arrow_body;
mod call;
mod failure;
mod monitor;
mod pages;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use mosaico_engine::access::keys::Keys;
use mosaico_engine::state::engine::Engine;
use mosaico_storage::error::{Error, Result};
use mosaico_tls::ServerTls;
use mosaico_types::access::MonitoringLevel;
use tokio::net::TcpListener;

use self::admit::{Guard, admit};
use crate::access::audit::Audit;
use crate::access::default_monitoring;
use crate::brief::Brief;
use crate::limits::Gate;
use crate::listen::{HttpListener, HttpPeer};
use crate::peers::PeerPool;
use crate::server::Server;

/// Serves `/healthz` (the process responds), `/readyz` (it can serve), `/metrics` (OpenMetrics text), and the sequences
/// below `/v1/`. It can start before the server, whose recovery may take long.
#[derive(Debug, Clone, Default)]
pub struct HttpServer(Arc<Watched>);

#[derive(Debug, Default)]
struct Watched {
    /// What monitors without a key may see; `None`: the listener decides.
    level: Option<MonitoringLevel>,
    served: OnceLock<Served>,
    /// Locked during the disk check: while one check blocks, no further check starts.
    trying: Arc<tokio::sync::Mutex<()>>,
}

/// The parts of a server.
#[derive(Debug)]
struct Served {
    engine: Weak<Engine>,
    keys: Arc<Keys>,
    gate: Arc<Gate>,
    audit: Arc<Audit>,
    peers: Arc<PeerPool>,
}

impl HttpServer {
    /// Shows this much of the daemon's state to callers without a key; `None`: everything if only this machine
    /// reaches the listener, and the health otherwise.
    pub fn new(level: Option<MonitoringLevel>) -> Self {
        Self(Arc::new(Watched { level, ..Watched::default() }))
    }

    /// Sets the server to report on, and to read from.
    pub fn watch(&self, server: &Server) {
        self.0.served.get_or_init(|| server.served());
    }

    /// Serves requests on `listener` until it is dropped.
    ///
    /// # Errors
    /// [`Error::Internal`] if the transport fails.
    pub async fn serve(&self, listener: TcpListener) -> Result<()> {
        self.serve_with(listener, None).await
    }

    /// Serves requests on `listener` with TLS until it is dropped. A client certificate is optional, also if
    /// Flight needs one: monitors have none.
    ///
    /// # Errors
    /// [`Error::Internal`] if the transport fails.
    pub async fn serve_tls(&self, listener: TcpListener, tls: Arc<ServerTls>) -> Result<()> {
        self.serve_with(listener, Some(tls)).await
    }

    async fn serve_with(&self, listener: TcpListener, tls: Option<Arc<ServerTls>>) -> Result<()> {
        let failed = |e| Error::internal("answering HTTP requests", e);
        let bound = listener.local_addr().map_err(failed)?;
        let listener = HttpListener::new(listener, tls).map_err(failed)?;
        let level = self.0.level.unwrap_or_else(|| default_monitoring(Some(bound)));
        let service = self.router(bound, level).into_make_service_with_connect_info::<HttpPeer>();
        axum::serve(Brief::new(listener), service).await.map_err(failed)
    }

    fn router(&self, bound: SocketAddr, level: MonitoringLevel) -> Router {
        let guard = Guard { http: self.clone(), bound, level };
        Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(monitor::ready))
            .route("/metrics", get(monitor::counts))
            .route("/v1/sequences/{name}", get(pages::sequence))
            .route("/v1/sequences/{name}/topics/{topic}/data", get(pages::data))
            .layer(from_fn_with_state(guard, admit))
            .with_state(self.clone())
    }

    fn engine(&self) -> std::result::Result<Arc<Engine>, &'static str> {
        let served = self.0.served.get().ok_or("starting: the server recovers its log and catalog")?;
        let engine = served.engine.upgrade().filter(|engine| !engine.closing.is_cancelled());
        engine.ok_or("the server is shutting down")
    }
}

impl Server {
    fn served(&self) -> Served {
        Served {
            engine: Arc::downgrade(self.core()),
            keys: Arc::clone(self.keys()),
            gate: Arc::clone(self.gate()),
            audit: Arc::clone(self.audit()),
            peers: self.peer_pool(),
        }
    }
}
