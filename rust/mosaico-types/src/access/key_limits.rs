use std::fmt;

use serde::{Deserialize, Serialize};

/// What the calls of one caller may take together. A limit that is missing is that of the daemon.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyLimits {
    /// Calls in progress: each open upload and each open read is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<u32>,
    /// Calls that begin per second, on average over some seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_rate: Option<u32>,
    /// Bytes of uploads that the daemon receives or has not stored yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

impl KeyLimits {
    /// Whether all limits are those of the daemon.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for KeyLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = [
            ("calls", self.calls.map(u64::from)),
            ("call-rate", self.call_rate.map(u64::from)),
            ("bytes", self.bytes),
        ];
        let limits = limits.iter().filter_map(|(name, value)| Some(format!("{name}={}", (*value)?)));
        f.write_str(&limits.collect::<Vec<_>>().join(","))
    }
}
