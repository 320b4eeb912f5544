//! The HTTP port: the page, what it and players read (sequences and their rows), and what monitors read (liveness,
//! readiness, metrics). Nothing here changes anything.
//!
//! [`admit`] is the border of all routes; behind it, a [`reader`] answers with the same readers, budgets and limits as
//! Flight.

mod admit;
mod answer;
mod arrow_body;
mod call;
mod density;
mod failure;
mod fields;
mod frame;
mod info;
mod json_rows;
mod list;
mod live;
mod mcap;
mod monitor;
mod page;
mod parameters;
mod picture;
mod reader;
mod rows;
mod search;
mod sequence;
mod series;
mod served;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use mosaico_storage::error::{Error, Result};
use mosaico_tls::ServerTls;
use mosaico_types::access::MonitoringLevel;
use tokio::net::TcpListener;

use self::admit::{Guard, admit};
pub use self::served::HttpServer;
use crate::access::default_monitoring;
use crate::brief::Brief;
use crate::limits::MAX_BODY_BYTES;
use crate::listen::{HttpListener, HttpPeer};

impl HttpServer {
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
            .route("/", get(page::index))
            .route("/icon.svg", get(page::icon))
            .route("/assets/{*path}", get(page::asset))
            .route("/sequences/{file}", get(mcap::file))
            .route("/api/v1/info", get(info::info))
            .route("/api/v1/events", get(live::live))
            .route("/api/v1/query", post(search::search))
            .route("/api/v1/sequences", get(list::sequences))
            .route("/api/v1/sequences/{name}", get(sequence::sequence))
            .route("/api/v1/sequences/{name}/density", get(density::density))
            .route("/api/v1/sequences/{name}/topics/{topic}/series", get(series::topic_series))
            .route("/api/v1/sequences/{name}/topics/{topic}/messages", get(rows::messages))
            .route("/api/v1/sequences/{name}/topics/{topic}/frame", get(frame::frame))
            .route("/api/v1/sequences/{name}/topics/{topic}/data", get(rows::data))
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            .layer(from_fn_with_state(guard, admit))
            .with_state(self.clone())
    }
}
