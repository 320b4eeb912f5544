//! The configuration of a server.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mosaico_catalog::{Database, FILE as CATALOG_FILE};
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::durability::{Acknowledge, WalPlacement};
use mosaico_storage::objects::StoreOptions;
use mosaico_storage::objects::location::StoreLocation;
use mosaico_types::access::{AnonymousLevel, MonitoringLevel};

use super::clock::{Clock, SystemClock};
use super::limits::{Limits, check_sizes};

const MIB: usize = 1 << 20;

/// Configuration of a [`crate::Server`]. Sizes are bytes; the defaults keep a busy daemon below 256 MiB.
#[derive(Debug, Clone)]
pub struct Config {
    /// Location of the sequences.
    pub store: StoreLocation,
    /// Folder for the WAL, the catalog and the cache of a bucket; a local store has them in its own folder.
    pub state: Option<PathBuf>,
    /// Take a bucket from the server that owns it and fence that server: it writes nothing more.
    pub force_ownership: bool,
    /// How often the owner of a bucket checks whether it still is; a server that takes the bucket waits for
    /// three of these.
    pub ownership_heartbeat: Duration,
    /// How long a server that lost its bucket refuses calls, with the reason, before it exits.
    pub lost_grace: Duration,
    /// Serve a bucket together with other servers that use the same database; `Some`: the address `host:port`
    /// at which they reach this one.
    pub shared: Option<String>,
    /// Bytes of a bucket's chunks that the local disk caches; 0: none.
    pub cache_bytes: u64,
    /// How often a failed request to a bucket is retried, within the timeout of its operation.
    pub store_retries: usize,
    /// URL of the Postgres database with the catalog; `None`: a SQLite file next to the WAL.
    pub database: Option<String>,
    /// Schema of that database with our tables; several stores can share a database.
    pub database_schema: String,
    /// Connections to that database.
    pub database_connections: u32,
    /// Arrow data per chunk: a WAL segment that reaches it becomes a Parquet file.
    pub chunk_bytes: usize,
    /// Arrow data per Parquet row group.
    pub row_group_bytes: usize,
    /// Arrow data per message of `do_get`; a row is never split, whatever its size.
    pub message_bytes: usize,
    /// Memory budget of all open reads together: the more reads, the smaller the messages.
    pub read_bytes: usize,
    /// Largest message that the server accepts, as sent and as unpacked.
    pub max_message_bytes: usize,
    /// Minimum time between two syncs of a topic's WAL: 0 syncs whenever the disk is idle. A larger value
    /// reduces the load of the disk and delays acknowledgements.
    pub sync_interval: Duration,
    /// The durability that an acknowledgement guarantees.
    pub acknowledge: Acknowledge,
    /// Where acknowledged rows are until they are in a chunk.
    pub wal: WalPlacement,
    /// Received data of all lanes together that may wait for the disk.
    pub ingest_bytes: usize,
    /// Chunks that are encoded concurrently.
    pub chunk_jobs: usize,
    /// Chunks that are uploaded to the store concurrently.
    pub upload_jobs: usize,
    /// A store operation that takes longer fails; changes that it belongs to are undone or completed later.
    pub store_timeout: Duration,
    /// Chunks that queries search concurrently.
    pub query_jobs: usize,
    /// Closed WAL segments of one topic that may wait for encoding before its put waits.
    pub pending_segments: usize,
    /// Memory for Parquet footers.
    pub footer_cache_bytes: usize,
    /// How long open reads may continue after a shutdown request.
    pub shutdown_grace: Duration,
    /// A sequence whose writer is inactive for this long is ended by its policy; `None`: never.
    pub writer_timeout: Option<Duration>,
    /// Age from which unreferenced files are deleted.
    pub orphan_grace: Duration,
    /// The time by which writers and files expire.
    pub clock: Arc<dyn Clock>,
    /// The pace at which stored chunks are verified in the background; 0: they are not.
    pub scrub_bytes_per_second: u64,
    /// How often the scrub continues, for most of this time; no option of the daemon.
    pub scrub_period: Duration,
    /// Pause after the first failure of background work; it doubles with each further one, up to a limit.
    pub retry_pause: Duration,
    /// Minimum number of events that are kept; the oldest are dropped in groups.
    pub events_kept: usize,
    /// What peers may take of this server.
    pub limits: Limits,
    /// What callers without an API key may do; `None`: everything if only this machine, or this process,
    /// reaches the server, and nothing otherwise.
    pub anonymous: Option<AnonymousLevel>,
    /// What monitors without an API key may see; `None`: everything if only this machine, or this process,
    /// reaches the server, and the health otherwise.
    pub monitoring: Option<MonitoringLevel>,
    /// The URL at which clients reach the HTTP port, for links.
    pub http_url: Option<String>,
    /// The origin whose web pages may read from the HTTP port; `None`: only pages of the port itself.
    pub http_allow_origin: Option<String>,
    /// A file for the lines of the audit log, in addition to the log output.
    pub audit_log: Option<PathBuf>,
    /// Faults to inject into the store.
    #[cfg(feature = "faults")]
    pub faults: mosaico_storage::objects::faults::Faults,
}

impl Config {
    /// The defaults, with `store`.
    pub fn new(store: StoreLocation) -> Self {
        Self {
            store,
            state: None,
            force_ownership: false,
            ownership_heartbeat: Duration::from_secs(1),
            lost_grace: Duration::from_secs(10),
            shared: None,
            cache_bytes: 1 << 30,
            store_retries: 10,
            database: None,
            database_schema: "mosaicod".into(),
            database_connections: 10,
            chunk_bytes: 32 * MIB,
            row_group_bytes: 8 * MIB,
            message_bytes: 4 * MIB,
            read_bytes: 64 * MIB,
            max_message_bytes: 256 * MIB,
            sync_interval: Duration::ZERO,
            acknowledge: Acknowledge::Synced,
            wal: WalPlacement::Disk,
            ingest_bytes: 64 * MIB,
            chunk_jobs: 2,
            upload_jobs: 4,
            store_timeout: Duration::from_secs(60),
            query_jobs: std::thread::available_parallelism().map_or(2, usize::from),
            pending_segments: 4,
            footer_cache_bytes: 16 * MIB,
            shutdown_grace: Duration::from_secs(5),
            writer_timeout: Some(Duration::from_secs(600)),
            orphan_grace: Duration::from_secs(3600),
            clock: Arc::new(SystemClock::default()),
            scrub_bytes_per_second: 10 << 20,
            scrub_period: Duration::from_secs(60),
            retry_pause: Duration::from_secs(1),
            events_kept: 100_000,
            limits: Limits::default(),
            anonymous: None,
            monitoring: None,
            http_url: None,
            http_allow_origin: None,
            audit_log: None,
            #[cfg(feature = "faults")]
            faults: mosaico_storage::objects::faults::Faults::default(),
        }
    }

    /// The folder of this machine that the server uses exclusively.
    pub fn folder(&self) -> Result<&Path> {
        match (&self.store, &self.state) {
            (StoreLocation::Local(root), None) => Ok(root),
            (StoreLocation::Bucket(_), Some(state)) => Ok(state),
            (StoreLocation::Local(_), Some(_)) => Err(Error::Startup(
                "a local store keeps its log and catalog in its own folder; a state folder is for buckets"
                    .into(),
            )),
            (StoreLocation::Bucket(bucket), None) => Err(Error::Startup(format!(
                "{} needs a state folder on this machine: acknowledged rows lie there until they are uploaded",
                bucket.url()
            ))),
        }
    }

    /// Whether rows are in the store before they are acknowledged.
    pub fn replicates_wal(&self) -> bool {
        self.wal == WalPlacement::Replicated
    }

    /// The database of the catalog; `folder` contains the SQLite file.
    pub fn database(&self, folder: &Path) -> Database {
        match &self.database {
            Some(url) => Database::Postgres {
                url: url.clone(),
                schema: self.database_schema.clone(),
                connections: self.database_connections,
            },
            None => Database::File(folder.join(CATALOG_FILE)),
        }
    }

    /// The options for opening the store.
    pub fn store_options(&self) -> Result<StoreOptions> {
        Ok(StoreOptions { folder: self.folder()?.to_owned(), ..self.read_options() })
    }

    /// The options for opening a store that other processes may use, only to read from it; needs no folder of
    /// this machine.
    pub fn read_options(&self) -> StoreOptions {
        StoreOptions {
            location: self.store.clone(),
            folder: PathBuf::new(),
            timeout: self.store_timeout,
            retries: self.store_retries,
            cache_bytes: self.cache_bytes,
            #[cfg(feature = "faults")]
            faults: self.faults.clone(),
        }
    }

    /// Refuses values that no server can work with.
    pub fn check(&self) -> Result<()> {
        if self.shared.is_some() && (self.database.is_none() || matches!(self.store, StoreLocation::Local(_)))
        {
            return Err(Error::Startup(
                "servers share a bucket and a Postgres database; name both (--store, --database)".into(),
            ));
        }
        if self.wal == WalPlacement::Replicated && matches!(self.store, StoreLocation::Local(_)) {
            return Err(Error::Startup(
                "a local store has its WAL in its own folder; `wal = replicated` is for buckets".into(),
            ));
        }
        if self.ownership_heartbeat.is_zero() {
            return Err(Error::Startup("ownership_heartbeat is 0; it must be longer".into()));
        }
        let positive = [
            ("chunk_bytes", self.chunk_bytes),
            ("row_group_bytes", self.row_group_bytes),
            ("message_bytes", self.message_bytes),
            ("max_message_bytes", self.max_message_bytes),
            ("ingest_bytes", self.ingest_bytes),
            ("chunk_jobs", self.chunk_jobs),
            ("upload_jobs", self.upload_jobs),
            ("query_jobs", self.query_jobs),
            ("pending_segments", self.pending_segments),
        ];
        self.limits.check()?;
        let unlimited = |size: usize| if size == usize::MAX { 1 } else { size };
        check_sizes(&[
            // "No limit" is the largest number.
            ("chunk_bytes", unlimited(self.chunk_bytes)),
            ("row_group_bytes", self.row_group_bytes),
            ("message_bytes", self.message_bytes),
            ("max_message_bytes", self.max_message_bytes),
            ("ingest_bytes", self.ingest_bytes),
            ("read_bytes", self.read_bytes),
        ])?;
        match positive.iter().find(|(_, value)| *value == 0) {
            Some((name, _)) => Err(Error::Startup(format!("{name} is 0; it must be at least 1"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mosaico_storage::objects::Provider;
    use mosaico_storage::objects::Secret;

    #[test]
    fn buckets() {
        let parse = |text: &str| match StoreLocation::parse(text).unwrap() {
            StoreLocation::Bucket(bucket) => bucket,
            StoreLocation::Local(folder) => panic!("{}", folder.display()),
        };
        let mut bucket = parse("s3://robots/fleet/one/");
        assert_eq!((bucket.provider, bucket.name.as_str()), (Provider::S3, "robots"));
        assert_eq!((bucket.prefix.as_str(), bucket.url().as_str()), ("fleet/one", "s3://robots/fleet/one"));
        assert_eq!(parse("gs://b").provider, Provider::Google);
        assert_eq!(parse("az://c/p").provider, Provider::Azure);
        assert!(StoreLocation::parse("s3:///prefix").is_err());
        bucket.secret_key = Some(Secret("hidden".into()));
        assert!(!format!("{bucket:?}").contains("hidden"));
        let mut config = Config::new(StoreLocation::Bucket(bucket));
        assert!(config.folder().unwrap_err().to_string().contains("state folder"));
        config.state = Some("state".into());
        assert_eq!(config.folder().unwrap(), Path::new("state"));
        config.store = StoreLocation::Local("store".into());
        assert!(config.folder().is_err());
    }
}
