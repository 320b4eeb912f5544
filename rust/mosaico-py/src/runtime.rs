//! The one tokio runtime of the process, and the one function that waits.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mosaico_client::Error;
use mosaico_types::ErrorKind;
use pyo3::prelude::*;
use tokio::runtime::Runtime;

use crate::errors::to_py_err;

/// Threads for file work. Each retains freed memory, so there are few.
const BLOCKING_THREADS: usize = 8;

/// Maximum delay until Ctrl-C is noticed.
const SIGNAL_CHECK: Duration = Duration::from_millis(50);

static RUNTIME: OnceLock<Runtime> = OnceLock::new();
static FORKED: AtomicBool = AtomicBool::new(false);

/// The deadline of waits while the interpreter exits.
static DEADLINE: OnceLock<Instant> = OnceLock::new();

/// Called by Python in the child of a fork, where the runtime's threads do not exist.
#[pyfunction]
pub(crate) fn after_fork_in_child() {
    if RUNTIME.get().is_some() {
        FORKED.store(true, Ordering::Relaxed);
    }
}

/// Python calls this when the interpreter exits: waits past the deadline fail.
#[pyfunction]
pub(crate) fn finish_within(seconds: u32) {
    DEADLINE.get_or_init(|| Instant::now() + Duration::from_secs(seconds.into()));
}

fn refuse_after_deadline() -> Result<(), Error> {
    match DEADLINE.get() {
        Some(deadline) if Instant::now() > *deadline => Err(Error::new(
            ErrorKind::Deadline,
            "the interpreter ended before the daemon answered; end recordings with their `with` block",
        )),
        _ => Ok(()),
    }
}

/// Refuses work in a forked child instead of hanging there.
#[inline]
pub(crate) fn refuse_after_fork() -> PyResult<()> {
    if !FORKED.load(Ordering::Relaxed) {
        return Ok(());
    }
    let message = "mosaicolabs was used before this process was forked and its background threads did not \
                   survive; start workers with the `spawn` or `forkserver` method and open a client there";
    Err(to_py_err(Error::new(ErrorKind::FailedPrecondition, message)))
}

pub(crate) fn runtime() -> PyResult<&'static Runtime> {
    refuse_after_fork()?;
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("mosaico")
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(|cause| {
            to_py_err(Error::new(ErrorKind::ResourceExhausted, format!("cannot start threads: {cause}")))
        })?;
    Ok(RUNTIME.get_or_init(|| runtime))
}

/// Drives `future` with the GIL released. Ctrl-C cancels it; after a fork it raises instead of hanging.
pub(crate) fn wait<T: Send>(
    py: Python<'_>,
    future: impl Future<Output = Result<T, Error>> + Send,
) -> PyResult<T> {
    let runtime = runtime()?;
    py.detach(|| {
        runtime.block_on(async {
            tokio::pin!(future);
            loop {
                tokio::select! {
                    biased;
                    outcome = &mut future => return outcome.map_err(to_py_err),
                    () = tokio::time::sleep(SIGNAL_CHECK) => {
                        Python::attach(|py| py.check_signals())?;
                        refuse_after_deadline().map_err(to_py_err)?;
                    }
                }
            }
        })
    })
}
