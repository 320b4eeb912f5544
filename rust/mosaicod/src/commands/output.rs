//! Output for people and programs.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use mosaico_admin::{Problem, Progress};
use mosaico_server::Error;
use parking_lot::Mutex;
use serde::Serialize;

use mosaico_types::printable;

/// Pauses between two lines of progress: on a terminal, and in a log.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// Prints the progress of a job from time to time.
pub(super) fn progress(what: &'static str) -> impl Fn(Progress) + Sync {
    let terminal = io::stderr().is_terminal();
    let pause = if terminal { PAUSES.0 } else { PAUSES.1 };
    let started = Instant::now();
    let next = Mutex::new(started + pause);
    move |Progress { done, total }: Progress| {
        let now = Instant::now();
        let mut next = next.lock();
        if now < *next {
            return;
        }
        *next = now + pause;
        let rate = done as f64 / started.elapsed().as_secs_f64();
        let (before, after) = if terminal { ("\r", "   ") } else { ("", "\n") };
        // The reader may have closed the stream; the job continues.
        drop(write!(
            io::stderr(),
            "{before}{what}: {done} of {total} sequences, {rate:.0} per second{after}"
        ));
    }
}

/// Prints a report: as JSON, or as text with its problems. Returns the exit code.
pub(super) fn report<T: Serialize>(
    json: bool,
    report: &T,
    text: &str,
    problems: &[Problem],
) -> Result<u8, Error> {
    let failed = |e: io::Error| Error::Startup(format!("cannot write the report: {e}"));
    let mut out = io::stdout().lock();
    if json {
        let line = serde_json::to_string(report).map_err(|e| failed(e.into()))?;
        writeln!(out, "{line}").map_err(failed)?;
    } else {
        for Problem { path, text, repaired } in problems {
            let mark = if *repaired { "repaired: " } else { "" };
            writeln!(out, "{}", printable(&format!("{mark}{path}: {text}"))).map_err(failed)?;
        }
        writeln!(out, "{}", printable(text)).map_err(failed)?;
    }
    Ok(u8::from(problems.iter().any(|problem| !problem.repaired)))
}

/// The process that started the daemon may wait for this line, or may have closed the pipe: both are fine.
pub(super) fn announce(line: &str) {
    let mut out = io::stdout().lock();
    if let Err(e) = writeln!(out, "{line}").and_then(|()| out.flush()) {
        tracing::info!(cause = %e, "nobody reads standard output");
    }
}
