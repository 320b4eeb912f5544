//! What the calls of a connection reveal about it and its address, and the check that its daemon is alive.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mosaico_types::{ErrorCode, ErrorKind};
use mosaico_wire::status::ERROR_HEADER;
use parking_lot::Mutex;
use tonic::Code;
use tonic::codegen::http::HeaderMap;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::route::Route;

/// The health of a connection.
#[derive(Debug, Default)]
pub(crate) struct Health {
    broken: AtomicBool,
    /// The address, if there is a choice.
    place: Option<(Arc<Mutex<Route>>, usize)>,
}

impl Health {
    pub(crate) fn new(place: Option<(Arc<Mutex<Route>>, usize)>) -> Self {
        Self { broken: AtomicBool::new(false), place }
    }

    /// Whether new calls should use the connection.
    pub(crate) fn is_usable(&self) -> bool {
        let avoided = |(route, at): &(Arc<Mutex<Route>>, usize)| route.lock().is_avoided(*at, Instant::now());
        !self.broken.load(Ordering::Relaxed) && !self.place.as_ref().is_some_and(avoided)
    }

    /// The connection broke. Whether its address still serves is for the next connection to find out.
    pub(crate) fn broke(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    /// The daemon at the address does not serve.
    pub(crate) fn failed(&self) {
        if let Some((route, at)) = &self.place {
            route.lock().failed(*at, Instant::now());
        }
    }

    /// Looks at the status in the headers or trailers of an answer: a daemon without its store or its database, or
    /// one that shuts down, serves nobody for a while.
    pub(crate) fn look(&self, headers: &HeaderMap) {
        let code = headers.get(ERROR_HEADER).and_then(|code| code.to_str().ok()).and_then(ErrorCode::parse);
        if let Some(ErrorCode::StoreUnavailable | ErrorCode::OwnershipLost | ErrorCode::ShuttingDown) = code {
            self.failed();
        }
    }
}

impl Connection {
    /// Checks that the daemon answers within `limit`: any answer will do, since Mosaico's daemons know no health
    /// checks, but not that of a proxy without a daemon.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`]; then the connection counts as broken, and its address is avoided for a while.
    pub(crate) async fn check(&self, limit: Duration) -> Result<()> {
        let mut client = HealthClient::new(self.channel.clone());
        let answer = client.check(HealthCheckRequest { service: String::new() });
        let failure = match tokio::time::timeout(limit, answer).await {
            Err(_) => {
                format!("the connection is open, but no daemon answered within {} s", limit.as_secs_f64())
            }
            Ok(Ok(answer)) if is_serving(answer.get_ref()) => return Ok(()),
            Ok(Ok(_)) => "the daemon does not serve now".to_owned(),
            Ok(Err(status)) if status.code() == Code::Unavailable || is_local(&status) => {
                Error::from(status).message
            }
            Ok(Err(_)) => return Ok(()),
        };
        self.health.broke();
        self.health.failed();
        Err(Error::new(ErrorKind::Unavailable, failure))
    }
}

fn is_serving(answer: &HealthCheckResponse) -> bool {
    answer.status() != ServingStatus::NotServing
}

/// Whether a status was created on this side.
fn is_local(status: &tonic::Status) -> bool {
    std::error::Error::source(status).is_some()
}
