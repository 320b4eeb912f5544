//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use mosaico_server::{Acknowledge, AnonymousLevel, Config, Error, MonitoringLevel, WalPlacement};
use mosaico_tls::TLS_SCHEME;

use crate::api_key_args::ApiKeyCommand;
use crate::limits::LimitArgs;
use crate::link_args::LinkCommand;
use crate::output_args::OutputArgs;
use crate::store::StoreArgs;
use crate::tls::{CertificateArgs, TlsArgs};
use crate::values::{HttpPort, Seconds, base_url, bytes, bytes_or_all, defaults, level, origin};

/// The daemon of a data platform for robots: records, stores and replays sequences over Arrow Flight.
#[derive(Debug, Parser)]
#[command(name = "mosaicod", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a store until SIGINT or SIGTERM.
    Run(RunArgs),
    /// Show the settings that `run` would have with the same options, and the source of each.
    Config(RunArgs),
    /// Rebuild the catalog from the store; resumes an interrupted rebuild.
    Rebuild(RebuildArgs),
    /// Compare records, chunks, WAL and catalog with each other.
    Check(CheckArgs),
    /// Delete unreferenced files and finish interrupted deletions.
    Gc(GcArgs),
    /// Merge small chunks of finalized sequences into large, time-sorted ones.
    Compact(CompactArgs),
    /// Count the contents of a store.
    Stats(StatsArgs),
    /// Import the sequences of another store that this store does not have yet.
    Import(ImportArgs),
    /// Create a CA, a server certificate and a client certificate for development.
    TlsInit(TlsInitArgs),
    /// Create, list and revoke API keys, also while daemons serve the store.
    #[command(subcommand)]
    ApiKey(ApiKeyCommand),
    /// Create signed links to sequences, and revoke them, also while daemons serve the store.
    #[command(subcommand)]
    Link(LinkCommand),
}

#[derive(Debug, Args)]
pub(crate) struct RebuildArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) certificate: CertificateArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TlsInitArgs {
    /// Folder for the files; created if needed.
    #[arg(value_name = "FOLDER", default_value = "tls")]
    pub(crate) folder: PathBuf,
    /// A name or IP address at which clients reach the daemon; several are possible. Those of this machine
    /// (localhost, 127.0.0.1, ::1) are always included.
    #[arg(long = "host", value_name = "NAME")]
    pub(crate) hosts: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Read every chunk too: checksum, rows, order, statistics.
    #[arg(long)]
    pub(crate) deep: bool,
    /// Rewrite damaged records that have an intact copy; damaged files are kept below `damaged/`.
    #[arg(long)]
    pub(crate) repair: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct GcArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Age at which files are deleted.
    #[arg(long, value_name = "SECONDS", env = "MOSAICO_ORPHAN_GRACE", default_value_t = Seconds(defaults().orphan_grace))]
    pub(crate) orphan_grace: Seconds,
    /// Only list the deletions.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CompactArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Arrow bytes per chunk; many smaller chunks are merged. 0: all chunks of a topic into one.
    #[arg(long, value_name = "BYTES", env = "MOSAICO_MAX_CHUNK_SIZE_IN_BYTES", default_value_t = defaults().chunk_bytes)]
    pub(crate) chunk_bytes: usize,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Another store (a folder, or a URL with file://, s3://, gs:// or az://), the store of a Mosaico daemon
    /// 0.2 to 0.4, or with --mapping a folder of plain Parquet files; it is only read.
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Stores of Mosaico do not record which sequences are complete: treat all as complete. Without this
    /// option they are only listed.
    #[arg(long)]
    pub(crate) assume_finalized: bool,
    /// A TOML file that maps columns of plain Parquet files to topics.
    #[arg(long, value_name = "FILE", conflicts_with = "assume_finalized")]
    pub(crate) mapping: Option<PathBuf>,
    /// Only list the imports.
    #[arg(long, requires = "mapping")]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Address to listen on; without a value all addresses of this machine.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1", num_args = 0..=1, default_missing_value = "0.0.0.0")]
    pub(crate) host: String,
    /// Port to listen on; 0 picks a free one.
    #[arg(long, default_value_t = 6726)]
    pub(crate) port: u16,
    /// Port for HTTP: the page, sequences for pages and players, /metrics, /healthz and /readyz for monitors; 0 picks a free
    /// one, `off` opens none. [default: the port after --port; a free one with --port 0]
    #[arg(long, value_name = "PORT", env = "MOSAICO_HTTP_PORT")]
    http_port: Option<HttpPort>,
    /// Address of the HTTP port; without a value all addresses of this machine.
    #[arg(long, value_name = "ADDR", env = "MOSAICO_HTTP_HOST", default_value = "127.0.0.1", num_args = 0..=1, default_missing_value = "0.0.0.0")]
    http_host: String,
    /// URL at which clients reach the HTTP port, for links. [default: the address that it listens on, unless
    /// that is all addresses]
    #[arg(long, value_name = "URL", env = "MOSAICO_HTTP_URL", value_parser = base_url)]
    http_url: Option<String>,
    /// Origin whose web pages may read from the HTTP port, such as https://robots.example.org; * for all.
    #[arg(long, value_name = "ORIGIN", env = "MOSAICO_HTTP_ALLOW_ORIGIN", value_parser = origin)]
    http_allow_origin: Option<String>,
    /// Format of the log on standard error; RUST_LOG sets the filter.
    #[arg(long, value_name = "FORMAT", env = "MOSAICO_LOG_FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
    /// Serve the bucket together with other daemons that have this option, the same store and the same
    /// --database.
    #[arg(long, env = "MOSAICO_SHARED_STORE")]
    shared: bool,
    /// With --shared: address at which other daemons reach this one; by default the address that it listens
    /// on.
    #[arg(long, value_name = "HOST:PORT", env = "MOSAICO_ADVERTISE", requires = "shared")]
    advertise: Option<String>,
    /// Arrow bytes per stored chunk. 0: one chunk per upload, whose WAL must fit the disk, and whose rows the
    /// memory if they are out of order.
    #[arg(long, value_name = "BYTES", env = "MOSAICO_MAX_CHUNK_SIZE_IN_BYTES", default_value_t = defaults().chunk_bytes, value_parser = bytes)]
    chunk_bytes: usize,
    /// Arrow bytes per Parquet row group.
    #[arg(long, value_name = "BYTES", default_value_t = defaults().row_group_bytes, value_parser = bytes)]
    row_group_bytes: usize,
    /// Largest accepted message, as sent and as unpacked.
    #[arg(long, value_name = "BYTES", env = "MOSAICO_MAX_MESSAGE_SIZE_IN_BYTES", default_value_t = defaults().max_message_bytes, value_parser = bytes)]
    max_message_bytes: usize,
    /// Arrow bytes per sent message.
    #[arg(long, value_name = "BYTES", env = "MOSAICO_TARGET_MESSAGE_SIZE_IN_BYTES", default_value_t = defaults().message_bytes, value_parser = bytes)]
    message_bytes: usize,
    /// Minimum time between two syncs of a topic's WAL; a longer time saves disk work and delays
    /// acknowledgements.
    #[arg(long, value_name = "SECONDS", env = "MOSAICO_SYNC_INTERVAL", default_value_t = Seconds(defaults().sync_interval))]
    sync_interval: Seconds,
    /// What acknowledged rows survive: `synced`, a crash of the machine; `written`, one of the daemon.
    #[arg(long, value_name = "WHAT", env = "MOSAICO_ACKNOWLEDGE", default_value = "synced")]
    acknowledge: AcknowledgeArg,
    /// Where the write-ahead log of acknowledged rows is: `disk`, on this machine; `replicated`, in the
    /// bucket too, so that the rows survive the loss of the machine.
    #[arg(long, value_name = "WHERE", env = "MOSAICO_WAL", default_value = "disk")]
    wal: WalArg,
    /// Received bytes of all lanes together that may wait for the disk.
    #[arg(long, value_name = "BYTES", default_value_t = defaults().ingest_bytes, value_parser = bytes)]
    ingest_bytes: usize,
    /// Chunks that are encoded concurrently.
    #[arg(long, value_name = "N", default_value_t = defaults().chunk_jobs)]
    chunk_jobs: usize,
    /// Chunks that queries search concurrently.
    #[arg(long, value_name = "N", env = "MOSAICO_MAX_CONCURRENT_CHUNK_QUERIES", default_value_t = defaults().query_jobs)]
    query_jobs: usize,
    /// Time without a heartbeat after which the writer of an open sequence is considered dead; its sequence
    /// ends by its policy: removed, or kept as it is with a notification. 0: never.
    #[arg(long, value_name = "SECONDS", env = "MOSAICO_WRITER_TIMEOUT", default_value_t = Seconds(defaults().writer_timeout.unwrap_or_default()))]
    writer_timeout: Seconds,
    /// Age at which unreferenced files are deleted.
    #[arg(long, value_name = "SECONDS", env = "MOSAICO_ORPHAN_GRACE", default_value_t = Seconds(defaults().orphan_grace))]
    orphan_grace: Seconds,
    /// Pace at which stored chunks are verified in the background, one pass a day at most. 0: never.
    #[arg(long, value_name = "BYTES", env = "MOSAICO_SCRUB_BYTES_PER_SECOND", default_value_t = defaults().scrub_bytes_per_second)]
    scrub_bytes_per_second: u64,
    /// Minimum number of events that are kept.
    #[arg(long, value_name = "N", env = "MOSAICO_EVENTS_KEPT", default_value_t = defaults().events_kept)]
    events_kept: usize,
    #[command(flatten)]
    limits: LimitArgs,
    /// What callers without an API key may do.  [default: all if only this machine reaches the daemon, else
    /// none]
    #[arg(long, value_name = "LEVEL", env = "MOSAICO_ANONYMOUS", value_parser = level::<AnonymousLevel>(AnonymousLevel::ALL, AnonymousLevel::as_str))]
    anonymous: Option<AnonymousLevel>,
    /// What callers without an API key may see of the daemon's health and metrics.  [default: metrics if only
    /// this machine reaches the port, else health]
    #[arg(long, value_name = "LEVEL", env = "MOSAICO_MONITORING", value_parser = level::<MonitoringLevel>(MonitoringLevel::ALL, MonitoringLevel::as_str))]
    monitoring: Option<MonitoringLevel>,
    /// Append the audit log to this file, one JSON object per line; it is in the log output too.
    #[arg(long, value_name = "FILE", env = "MOSAICO_AUDIT_LOG")]
    pub(crate) audit_log: Option<PathBuf>,
    /// Do not warn if other machines reach the daemon without encryption or without API keys.
    #[arg(long, env = "MOSAICO_INSECURE")]
    pub(crate) insecure: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum AcknowledgeArg {
    Synced,
    Written,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum WalArg {
    Disk,
    Replicated,
}

impl RunArgs {
    /// The address of the HTTP port.
    pub(crate) fn http(&self) -> Option<(&str, u16)> {
        let port = match (self.http_port, self.port) {
            (Some(HttpPort::Off), _) => return None,
            (Some(HttpPort::On(port)), _) => port,
            (None, 0) => 0,
            // 65535 has none after it.
            (None, port) => port.checked_add(1)?,
        };
        Some((&self.http_host, port))
    }

    /// Whether somebody asked for the HTTP port, so that it is an error if it is taken.
    pub(crate) fn needs_http(&self) -> bool {
        self.http_port.is_some()
    }

    /// The address at which other daemons on the store reach this one, which listens at `bound`; `None`: the
    /// store is not shared. With `tls` it has the scheme of addresses with TLS.
    pub(crate) fn advertised(&self, bound: SocketAddr, tls: bool) -> Result<Option<String>, Error> {
        let scheme = if tls { TLS_SCHEME } else { "" };
        match &self.advertise {
            _ if !self.shared => Ok(None),
            Some(address) if address.contains("://") => Ok(Some(address.clone())),
            Some(address) => Ok(Some(format!("{scheme}{address}"))),
            None if bound.ip().is_unspecified() => Err(Error::Startup(format!(
                "other daemons cannot reach {bound}; add --advertise HOST:PORT, or a --host that they reach"
            ))),
            None => Ok(Some(format!("{scheme}{bound}"))),
        }
    }

    /// The server's configuration, and the store's location for messages to people.
    pub(crate) fn config(&self) -> Result<(Config, String), Error> {
        let (config, shown) = self.store.config()?;
        let config = Config {
            chunk_bytes: bytes_or_all(self.chunk_bytes),
            row_group_bytes: self.row_group_bytes,
            max_message_bytes: self.max_message_bytes,
            message_bytes: self.message_bytes,
            sync_interval: self.sync_interval.0,
            acknowledge: match self.acknowledge {
                AcknowledgeArg::Synced => Acknowledge::Synced,
                AcknowledgeArg::Written => Acknowledge::Written,
            },
            wal: match self.wal {
                WalArg::Disk => WalPlacement::Disk,
                WalArg::Replicated => WalPlacement::Replicated,
            },
            ingest_bytes: self.ingest_bytes,
            chunk_jobs: self.chunk_jobs,
            query_jobs: self.query_jobs,
            writer_timeout: Some(self.writer_timeout.0).filter(|timeout| !timeout.is_zero()),
            orphan_grace: self.orphan_grace.0,
            scrub_bytes_per_second: self.scrub_bytes_per_second,
            events_kept: self.events_kept,
            read_bytes: self.limits.read_bytes,
            limits: self.limits.limits(),
            anonymous: self.anonymous,
            monitoring: self.monitoring,
            http_url: self.http_url.clone(),
            http_allow_origin: self.http_allow_origin.clone(),
            audit_log: self.audit_log.clone(),
            ..config
        };
        Ok((config, shown))
    }
}
