//! A request in progress: its ID, its metrics, and its line in the audit log.

use std::sync::Arc;
use std::time::Instant;

use axum::http::{HeaderMap, HeaderValue};
use mosaico_engine::state::engine::Engine;
use mosaico_engine::state::metrics::{CallKind, Metrics};
use tonic::Code;

use crate::access::audit::{Audit, Trail};
use crate::access::table::{Rule, http_method};
use crate::request_layer::request_id;

/// Ends with the first of: its code, and its drop, which means that the client left.
pub(super) struct HttpCall {
    pub(super) id: HeaderValue,
    pub(super) trail: Trail,
    route: &'static str,
    metrics: Arc<Metrics>,
    begun: Instant,
    is_over: bool,
}

impl HttpCall {
    pub(super) fn begin(
        rule: &'static Rule,
        headers: &HeaderMap,
        engine: &Engine,
        audit: &Arc<Audit>,
    ) -> Self {
        let metrics = Arc::clone(&engine.metrics);
        metrics.call_begins(http_method(rule.call));
        Self {
            id: request_id(headers),
            trail: Trail::new(Arc::clone(audit)),
            route: rule.call,
            metrics,
            begun: Instant::now(),
            is_over: false,
        }
    }

    pub(super) fn ends(&mut self, code: Code) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let method = http_method(self.route);
        let kind = CallKind { method, action: self.route };
        self.metrics.call_ends(kind, code, self.begun.elapsed());
        let id = self.id.to_str().unwrap_or_default();
        self.trail.ends(id, &format!("{method} {}", self.route), false, code);
    }
}

impl Drop for HttpCall {
    fn drop(&mut self) {
        self.ends(Code::Cancelled);
    }
}
