//! The server that the HTTP port reports on, and reads from.

use std::sync::{Arc, OnceLock, Weak};

use mosaico_engine::access::keys::Keys;
use mosaico_engine::state::engine::Engine;
use mosaico_types::access::MonitoringLevel;

use super::mcap::layouts::Layouts;
use crate::access::audit::Audit;
use crate::limits::Gate;
use crate::peers::PeerPool;
use crate::server::Server;

/// Serves `/healthz` (the process responds), `/readyz` (it can serve), `/metrics` (OpenMetrics text), and the sequences
/// below `/api/v1/`. It can start before the server, whose recovery may take long.
#[derive(Debug, Clone, Default)]
pub struct HttpServer(pub(super) Arc<Watched>);

#[derive(Debug, Default)]
pub(super) struct Watched {
    /// What monitors without a key may see; `None`: the listener decides.
    pub(super) level: Option<MonitoringLevel>,
    pub(super) served: OnceLock<Served>,
    /// The layouts of MCAP files that clients read.
    pub(super) layouts: Layouts,
    /// Locked during the disk check: while one check blocks, no further check starts.
    pub(super) trying: Arc<tokio::sync::Mutex<()>>,
}

/// The parts of a server.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) engine: Weak<Engine>,
    pub(super) keys: Arc<Keys>,
    pub(super) gate: Arc<Gate>,
    pub(super) audit: Arc<Audit>,
    pub(super) peers: Arc<PeerPool>,
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

    pub(super) fn engine(&self) -> std::result::Result<Arc<Engine>, &'static str> {
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
