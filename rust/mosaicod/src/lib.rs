//! The daemon `mosaicod`: arguments, logging, signals. It wires [`mosaico_server`] and decides nothing
//! itself.
//!
//! [`run`] is the whole program; the binary of this crate and the console script of the Python wheel call it.

mod api_key_args;
mod args;
mod commands;
mod environment;
mod file;
mod file_mode;
mod limits;
mod link_args;
mod mapping;
mod memory;
mod output_args;
mod settings;
mod store;
mod tls;
mod values;

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::Path;

use mosaico_server::Error;
use tracing_subscriber::EnvFilter;

use args::{Command, LogFormat};
use environment::Environment;
use mosaico_types::printable;
use settings::{Settings, Stop};

/// Threads for file work. Each retains freed memory, so there are few.
const BLOCKING_THREADS: usize = 8;

/// Runs the program with `args`, the first of which is its name. Returns the exit code: 0 after a graceful
/// end, 1 for a failed start or command and for a store with problems, 2 for invalid arguments.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let environment = match Environment::read(Path::new("")) {
        Ok(environment) => environment,
        Err(error) => return failed(&error),
    };
    let settings = match Settings::gather(args, &environment) {
        Ok(settings) => settings,
        Err(stop) => return stopped(stop),
    };
    let format = match &settings.cli.command {
        Command::Run(args) => args.log_format,
        _ => LogFormat::Text,
    };
    if let Err(error) = start_logging(format, &environment) {
        return failed(&error);
    }
    memory::return_freed();
    #[cfg(unix)]
    limits::raise_descriptors();
    file_mode::only_for_the_owner();
    let ended = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(|e| Error::Startup(format!("cannot start: {e}")))
        .and_then(|runtime| runtime.block_on(commands::run(&settings)));
    match ended {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

fn failed(error: &Error) -> u8 {
    eprintln!("mosaicod: {}", printable(&error.detail().to_string()));
    1
}

/// Reports why the program does not run.
fn stopped(stop: Stop) -> u8 {
    match stop {
        // Help and version are not errors, and clap selects the right stream for each text.
        Stop::Usage(error) => {
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            if error.print().is_ok() { code } else { 1 }
        }
        Stop::Refused(text) => {
            eprintln!("mosaicod: {}", printable(&text));
            2
        }
        Stop::Startup(error) => failed(&error),
    }
}

fn start_logging(format: LogFormat, environment: &Environment) -> Result<(), Error> {
    let asked = environment.get(EnvFilter::DEFAULT_ENV);
    let asked = asked.as_ref().map_or(Cow::Borrowed("warn"), |(text, _)| text.to_string_lossy());
    let filter = EnvFilter::try_new(&asked).map_err(|e| {
        Error::Startup(format!("RUST_LOG is `{asked}`: {e}; write for example RUST_LOG=info"))
    })?;
    let logging = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // Otherwise it would report a log write error (a full disk) on the same log, and panic.
        .log_internal_errors(false);
    let started = match format {
        LogFormat::Text => logging.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => logging.json().flatten_event(true).with_span_list(false).try_init(),
    };
    // A program that embeds this one may have set up logging already; its choice stays.
    if let Err(e) = started {
        tracing::debug!(cause = %e, "logging is set up already");
    }
    Ok(())
}
