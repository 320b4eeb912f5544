//! The daemon `mosaicod`: arguments, logging, signals. It wires [`mosaico_server`] and decides nothing itself.
//!
//! [`run`] is the whole program; the binary of this crate and the console script of the Python wheel call it.

mod args;
mod commands;
mod memory;
mod store;

use std::ffi::OsString;
use std::io;

use clap::Parser;
use mosaico_server::Error;
use tracing_subscriber::EnvFilter;

use args::Cli;

/// Threads for file work. Each keeps freed memory for itself, so there are few.
const BLOCKING_THREADS: usize = 8;

/// Runs the program with `args`, the first of which is its name. Returns the exit code: 0 after a graceful end, 1 for
/// a start or a command that failed and for a store with problems, 2 for arguments that cannot be understood.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are not errors, and clap knows where each text belongs.
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            return if error.print().is_ok() { code } else { 1 };
        }
    };
    start_logging();
    memory::return_freed();
    let ended = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(|e| Error::Startup(format!("cannot start: {e}")))
        .and_then(|runtime| runtime.block_on(commands::run(&cli.command)));
    match ended {
        Ok(code) => code,
        Err(error) => {
            eprintln!("mosaicod: {error}");
            1
        }
    }
}

fn start_logging() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let logging = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // It would report a log that cannot be written (a full disk) on the same log, and panic.
        .log_internal_errors(false);
    // A program that embeds this one may log already; its choice stands.
    if let Err(e) = logging.try_init() {
        tracing::debug!(cause = %e, "logging is set up already");
    }
}
