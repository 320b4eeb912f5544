//! `kill -9` at each durable step, and at random times: acknowledged changes persist, all other changes are
//! complete or absent.
//!
//! The server is this test program in a separate process. `MOSAICO_CRASH_SECONDS` is the time for each of the
//! loops, by default 12; all steps take about a minute.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::*;
use crate::database;
use crate::model::{Model, work};
use crate::replicated_wal::{bucket, bucket_config, logged, lose_disk};
use mosaico_server::Server;
use tempfile::TempDir;
use tokio::net::TcpListener;

const STORE: &str = "MOSAICO_CRASH_STORE";
const LOG: &str = "MOSAICO_CRASH_LOG";
const STEP: &str = "MOSAICO_CRASH_AT";
const SYNCED: &str = "MOSAICO_CRASH_SYNCED";
const READY: &str = "ready on ";

/// A server process that tests can kill.
pub(crate) struct Process {
    child: Child,
    /// Empty if the process ended before it was ready.
    pub(crate) address: String,
}

impl Process {
    pub(crate) fn start(folder: &Path, crash_at: Option<u64>) -> Self {
        Self::start_with(folder, crash_at, "disk", None)
    }

    /// Starts a server with its WAL at `log`; copies what a power cut may leave of its catalog to `synced`.
    fn start_with(folder: &Path, crash_at: Option<u64>, log: &str, synced: Option<&Path>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "crash::serve", "--ignored", "--nocapture"])
            .env(STORE, folder)
            .env(LOG, log)
            .envs(synced.map(|synced| (SYNCED, synced)));
        command.env_remove(STEP).stdout(Stdio::piped());
        if let Some(step) = crash_at {
            command.env(STEP, step.to_string()).stderr(Stdio::null());
        }
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut ready =
            lines.map_while(Result::ok).filter_map(|line| Some(line.split_once(READY)?.1.to_owned()));
        Self { address: ready.next().unwrap_or_default(), child }
    }

    /// Whether the process exits within the time limit; kills it otherwise.
    fn dies_within(mut self, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        while self.child.try_wait().unwrap().is_none() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.kill()
    }

    /// Kills the process; true if it had already exited.
    pub(crate) fn kill(mut self) -> bool {
        let ended = self.child.try_wait().unwrap().is_some();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        ended
    }
}

#[test]
#[ignore = "it is the process that the other tests kill"]
fn serve() {
    let Some(folder) = std::env::var_os(STORE) else { return };
    let folder = Path::new(&folder);
    let mut config = match std::env::var(LOG).as_deref() {
        Ok("store") => bucket_config(folder, &bucket(folder)),
        _ => config(folder),
    };
    // The disk of the previous server may be lost.
    config.force_ownership = true;
    // Segments of few rows, so that there is work besides the WAL.
    config.chunk_bytes = 600;
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let server = Server::open(config).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{READY}http://{}", listener.local_addr().unwrap());
        server.serve_tcp(listener, std::future::pending()).await.unwrap();
    });
}

fn seconds() -> Duration {
    let given = std::env::var("MOSAICO_CRASH_SECONDS").ok().map(|text| text.parse().unwrap());
    Duration::from_secs(given.unwrap_or(12))
}

/// Starts a server, which must need no manual repair, and compares its state with the responses.
async fn check(folder: &Path, model: &Model) {
    let process = Process::start(folder, None);
    assert!(!process.address.is_empty(), "{}: the start failed", model.about);
    let client = connect(&process.address).await;
    model.check(&client).await;
    assert!(!process.kill(), "the server died by itself");
}

/// Removed resources leave nothing behind, and their names can be used again.
async fn check_no_orphaned_records(folder: &Path, model: &Model) {
    let process = Process::start(folder, None);
    let client = connect(&process.address).await;
    model.remove_the_unlocked(&client).await;
    let left = files(folder);
    let locked = names(&client).await.len();
    assert_eq!(left.iter().filter(|file| file.ends_with("sequence.json")).count(), locked, "{left:?}");
    assert!(left.iter().all(|file| file.starts_with("seq/")), "{left:?}");
    process.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn at_each_step() {
    let (started, mut step, mut reached) = (Instant::now(), 1, 0);
    // A random start and stride: runs without the time for all steps take different ones.
    let stride = if seconds() > Duration::from_secs(60) { 1 } else { 7 };
    let offset = u64::from(std::process::id()) % stride;
    loop {
        let folder = TempDir::new().unwrap();
        let mut model = Model::new(&format!("step {}", step + offset));
        let process = Process::start(folder.path(), Some(step + offset));
        let finished = match process.address.as_str() {
            "" => false,
            address => work(&connect(address).await, &mut model, "").await.is_ok(),
        };
        // A background step may follow the last response, and the exit takes time.
        let timeout = Duration::from_millis(if finished { 100 } else { 20_000 });
        let died = process.dies_within(timeout);
        assert!(finished || died, "step {}: the work failed and the server lives", step + offset);
        reached += u64::from(died);
        // Sometimes recovery crashes too.
        if step % 3 == 0 {
            Process::start(folder.path(), Some(step % 11 + 1)).kill();
        }
        check(folder.path(), &model).await;
        check_no_orphaned_records(folder.path(), &model).await;
        if !died || started.elapsed() > seconds() {
            break;
        }
        step += stride;
    }
    assert!(reached >= 5, "only {reached} steps were reached");
}

/// Replaces the catalog by its last durable state.
fn cut_power(folder: &Path, synced: &Path) {
    if folder.join(mosaico_catalog::FILE).exists() {
        database::remove(folder);
    }
    let copies = std::fs::read_dir(synced).unwrap().map(|copy| copy.unwrap().path());
    if let Some(last) = copies.filter(|copy| copy.extension().is_none()).max() {
        database::restore(folder, &last);
    }
}

/// Commits that an intent covers may be lost with the power; the records in the store have everything.
#[tokio::test(flavor = "multi_thread")]
async fn at_each_step_with_the_unsynced_commits_of_the_catalog() {
    if database::url().is_some() {
        return;
    }
    let (started, stride, mut reached) = (Instant::now(), 7, 0);
    let mut step = 1 + u64::from(std::process::id()) % stride;
    loop {
        let (folder, synced) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let mut model = Model::new(&format!("step {step}"));
        let process = Process::start_with(folder.path(), Some(step), "disk", Some(synced.path()));
        let finished = match process.address.as_str() {
            "" => false,
            address => work(&connect(address).await, &mut model, "").await.is_ok(),
        };
        let died = process.dies_within(Duration::from_millis(if finished { 100 } else { 20_000 }));
        assert!(finished || died, "step {step}: the work failed and the server lives");
        reached += u64::from(died);
        cut_power(folder.path(), synced.path());
        check(folder.path(), &model).await;
        check_no_orphaned_records(folder.path(), &model).await;
        if !died || started.elapsed() > seconds() {
            break;
        }
        step += stride;
    }
    assert!(reached >= 5, "only {reached} steps were reached");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_each_step_with_the_log_in_the_store() {
    let (started, stride, mut reached) = (Instant::now(), 13, 0);
    let mut step = 1 + u64::from(std::process::id()) % stride;
    loop {
        let folder = TempDir::new().unwrap();
        let mut model = Model::new(&format!("step {step}"));
        let process = Process::start_with(folder.path(), Some(step), "store", None);
        let finished = match process.address.as_str() {
            "" => false,
            address => work(&connect(address).await, &mut model, "").await.is_ok(),
        };
        let died = process.dies_within(Duration::from_millis(if finished { 100 } else { 20_000 }));
        assert!(finished || died, "step {step}: the work failed and the server lives");
        reached += u64::from(died);
        // Sometimes recovery crashes too and the disk is lost.
        let lost = step % 3 != 0 && folder.path().join("state").exists();
        if lost {
            lose_disk(folder.path());
            Process::start_with(folder.path(), Some(step % 11 + 1), "store", None).kill();
        }
        let process = Process::start_with(folder.path(), None, "store", None);
        let client = connect(&process.address).await;
        match lost {
            true => model.check_rows(&client).await,
            false => model.check(&client).await,
        }
        model.remove_the_unlocked(&client).await;
        eventually("nothing of the log is left", async || logged(folder.path()).is_empty()).await;
        process.kill();
        if !died || started.elapsed() > seconds() {
            break;
        }
        step += stride;
    }
    assert!(reached >= 3, "only {reached} steps were reached");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_any_time() {
    let folder = TempDir::new().unwrap();
    let (started, mut round) = (Instant::now(), 0_u64);
    let mut model = Model::new("random");
    while started.elapsed() < seconds() || round < 5 {
        let process = Process::start(folder.path(), None);
        let client = connect(&process.address).await;
        let pause = Duration::from_millis((u64::from(std::process::id()) * 31 + round * 97) % 400);
        let killer = tokio::task::spawn_blocking(move || {
            std::thread::sleep(pause);
            process.kill()
        });
        for part in 0.. {
            if work(&client, &mut model, &format!("{round}-{part}-")).await.is_err() {
                break;
            }
        }
        assert!(!killer.await.unwrap(), "round {round}: the server died by itself");
        check(folder.path(), &model).await;
        round += 1;
    }
    check_no_orphaned_records(folder.path(), &model).await;
}
