//! The audit log: who did what, when, from where, with which result. Lines of the log with the target
//! `audit`: changes and refusals at the level `info`, reads at `debug`. No line contains a key.

use std::net::SocketAddr;
use std::sync::OnceLock;

use mosaico_engine::state::metrics::code_name;
use mosaico_types::access::Right;
use tonic::Code;

use super::identity::{Caller, Identity};
use super::table::{Needs, Surface, find, rpc};

/// What the log tells about the caller of a call.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    who: OnceLock<Identity>,
    from: OnceLock<SocketAddr>,
    /// The sequence or topic.
    subject: OnceLock<String>,
}

impl Trail {
    /// Notes who calls; `None`: nobody that the daemon knows.
    pub(super) fn is_of(&self, caller: Option<&Caller>, from: Option<SocketAddr>) {
        if let Some(caller) = caller {
            self.who.get_or_init(|| caller.identity);
        }
        if let Some(from) = from {
            self.from.get_or_init(|| from);
        }
    }

    /// Notes what the call concerns.
    pub(crate) fn concerns(&self, name: &str) {
        self.subject.get_or_init(|| name.to_owned());
    }

    /// Writes the line of a call that ended.
    pub(crate) fn ends(&self, request: &str, method: &str, action: &str, code: Code) {
        let call = if action.is_empty() { method } else { action };
        let rule = match action {
            "" => rpc(&format!("arrow.flight.protocol.FlightService/{method}")),
            action => find(Surface::Action, action).unwrap_or(rpc("")),
        };
        let is_change = matches!(rule.needs, Needs::Right(right) if right != Right::Read);
        let is_notable = is_change || code == Code::PermissionDenied;
        let is_shown = match is_notable {
            true => tracing::enabled!(target: "audit", tracing::Level::INFO),
            false => tracing::enabled!(target: "audit", tracing::Level::DEBUG),
        };
        if !is_shown {
            return;
        }
        let result = code_name(code);
        let who = self.who.get().map_or_else(|| "unknown".to_owned(), ToString::to_string);
        let from = self.from.get().map_or_else(|| "this process".to_owned(), ToString::to_string);
        let subject = self.subject.get().map(String::as_str).unwrap_or_default();
        if is_notable {
            tracing::info!(target: "audit", who, call, subject, from, result, request);
        } else {
            tracing::debug!(target: "audit", who, call, subject, from, result, request);
        }
    }
}
