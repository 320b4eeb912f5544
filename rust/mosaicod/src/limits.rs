//! Options for what peers may take of the daemon, and what the system gives it.

use clap::Args;
use mosaico_server::Limits;

use crate::values::{Seconds, bytes, defaults};

/// The options of `run` that are limits of peers.
#[derive(Debug, Args)]
pub(crate) struct LimitArgs {
    /// Bytes of messages that reads hold, all reads together.
    #[arg(long, value_name = "BYTES", env = "MOSAICO_READ_BYTES", default_value_t = defaults().read_bytes, value_parser = bytes)]
    pub(crate) read_bytes: usize,
    /// Open connections; the oldest idle one makes room for a new one. Also at most half of the file descriptors.
    #[arg(long, value_name = "N", env = "MOSAICO_MAX_CONNECTIONS", default_value_t = defaults().limits.connections)]
    max_connections: usize,
    /// Open connections of one address.
    #[arg(long, value_name = "N", env = "MOSAICO_MAX_ADDRESS_CONNECTIONS", default_value_t = defaults().limits.address_connections)]
    max_address_connections: usize,
    /// Calls in progress; each open upload and each open read is one.
    #[arg(long, value_name = "N", env = "MOSAICO_MAX_CALLS", default_value_t = defaults().limits.calls)]
    max_calls: usize,
    /// Calls in progress of one address.
    #[arg(long, value_name = "N", env = "MOSAICO_MAX_ADDRESS_CALLS", default_value_t = defaults().limits.address_calls)]
    max_address_calls: usize,
    /// Calls in progress on one connection.
    #[arg(long, value_name = "N", env = "MOSAICO_MAX_CONNECTION_CALLS", default_value_t = defaults().limits.connection_calls)]
    max_connection_calls: u32,
    /// Calls that one address may begin per second, on average over five seconds.
    #[arg(long, value_name = "N", env = "MOSAICO_MAX_ADDRESS_CALL_RATE", default_value_t = defaults().limits.address_call_rate)]
    max_address_call_rate: u32,
    /// Calls in progress of one API key, unless it has a limit of its own.
    #[arg(long, value_name = "N", env = "MOSAICO_MAX_KEY_CALLS", default_value_t = defaults().limits.key_calls)]
    max_key_calls: usize,
    /// Calls that one API key may begin per second, on average over five seconds, unless it has a limit of its
    /// own.
    #[arg(long, value_name = "N", env = "MOSAICO_MAX_KEY_CALL_RATE", default_value_t = defaults().limits.key_call_rate)]
    max_key_call_rate: u32,
    /// Time that a query may take.
    #[arg(long, value_name = "SECONDS", env = "MOSAICO_MAX_QUERY_TIME", default_value_t = Seconds(defaults().limits.query_time))]
    max_query_time: Seconds,
    /// Rows that a query may read.
    #[arg(long, value_name = "N", env = "MOSAICO_MAX_QUERY_ROWS", default_value_t = defaults().limits.query_rows)]
    max_query_rows: u64,
    /// Bytes of the headers of one call.
    #[arg(long, value_name = "BYTES", env = "MOSAICO_MAX_HEADER_BYTES", default_value_t = defaults().limits.header_bytes)]
    max_header_bytes: u32,
    /// Time in which a new connection has to send its first frames of HTTP/2.
    #[arg(long, value_name = "SECONDS", env = "MOSAICO_CONNECT_TIMEOUT", default_value_t = Seconds(defaults().limits.connect_timeout))]
    connect_timeout: Seconds,
    /// Time in which a call has to send its first message, and an unfinished message its next 256 KiB.
    #[arg(long, value_name = "SECONDS", env = "MOSAICO_MESSAGE_TIMEOUT", default_value_t = Seconds(defaults().limits.message_timeout))]
    message_timeout: Seconds,
    /// Time for which a reader may leave an answer unread.
    #[arg(long, value_name = "SECONDS", env = "MOSAICO_READ_TIMEOUT", default_value_t = Seconds(defaults().limits.read_timeout))]
    read_timeout: Seconds,
    /// Segments of the write-ahead log that are held open between two writes. Also at most an eighth of the file
    /// descriptors.
    #[arg(long, value_name = "N", env = "MOSAICO_OPEN_SEGMENTS", default_value_t = defaults().limits.open_segments)]
    open_segments: usize,
}

impl LimitArgs {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            connections: self.max_connections,
            address_connections: self.max_address_connections,
            calls: self.max_calls,
            address_calls: self.max_address_calls,
            connection_calls: self.max_connection_calls,
            address_call_rate: self.max_address_call_rate,
            key_calls: self.max_key_calls,
            key_call_rate: self.max_key_call_rate,
            query_time: self.max_query_time.0,
            query_rows: self.max_query_rows,
            connect_timeout: self.connect_timeout.0,
            message_timeout: self.message_timeout.0,
            read_timeout: self.read_timeout.0,
            header_bytes: self.max_header_bytes,
            open_segments: self.open_segments,
        }
    }
}

/// Raises the soft limit of open files to the hard limit: the soft one is low for programs that use `select`.
#[cfg(unix)]
pub(crate) fn raise_descriptors() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `getrlimit` writes to the given struct only, and `setrlimit` reads it only.
    let raised = unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 && {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) == 0
        }
    };
    if !raised {
        let cause = std::io::Error::last_os_error();
        tracing::warn!(%cause, "the limit of open files cannot be raised; the current one stays");
    }
}
