//! What peers may take of this server: connections, calls, bytes and time. Every limit has a default that a
//! usual fleet never reaches.

use std::time::Duration;

use mosaico_storage::error::{Error, Result};
use tokio::sync::OwnedSemaphorePermit;

/// Permits of budgets for the bytes of one received message. Its bytes are released when it is dropped.
pub type Receipt = Vec<OwnedSemaphorePermit>;

/// The largest size that a setting accepts: more than the memory or a single disk of today's machines, and far
/// below the numbers at which sums of sizes overflow.
pub const LARGEST_SIZE: usize = 16 << 40;

/// Limits of all peers together, of one address, of one API key, and of one connection.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections of all peers.
    pub connections: usize,
    /// Connections of one address.
    pub address_connections: usize,
    /// Calls in progress of all peers.
    pub calls: usize,
    /// Calls in progress of one address.
    pub address_calls: usize,
    /// Calls in progress on one connection.
    pub connection_calls: u32,
    /// Calls that one address may begin per second; it may begin those of [`Limits::BURST`] seconds at once.
    pub address_call_rate: u32,
    /// Calls in progress of one API key that has no limit of its own.
    pub key_calls: usize,
    /// Calls that such a key may begin per second; see [`Limits::address_call_rate`].
    pub key_call_rate: u32,
    /// How long a query may take.
    pub query_time: Duration,
    /// Rows that a query may read.
    pub query_rows: u64,
    /// How long a new connection may take until its first frames of HTTP/2.
    pub connect_timeout: Duration,
    /// How long a call may wait for its first message, and an unfinished message for its next part.
    pub message_timeout: Duration,
    /// How long a peer may leave the answer of a call unread.
    pub read_timeout: Duration,
    /// Bytes of the headers of one call.
    pub header_bytes: u32,
    /// Segments of the write-ahead log that are held open between two writes.
    pub open_segments: usize,
}

impl Limits {
    /// See [`Limits::address_call_rate`].
    pub const BURST: u32 = 5;

    /// Refuses values that no server can work with.
    pub fn check(&self) -> Result<()> {
        let counts = [
            ("max_connections", self.connections),
            ("max_address_connections", self.address_connections),
            ("max_calls", self.calls),
            ("max_address_calls", self.address_calls),
            ("max_connection_calls", self.connection_calls as usize),
            ("max_address_call_rate", self.address_call_rate as usize),
            ("max_key_calls", self.key_calls),
            ("max_key_call_rate", self.key_call_rate as usize),
            ("max_query_rows", usize::try_from(self.query_rows).unwrap_or(usize::MAX)),
            ("max_header_bytes", self.header_bytes as usize),
            ("open_segments", self.open_segments),
        ];
        let times = [
            ("max_query_time", self.query_time),
            ("connect_timeout", self.connect_timeout),
            ("message_timeout", self.message_timeout),
            ("read_timeout", self.read_timeout),
        ];
        let zero = counts.iter().find(|(_, value)| *value == 0).map(|(name, _)| name);
        let zero = zero.or(times.iter().find(|(_, time)| time.is_zero()).map(|(name, _)| name));
        match zero {
            Some(name) => Err(Error::Startup(format!("{name} is 0; it must be more"))),
            None => Ok(()),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            address_connections: 512,
            calls: 4096,
            address_calls: 3072,
            connection_calls: 1024,
            address_call_rate: 2000,
            key_calls: 3072,
            key_call_rate: 2000,
            query_time: Duration::from_secs(600),
            query_rows: 10_000_000_000,
            connect_timeout: Duration::from_secs(10),
            message_timeout: Duration::from_secs(30),
            read_timeout: Duration::from_secs(3600),
            header_bytes: 16 << 10,
            open_segments: 256,
        }
    }
}

/// Refuses sizes at which arithmetic would overflow; nobody means them.
pub fn check_sizes(sizes: &[(&str, usize)]) -> Result<()> {
    match sizes.iter().find(|(_, size)| *size > LARGEST_SIZE) {
        Some((name, size)) => Err(Error::Startup(format!(
            "{name} is {size} bytes; the largest accepted size is {LARGEST_SIZE} bytes (16 TiB)"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_nobody_means_are_refused_by_name() {
        assert!(check_sizes(&[("a_bytes", LARGEST_SIZE)]).is_ok());
        let error = check_sizes(&[("a_bytes", 1), ("b_bytes", LARGEST_SIZE + 1)]).unwrap_err();
        assert!(error.to_string().starts_with("b_bytes is 17592186044417 bytes"), "{error}");
        let limits = Limits { calls: 0, ..Limits::default() };
        assert_eq!(limits.check().unwrap_err().to_string(), "max_calls is 0; it must be more");
        let limits = Limits { read_timeout: Duration::ZERO, ..Limits::default() };
        assert_eq!(limits.check().unwrap_err().to_string(), "read_timeout is 0; it must be more");
    }
}
