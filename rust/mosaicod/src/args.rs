//! The command line.

use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use mosaico_server::{Acknowledge, Config, Error};

use crate::store::StoreArgs;

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
    /// Make the catalogue anew from the store alone; goes on where an earlier one was cut short.
    Rebuild(RebuildArgs),
    /// Compare records, chunks, log and catalogue with each other.
    Check(CheckArgs),
    /// Remove files that no record names, and what is left of removals that were cut short.
    Gc(GcArgs),
    /// Join the small chunks of finalized sequences to large ones, sorted by time.
    Compact(CompactArgs),
    /// Count what a store holds.
    Stats(StatsArgs),
    /// Take over what another store has; what is there already is left out.
    Import(ImportArgs),
}

/// How a command that ends tells what it found.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// The report as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RebuildArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Read every chunk too: checksum, rows, order, statistics.
    #[arg(long)]
    pub(crate) deep: bool,
    /// Write anew what is damaged and told elsewhere; damaged files are kept below `damaged/`.
    #[arg(long)]
    pub(crate) repair: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct GcArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Age at which files are removed.
    #[arg(long, value_name = "SECONDS", env = "MOSAICO_ORPHAN_GRACE", value_parser = seconds, default_value = "3600")]
    pub(crate) orphan_grace: Duration,
    /// Only tell what would be removed.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CompactArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Arrow bytes per chunk; what has many smaller ones is joined.  [default: 32 MiB]
    #[arg(long, value_name = "BYTES", env = "MOSAICO_MAX_CHUNK_SIZE_IN_BYTES")]
    pub(crate) chunk_bytes: Option<usize>,
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
    /// Another store (a folder, or a URL with file://, s3://, gs:// or az://), or the store of a Mosaico daemon 0.2 to
    /// 0.4; it is only read.
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// A store of Mosaico does not say which sequences are complete: take all of them for it. Without this they are
    /// only listed.
    #[arg(long)]
    pub(crate) assume_finalized: bool,
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
    #[command(flatten)]
    store: StoreArgs,
    /// Arrow bytes per stored chunk.
    #[arg(long, value_name = "BYTES", env = "MOSAICO_MAX_CHUNK_SIZE_IN_BYTES")]
    chunk_bytes: Option<usize>,
    /// Arrow bytes per Parquet row group.
    #[arg(long, value_name = "BYTES")]
    row_group_bytes: Option<usize>,
    /// Largest message that is accepted.
    #[arg(long, value_name = "BYTES", env = "MOSAICO_MAX_MESSAGE_SIZE_IN_BYTES")]
    max_message_bytes: Option<usize>,
    /// Arrow bytes per message that is sent.
    #[arg(long, value_name = "BYTES", env = "MOSAICO_TARGET_MESSAGE_SIZE_IN_BYTES")]
    message_bytes: Option<usize>,
    /// Least time between two syncs of a topic's log; more saves the disk work, and acknowledgements wait for it.
    /// [default: 0]
    #[arg(long, value_name = "SECONDS", env = "MOSAICO_SYNC_INTERVAL", value_parser = seconds)]
    sync_interval: Option<Duration>,
    /// What acknowledged rows survive: `synced`, a crash of the machine; `written`, one of the daemon.
    #[arg(long, value_name = "WHAT", env = "MOSAICO_ACKNOWLEDGE", default_value = "synced")]
    acknowledge: AcknowledgeArg,
    /// Received bytes of all lanes together that may wait for the disk.
    #[arg(long, value_name = "BYTES")]
    ingest_bytes: Option<usize>,
    /// Chunks that are encoded at the same time.
    #[arg(long, value_name = "N")]
    chunk_jobs: Option<usize>,
    /// Chunks that queries search at the same time.  [default: one per processor]
    #[arg(long, value_name = "N", env = "MOSAICO_MAX_CONCURRENT_CHUNK_QUERIES")]
    query_jobs: Option<usize>,
    /// Silence after which the writer of an open sequence is taken for gone, and the sequence is ended by its
    /// policy: removed, or kept as it is with a notification. 0: never.  [default: 600]
    #[arg(long, value_name = "SECONDS", env = "MOSAICO_WRITER_TIMEOUT", value_parser = seconds)]
    writer_timeout: Option<Duration>,
    /// Age at which files that no record names are removed.  [default: 3600]
    #[arg(long, value_name = "SECONDS", env = "MOSAICO_ORPHAN_GRACE", value_parser = seconds)]
    orphan_grace: Option<Duration>,
    /// Events that are kept at least.  [default: 100000]
    #[arg(long, value_name = "N", env = "MOSAICO_EVENTS_KEPT")]
    events_kept: Option<usize>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum AcknowledgeArg {
    Synced,
    Written,
}

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("`{text}` is not a number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string())
}

impl RunArgs {
    /// The server's configuration, and the store as people read it.
    pub(crate) fn config(&self) -> Result<(Config, String), Error> {
        let (mut config, shown) = self.store.config()?;
        let settings = [
            (&mut config.chunk_bytes, self.chunk_bytes),
            (&mut config.row_group_bytes, self.row_group_bytes),
            (&mut config.max_message_bytes, self.max_message_bytes),
            (&mut config.message_bytes, self.message_bytes),
            (&mut config.ingest_bytes, self.ingest_bytes),
            (&mut config.chunk_jobs, self.chunk_jobs),
            (&mut config.query_jobs, self.query_jobs),
            (&mut config.events_kept, self.events_kept),
        ];
        for (setting, given) in settings {
            if let Some(value) = given {
                *setting = value;
            }
        }
        config.acknowledge = match self.acknowledge {
            AcknowledgeArg::Synced => Acknowledge::Synced,
            AcknowledgeArg::Written => Acknowledge::Written,
        };
        if let Some(interval) = self.sync_interval {
            config.sync_interval = interval;
        }
        if let Some(timeout) = self.writer_timeout {
            config.writer_timeout = Some(timeout).filter(|timeout| !timeout.is_zero());
        }
        if let Some(grace) = self.orphan_grace {
            config.orphan_grace = grace;
        }
        Ok((config, shown))
    }
}
