//! Who may do what: API keys, rights and the sequences that they cover. Pure rules, without I/O.
//!
//! ```text
//! identity (key, peer, nobody)  →  Grant (rights × patterns)  →  decide(right, subject)
//! ```

mod grant;
mod key_limits;
mod pattern;
mod rights;
mod token;

pub use grant::{AnonymousLevel, Decision, Grant, MonitoringLevel, Scope, ScopeError, Subject, Visibility};
pub use key_limits::KeyLimits;
pub use pattern::{Pattern, PatternError};
pub use rights::{Right, Rights, RightsError};
pub use token::{Fingerprint, FingerprintError, Token};
