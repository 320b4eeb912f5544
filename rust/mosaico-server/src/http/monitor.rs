//! What monitors read: readiness and metrics.

use std::fmt::Display;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::TryFutureExt;
use mosaico_engine::state::disk::{Disk, disks};
use mosaico_engine::state::engine::Engine;
use mosaico_engine::state::metrics::{self, Gauges};
use mosaico_storage::error::Error;
use mosaico_storage::format::paths::layers_file;
use mosaico_storage::trace;
use serde_json::json;
use tokio::time::timeout;

use super::served::HttpServer;

/// The time limit of each readiness check.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) async fn counts(State(http): State<HttpServer>) -> Response {
    let text = match http.engine() {
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

pub(super) async fn ready(State(http): State<HttpServer>) -> Response {
    let reasons = match http.engine() {
        Ok(core) => obstacles(&core, &http).await,
        Err(reason) => vec![reason.to_owned()],
    };
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({"ready": reasons.is_empty(), "reasons": reasons});
    (status, [(CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}

/// The reasons why the server is not ready.
async fn obstacles(core: &Arc<Engine>, http: &HttpServer) -> Vec<String> {
    if let Err(error) = core.check_owner() {
        return vec![format!("ownership: {error}")];
    }
    let layers = layers_file();
    // Monitors are callers: the response omits the cause.
    let log = |error: &Error| tracing::warn!(cause = %error.detail(), "the server is not ready");
    let (catalog, store, disk) = tokio::join!(
        obstacle("catalog", core.catalog.answers().inspect_err(log)),
        obstacle("store", core.store.has(&layers).inspect_err(log)),
        obstacle("disk", write(core, http)),
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
async fn write(core: &Arc<Engine>, http: &HttpServer) -> io::Result<()> {
    let turn = Arc::clone(&http.0.trying).lock_owned().await;
    let scratch = core.store.staging_file().map_err(io::Error::other)?;
    let trial = trace::spawn_blocking(move || {
        let _turn = turn;
        std::fs::write(&scratch.file, b"ready?")
    });
    trial.await.map_err(io::Error::other)?
}
