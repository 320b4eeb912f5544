//! HTTP endpoints for monitoring: liveness, readiness and metrics.

use std::fmt::Display;
use std::future::Future;
use std::io;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::TryFutureExt;
use mosaico_engine::access::keys::Keys;
use mosaico_engine::state::disk::{Disk, disks};
use mosaico_engine::state::engine::Engine;
use mosaico_engine::state::metrics::{self, Gauges};
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::paths::layers_file;
use mosaico_storage::trace;
use mosaico_tls::ServerTls;
use mosaico_types::ErrorCode;
use mosaico_types::access::{Grant, MonitoringLevel};
use mosaico_wire::{API_KEY_HEADER, PEER_HEADER};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::access::table::{Needs, Surface, find};
use crate::access::{Access, default_monitoring};
use crate::brief::Brief;
use crate::listen::{HttpListener, PeerFacts};
use crate::server::Server;

/// The time limit of each readiness check.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Serves `/healthz` (the process responds), `/readyz` (it can serve) and `/metrics` (OpenMetrics text). It
/// can start before the server, whose recovery may take long.
#[derive(Debug, Clone, Default)]
pub struct Monitor(Arc<Watched>);

#[derive(Debug, Default)]
struct Watched {
    /// What monitors without a key may see; `None`: the listener decides.
    level: Option<MonitoringLevel>,
    server: OnceLock<Weak<Engine>>,
    keys: OnceLock<Arc<Keys>>,
    /// Locked during the disk check: while one check blocks, no further check starts.
    trying: Arc<tokio::sync::Mutex<()>>,
}

impl Monitor {
    /// A monitor that shows this much to callers without a key; `None`: everything if only this machine
    /// reaches the listener, and the health otherwise.
    pub fn new(level: Option<MonitoringLevel>) -> Self {
        Self(Arc::new(Watched { level, ..Watched::default() }))
    }

    /// Sets the server to report on.
    pub fn watch(&self, server: &Server) {
        self.0.keys.get_or_init(|| Arc::clone(server.keys()));
        self.0.server.get_or_init(|| Arc::downgrade(server.core()));
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
        let failed = |e| Error::internal("answering monitors", e);
        let bound = listener.local_addr().map_err(failed)?;
        let listener = HttpListener::new(listener, tls).map_err(failed)?;
        let level = self.0.level.unwrap_or_else(|| default_monitoring(Some(bound)));
        let guard = Guard { monitor: self.clone(), level };
        let router = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(counts))
            .layer(from_fn_with_state(guard, admit))
            .with_state(self.clone());
        let service = router.into_make_service_with_connect_info::<PeerFacts>();
        axum::serve(Brief::new(listener), service).await.map_err(failed)
    }

    fn core(&self) -> std::result::Result<Arc<Engine>, &'static str> {
        let core = self.0.server.get().ok_or("starting: the server recovers its log and catalog")?;
        let core = core.upgrade().filter(|core| !core.closing.is_cancelled());
        core.ok_or("the server is shutting down")
    }
}

#[derive(Debug, Clone)]
struct Guard {
    monitor: Monitor,
    level: MonitoringLevel,
}

/// The border of all routes.
async fn admit(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let Some(rule) = find(Surface::Http, request.uri().path()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let level = match rule.needs {
        Needs::Monitoring(level) => level,
        _ => MonitoringLevel::Metrics,
    };
    let has_credentials = [AUTHORIZATION.as_str(), API_KEY_HEADER, PEER_HEADER];
    let has_credentials = has_credentials.iter().any(|name| request.headers().contains_key(*name));
    if !has_credentials && guard.level >= level {
        return next.run(request).await;
    }
    let Some(keys) = guard.monitor.0.keys.get() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "starting: no API key is known yet\n").into_response();
    };
    let (keys, anonymous, monitoring) = (Arc::clone(keys), Grant::default(), guard.level);
    let access = Access { keys, anonymous, monitoring, is_audited: false };
    let caller = Arc::new(access).caller(request.headers(), request.uri().path()).await;
    match caller.and_then(|caller| caller.check_rule(rule)) {
        Ok(()) => next.run(request).await,
        Err(error) if error.code() == ErrorCode::PermissionDenied => {
            let header = [(WWW_AUTHENTICATE, "Bearer")];
            (StatusCode::UNAUTHORIZED, header, format!("{error}\n")).into_response()
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

async fn counts(State(monitor): State<Monitor>) -> Response {
    let text = match monitor.core() {
        Ok(core) => {
            let disks = rooms(&core).await;
            core.metrics.text(&gauges(&core, disks)).map_err(|_| "the counts cannot be written")
        }
        Err(reason) => Err(reason),
    };
    match text {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

fn gauges(core: &Engine, disks: Vec<Disk>) -> Gauges {
    let ingest_bytes = core.config.ingest_bytes.saturating_sub(core.ingest_budget.available_permits());
    let (jobs, damaged_chunks) = (core.queue.open(), core.damaged.count());
    Gauges { disks, wal_bytes: core.live.wal_bytes(), ingest_bytes, jobs, damaged_chunks }
}

/// A blocked disk must not delay the metrics.
async fn rooms(core: &Arc<Engine>) -> Vec<Disk> {
    let (store, log) = (core.config.store.clone(), core.log.clone());
    let asked = trace::spawn_blocking(move || disks(&store, &log));
    timeout(TIMEOUT, asked).await.map(Result::unwrap_or_default).unwrap_or_default()
}

async fn ready(State(monitor): State<Monitor>) -> Response {
    let reasons = match monitor.core() {
        Ok(core) => obstacles(&core, &monitor).await,
        Err(reason) => vec![reason.to_owned()],
    };
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({"ready": reasons.is_empty(), "reasons": reasons});
    (status, [(CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}

/// The reasons why the server is not ready.
async fn obstacles(core: &Arc<Engine>, monitor: &Monitor) -> Vec<String> {
    if let Err(error) = core.check_owner() {
        return vec![format!("ownership: {error}")];
    }
    let layers = layers_file();
    // Monitors are callers: the response omits the cause.
    let log = |error: &Error| tracing::warn!(cause = %error.detail(), "the server is not ready");
    let (catalog, store, disk) = tokio::join!(
        obstacle("catalog", core.catalog.answers().inspect_err(log)),
        obstacle("store", core.store.has(&layers).inspect_err(log)),
        obstacle("disk", write(core, monitor)),
    );
    [catalog, store, disk].into_iter().flatten().collect()
}

async fn obstacle<T, E: Display>(
    part: &str,
    trial: impl Future<Output = std::result::Result<T, E>>,
) -> Option<String> {
    match timeout(TIMEOUT, trial).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(format!("{part}: {error}")),
        Err(_) => Some(format!("{part}: no answer within {} s", TIMEOUT.as_secs())),
    }
}

/// Checks that the folder of WAL and catalog is writable.
async fn write(core: &Arc<Engine>, monitor: &Monitor) -> io::Result<()> {
    let turn = Arc::clone(&monitor.0.trying).lock_owned().await;
    let scratch = core.store.staging_file().map_err(io::Error::other)?;
    let trial = trace::spawn_blocking(move || {
        let _turn = turn;
        std::fs::write(&scratch.file, b"ready?")
    });
    trial.await.map_err(io::Error::other)?
}
