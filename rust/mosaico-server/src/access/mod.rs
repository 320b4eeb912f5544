//! Who may call what. Each call passes two points:
//!
//! 1. [`layer`] (RPCs) and [`crate::http`] find out who calls ([`identity`]) and look up the call in the
//!    [`table`]. A call that the table does not list is refused.
//! 2. [`check`] decides, as soon as the name of the sequence is known, from the caller's grant, the right in
//!    the table, and the name alone. It never looks whether the sequence exists.
//!
//! Lists, queries and events get the caller's visibility as a value.

pub(crate) mod audit;
pub(crate) mod check;
pub(crate) mod identity;
pub(crate) mod layer;
pub(crate) mod table;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use mosaico_engine::access::keys::Keys;
use mosaico_engine::state::clock::Clock;
use mosaico_engine::state::config::Config;
use mosaico_types::access::{AnonymousLevel, Grant, MonitoringLevel};

/// The access rules of a server, or of one of its listeners.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) keys: Arc<Keys>,
    /// What callers without credentials may do.
    pub(crate) anonymous: Grant,
    pub(crate) monitoring: MonitoringLevel,
    /// Whether the calls of the audit log are events. Where everybody may do everything, nobody needs them.
    pub(crate) is_audited: bool,
    /// By which links expire.
    clock: Arc<dyn Clock>,
}

impl Access {
    /// The rules for callers that reach the server at `bound`; `None`: over connections of this process.
    pub(crate) fn new(keys: Arc<Keys>, config: &Config, bound: Option<SocketAddr>) -> Arc<Self> {
        Arc::new(Self::rules(keys, config, bound))
    }

    /// The rules for monitors, which need a key for what is above their level.
    pub(crate) fn of_monitors(
        keys: Arc<Keys>,
        config: &Config,
        bound: SocketAddr,
        monitoring: MonitoringLevel,
    ) -> Arc<Self> {
        let rules = Self::rules(keys, config, Some(bound));
        Arc::new(Self { anonymous: Grant::default(), monitoring, ..rules })
    }

    fn rules(keys: Arc<Keys>, config: &Config, bound: Option<SocketAddr>) -> Self {
        let anonymous = config.anonymous.unwrap_or_else(|| default_anonymous(bound));
        let monitoring = config.monitoring.unwrap_or_else(|| default_monitoring(bound));
        let is_audited = anonymous != AnonymousLevel::All;
        let clock = Arc::clone(&config.clock);
        Self { keys, anonymous: anonymous.grant(), monitoring, is_audited, clock }
    }

    /// The time of the server.
    pub(crate) fn now_ns(&self) -> i64 {
        let since = self.clock.wall().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    }
}

/// The address that a listener is bound to decides, never the address of a caller: a proxy on this machine
/// makes every caller look local.
fn is_local(bound: Option<SocketAddr>) -> bool {
    bound.is_none_or(|bound| bound.ip().to_canonical().is_loopback())
}

/// The level of anonymous access for a listener at `bound`, unless a setting says otherwise.
pub fn default_anonymous(bound: Option<SocketAddr>) -> AnonymousLevel {
    if is_local(bound) { AnonymousLevel::All } else { AnonymousLevel::None }
}

/// The level of monitoring for a listener at `bound`, unless a setting says otherwise.
pub fn default_monitoring(bound: Option<SocketAddr>) -> MonitoringLevel {
    if is_local(bound) { MonitoringLevel::Metrics } else { MonitoringLevel::Health }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listeners_of_this_machine_are_open() {
        for (bound, local) in [
            ("127.0.0.1:1", true),
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("10.0.0.1:1", false),
        ] {
            let bound = Some(bound.parse().unwrap());
            assert_eq!(default_anonymous(bound) == AnonymousLevel::All, local, "{bound:?}");
            assert_eq!(default_anonymous(bound) == AnonymousLevel::None, !local, "{bound:?}");
            assert_eq!(default_monitoring(bound) == MonitoringLevel::Metrics, local, "{bound:?}");
        }
        assert_eq!(default_anonymous(None), AnonymousLevel::All);
    }
}
