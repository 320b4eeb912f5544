//! All metrics of a server. Labels have few values, known in advance: nothing is counted per topic, and
//! nothing costs time per row.

use std::time::Duration;

use mosaico_storage::objects::StoreMetrics;
use mosaico_storage::timer::{CacheReads, Operation, Timer, Times, seconds, times};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tonic::Code;

use super::disk::Disk;
use super::process;
use super::queue::Job;

/// The content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The kind of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallKind {
    /// The Flight method; all others share one value.
    pub method: &'static str,
    /// The action of `DoAction`; empty for other methods.
    pub action: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndedCall {
    method: &'static str,
    action: &'static str,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Method {
    method: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfJob {
    job: &'static str,
}

/// Batches, rows and bytes of one direction.
#[derive(Debug, Default)]
pub struct Traffic {
    rows: Counter,
    batches: Counter,
    bytes: Counter,
}

impl Traffic {
    pub fn add(&self, batches: u64, rows: u64, bytes: u64) {
        self.batches.inc_by(batches);
        self.rows.inc_by(rows);
        self.bytes.inc_by(bytes);
    }

    fn register(&self, registry: &mut Registry, name: &str, help: &str) {
        registry.register(format!("{name}_rows"), format!("Rows {help}"), self.rows.clone());
        registry.register(format!("{name}_batches"), format!("Batches {help}"), self.batches.clone());
        let bytes = format!("Arrow IPC bytes {help}");
        registry.register_with_unit(name, bytes, Unit::Bytes, self.bytes.clone());
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Mount {
    mount: &'static str,
}

/// Gauges, as opposed to counters: they are read at each scrape.
#[derive(Debug)]
pub struct Gauges {
    /// Without disks that do not respond.
    pub disks: Vec<Disk>,
    pub wal_bytes: u64,
    /// Received and waiting for the disk.
    pub ingest_bytes: usize,
    pub jobs: Vec<Job>,
    /// Known to be damaged.
    pub damaged_chunks: usize,
}

/// The metrics of a server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub ingress: Traffic,
    pub acknowledged: Traffic,
    pub egress: Traffic,
    pub connections: Gauge,
    active_calls: Family<Method, Gauge>,
    calls: Family<EndedCall, Counter>,
    call_times: Times<CallKind>,
    pub wal_sync: Histogram,
    wal_bytes: Gauge,
    wal_replicated: Counter,
    ingest_bytes: Gauge,
    chunks: Counter,
    chunk_bytes: Counter,
    chunk_times: Histogram,
    damaged_chunks: Gauge,
    scrubbed: Counter,
    scrub_finished: Gauge,
    active_jobs: Family<OfJob, Gauge>,
    failed_jobs: Family<OfJob, Counter>,
    store: Times<Operation>,
    catalog: Times<Operation>,
    pub cache: CacheReads,
    disk_free: Family<Mount, Gauge>,
    disk_size: Family<Mount, Gauge>,
    resident_bytes: Gauge,
}

impl Metrics {
    pub fn new(ingest_limit: usize) -> Self {
        let this = Self {
            registry: Registry::default(),
            ingress: Traffic::default(),
            acknowledged: Traffic::default(),
            egress: Traffic::default(),
            connections: Gauge::default(),
            active_calls: Family::default(),
            calls: Family::default(),
            call_times: times(),
            wal_sync: seconds(),
            wal_bytes: Gauge::default(),
            wal_replicated: Counter::default(),
            ingest_bytes: Gauge::default(),
            chunks: Counter::default(),
            chunk_bytes: Counter::default(),
            chunk_times: seconds(),
            damaged_chunks: Gauge::default(),
            scrubbed: Counter::default(),
            scrub_finished: Gauge::default(),
            active_jobs: Family::default(),
            failed_jobs: Family::default(),
            store: times(),
            catalog: times(),
            cache: CacheReads::default(),
            disk_free: Family::default(),
            disk_size: Family::default(),
            resident_bytes: Gauge::default(),
        };
        this.registered(ingest_limit)
    }

    fn registered(mut self, ingest_limit: usize) -> Self {
        let mut all = Registry::default();
        if process::resident_bytes().is_some() {
            let help = "Resident memory";
            all.register_with_unit("process_resident_memory", help, Unit::Bytes, self.resident_bytes.clone());
        }
        let ours = all.sub_registry_with_prefix("mosaico");
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        ours.register("build", "The running program", version);
        self.ingress.register(ours, "ingress", "received in puts");
        self.acknowledged.register(ours, "acknowledged", "durable and acknowledged to their writers");
        self.egress.register(ours, "egress", "sent in gets");
        ours.register("connections", "Open TCP connections", self.connections.clone());
        ours.register("calls_active", "Calls in progress", self.active_calls.clone());
        ours.register("calls", "Calls that ended", self.calls.clone());
        let help = "Durations of calls, to the end of their answers";
        ours.register_with_unit("call", help, Unit::Seconds, self.call_times.clone());
        let help = "Durations of appending to the write-ahead log, with the sync";
        ours.register_with_unit("wal_sync", help, Unit::Seconds, self.wal_sync.clone());
        let help = "Write-ahead log that is not in chunks yet";
        ours.register_with_unit("wal", help, Unit::Bytes, self.wal_bytes.clone());
        let help = "Write-ahead log written to the store";
        ours.register_with_unit("wal_replicated", help, Unit::Bytes, self.wal_replicated.clone());
        let help = "Received and waiting for the disk";
        ours.register_with_unit("ingest", help, Unit::Bytes, self.ingest_bytes.clone());
        let limit = Gauge::<i64>::default();
        limit.set(ingest_limit as i64);
        ours.register_with_unit("ingest_limit", "Limit of mosaico_ingest_bytes", Unit::Bytes, limit);
        ours.register("chunks", "Chunks written to the store", self.chunks.clone());
        let help = "Parquet bytes of these chunks";
        ours.register_with_unit("chunk", help, Unit::Bytes, self.chunk_bytes.clone());
        let help = "Durations of encoding and storing a chunk";
        ours.register_with_unit("chunk", help, Unit::Seconds, self.chunk_times.clone());
        let help = "Stored chunks that a read or the scrub found damaged, and that are not intact again";
        ours.register("damaged_chunks", help, self.damaged_chunks.clone());
        let help = "Bytes of chunks that the scrub verified";
        ours.register_with_unit("scrubbed", help, Unit::Bytes, self.scrubbed.clone());
        let help = "When the scrub last verified all chunks, as Unix time; 0 before the first time";
        ours.register_with_unit("scrub_finished", help, Unit::Seconds, self.scrub_finished.clone());
        ours.register(
            "jobs_active",
            "Background jobs that run or wait for their next attempt",
            self.active_jobs.clone(),
        );
        let help = "Attempts of background jobs that failed; each is tried again";
        ours.register("job_failures", help, self.failed_jobs.clone());
        let help = "Durations of operations on the store";
        ours.register_with_unit("store", help, Unit::Seconds, self.store.clone());
        let help = "Durations of statements of the catalog, with the wait for a connection";
        ours.register_with_unit("catalog", help, Unit::Seconds, self.catalog.clone());
        let help = "Blocks of a bucket's chunks that were read from the cache";
        ours.register("cache_hits", help, self.cache.hits.clone());
        let help = "Blocks of a bucket's chunks that were fetched, since the cache did not have them";
        ours.register("cache_misses", help, self.cache.misses.clone());
        let help = "Free space on the disks of WAL and store";
        ours.register_with_unit("disk_free", help, Unit::Bytes, self.disk_free.clone());
        let help = "Sizes of these disks";
        ours.register_with_unit("disk_size", help, Unit::Bytes, self.disk_size.clone());
        self.registry = all;
        // An event that has not occurred yet has the value 0, not a missing series.
        for method in ["DoPut", "DoGet"] {
            drop(self.active_calls.get_or_create(&Method { method }));
        }
        for job in Job::NAMES {
            drop(self.failed_jobs.get_or_create(&OfJob { job }));
        }
        self
    }

    pub fn call_begins(&self, method: &'static str) {
        self.active_calls.get_or_create(&Method { method }).inc();
    }

    pub fn call_ends(&self, kind: CallKind, code: Code, took: Duration) {
        let CallKind { method, action } = kind;
        self.active_calls.get_or_create(&Method { method }).dec();
        self.calls.get_or_create(&EndedCall { method, action, code: code_name(code) }).inc();
        self.call_times.get_or_create(&kind).observe(took.as_secs_f64());
    }

    pub fn chunk_stored(&self, bytes: u64, took: Duration) {
        self.chunks.inc();
        self.chunk_bytes.inc_by(bytes);
        self.chunk_times.observe(took.as_secs_f64());
    }

    /// Counts bytes of the replicated WAL that are in the store.
    pub fn wal_replicated(&self, bytes: u64) {
        self.wal_replicated.inc_by(bytes);
    }

    pub fn scrubbed(&self, bytes: u64) {
        self.scrubbed.inc_by(bytes);
    }

    pub fn scrub_finished(&self, at_ns: i64) {
        self.scrub_finished.set(at_ns / 1_000_000_000);
    }

    pub fn job_failed(&self, job: Job) {
        self.failed_jobs.get_or_create(&OfJob { job: job.name() }).inc();
    }

    /// The metrics of store operations.
    pub fn of_store(&self) -> StoreMetrics {
        StoreMetrics { operations: Timer(self.store.clone()), cache: self.cache.clone() }
    }

    /// The timer of catalog statements.
    pub fn catalog_timer(&self) -> Timer {
        Timer(self.catalog.clone())
    }

    /// All metrics as OpenMetrics text.
    pub fn text(&self, now: &Gauges) -> Result<String, std::fmt::Error> {
        self.disk_free.clear();
        self.disk_size.clear();
        for &Disk { mount, free_bytes, size_bytes } in &now.disks {
            self.disk_free.get_or_create(&Mount { mount }).set(free_bytes.cast_signed());
            self.disk_size.get_or_create(&Mount { mount }).set(size_bytes.cast_signed());
        }
        self.wal_bytes.set(now.wal_bytes as i64);
        self.ingest_bytes.set(now.ingest_bytes as i64);
        self.damaged_chunks.set(now.damaged_chunks as i64);
        for job in Job::NAMES {
            let count = now.jobs.iter().filter(|open| open.name() == job).count();
            self.active_jobs.get_or_create(&OfJob { job }).set(count as i64);
        }
        if let Some(bytes) = process::resident_bytes() {
            self.resident_bytes.set(bytes as i64);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// gRPC codes as spelled in their specification.
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
