//! What the calls of a connection reveal about it and its address.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use mosaico_types::ErrorCode;
use mosaico_wire::status::ERROR_HEADER;
use parking_lot::Mutex;
use tonic::codegen::http::HeaderMap;

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
