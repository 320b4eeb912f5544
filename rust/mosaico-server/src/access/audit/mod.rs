//! The audit log: who did what, when, from where, with which result. Each change and each refusal is a line of
//! the log output with the target `audit`; the same line is appended to a file of its own, if there is one,
//! and is an event of the store where not everybody may do everything. Reads are lines at the level `debug`.
//! No line contains a key.
//!
//! Calls that fail are cheap to repeat, so the same failure again is counted instead of written: [`repeats`].

pub(crate) mod commands;
mod file;
mod line;
mod log;
mod repeats;
mod writer;

use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use mosaico_engine::state::engine::Engine;
use mosaico_engine::state::metrics::code_name;
use mosaico_types::access::{Fingerprint, Right};
use mosaico_types::{MAX_NAME_BYTES, now_ns};
use mosaico_wire::event::name::SEQUENCE_KEEP_ALIVE;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Code;

pub(crate) use self::file::AuditFile;
use self::line::Line;
pub(crate) use self::log::Audit;
use self::log::WAITING;
use super::identity::Caller;
use super::table::{Needs, Surface, find, rpc};

/// The longest text of a subject in a line; valid names are shorter.
const MAX_SUBJECT_BYTES: usize = 2 * MAX_NAME_BYTES;

impl Audit {
    /// The audit log of an engine, with a file of its own or without one.
    pub(crate) fn new(engine: &Engine, file: Option<AuditFile>) -> Arc<Self> {
        let (lines, waiting) = mpsc::channel(WAITING);
        let audit = Arc::new(Self {
            repeats: Mutex::default(),
            lines,
            lost: AtomicU64::new(0),
            ending: CancellationToken::new(),
            writer: Mutex::default(),
        });
        let writing = writer::run(Arc::clone(&audit), waiting, engine.catalog.clone(), file);
        *audit.writer.lock() = Some(engine.tasks.spawn(writing));
        audit
    }
}

/// What the audit log contains about the caller of a call.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    /// `None` in tests.
    audit: Option<Arc<Audit>>,
    who: OnceLock<String>,
    from: OnceLock<SocketAddr>,
    /// The sequence or topic.
    subject: OnceLock<String>,
    /// Whether the rules of the listener distinguish callers.
    is_event: OnceLock<()>,
}

impl Trail {
    pub(crate) fn new(audit: Arc<Audit>) -> Self {
        Self { audit: Some(audit), ..Self::default() }
    }

    /// Notes who calls.
    pub(crate) fn is_of(&self, caller: &Caller) {
        self.who.get_or_init(|| caller.description());
    }

    /// Notes a caller that the daemon does not know; `claimed`: the key that it has, which is not valid.
    pub(crate) fn is_of_unknown(&self, claimed: Option<Fingerprint>) {
        let who = || claimed.map_or_else(|| "unknown".to_owned(), |key| format!("invalid key {key}"));
        self.who.get_or_init(who);
    }

    /// Notes the address of the caller, and whether its calls are events.
    pub(crate) fn is_from(&self, from: Option<SocketAddr>, is_event: bool) {
        if let Some(from) = from {
            self.from.get_or_init(|| from);
        }
        if is_event {
            self.is_event.get_or_init(|| ());
        }
    }

    /// Notes what the call concerns. The name may be the caller's invention, of any length.
    pub(crate) fn concerns(&self, name: &str) {
        self.subject.get_or_init(|| name[..name.floor_char_boundary(MAX_SUBJECT_BYTES)].to_owned());
    }

    /// Writes the line of an RPC that ended.
    pub(crate) fn rpc_ends(&self, request: &str, method: &str, action: &str, code: Code) {
        let call = if action.is_empty() { method } else { action };
        let rule = match action {
            "" => rpc(&format!("arrow.flight.protocol.FlightService/{method}")),
            action => find(Surface::Action, action).unwrap_or(rpc("")),
        };
        // Heartbeats of writers change nothing.
        let is_change = matches!(rule.needs, Needs::Right(right) if right != Right::Read);
        self.ends(request, call, is_change && action != SEQUENCE_KEEP_ALIVE, code);
    }

    /// Writes the line of a call that ended.
    pub(crate) fn ends(&self, request: &str, call: &str, is_change: bool, code: Code) {
        let Some(audit) = &self.audit else { return };
        let is_notable = is_change || code == Code::PermissionDenied;
        if !is_notable && !tracing::enabled!(target: "audit", tracing::Level::DEBUG) {
            return;
        }
        let line = Line {
            at_ns: now_ns(),
            who: self.who.get().cloned().unwrap_or_else(|| "unknown".to_owned()),
            call: call.to_owned(),
            subject: self.subject.get().cloned().unwrap_or_default(),
            from: self.from.get().map_or_else(|| "this process".to_owned(), ToString::to_string),
            result: code_name(code),
            request: request.to_owned(),
            times: None,
            is_event: self.is_event.get().is_some(),
        };
        if is_notable {
            audit.add(line);
        } else {
            let Line { who, call, subject, from, result, request, .. } = &line;
            tracing::debug!(target: "audit", who, call, subject, from, result, request);
        }
    }
}
