//! The daemon `mosaicod`: arguments, logging, signals. It wires [`mosaico_server`] and decides nothing itself.
//!
//! [`run`] is the whole program; the binary of this crate and the console script of the Python wheel call it.

mod args;
mod environment;
mod file;
mod memory;
mod settings;
mod store;

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::Path;

use mosaico_server::{Error, Monitor, Server};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use args::{Command, LogFormat, RunArgs};
use environment::Environment;
use settings::{Settings, Stop};

/// Threads for file work. Each keeps freed memory for itself, so there are few.
const BLOCKING_THREADS: usize = 8;

/// Runs the program with `args`, the first of which is its name. Returns the exit code: 0 after a graceful end, 1 for
/// a start that failed, 2 for arguments that cannot be understood.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let environment = match Environment::read(Path::new("")) {
        Ok(environment) => environment,
        Err(error) => return failed(&error),
    };
    let settings = match Settings::gather(args, &environment) {
        Ok(settings) => settings,
        Err(stop) => return stopped(stop),
    };
    let args = match &settings.cli.command {
        Command::Run(args) => args,
        Command::Config(_) => {
            announce(settings.to_string().trim_end());
            return 0;
        }
    };
    if let Err(error) = start_logging(args.log_format, &environment) {
        return failed(&error);
    }
    memory::return_freed();
    let served = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(|e| Error::Startup(format!("cannot start: {e}")))
        .and_then(|runtime| runtime.block_on(serve(args)));
    match served {
        Ok(()) => 0,
        Err(error) => failed(&error),
    }
}

fn failed(error: &Error) -> u8 {
    eprintln!("mosaicod: {error}");
    1
}

/// Says why there is nothing to run.
fn stopped(stop: Stop) -> u8 {
    match stop {
        // Help and version are not errors, and clap knows where each text belongs.
        Stop::Usage(error) => {
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            if error.print().is_ok() { code } else { 1 }
        }
        Stop::Refused(text) => {
            eprintln!("mosaicod: {text}");
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
        // It would report a log that cannot be written (a full disk) on the same log, and panic.
        .log_internal_errors(false);
    let started = match format {
        LogFormat::Text => logging.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => logging.json().flatten_event(true).with_span_list(false).try_init(),
    };
    // A program that embeds this one may log already; its choice stands.
    if let Err(e) = started {
        tracing::debug!(cause = %e, "logging is set up already");
    }
    Ok(())
}

async fn serve(args: &RunArgs) -> Result<(), Error> {
    let (config, store) = args.config()?;
    let mut terminate = listen_for(SignalKind::terminate())?;
    let mut interrupt = listen_for(SignalKind::interrupt())?;
    let listener = listen((&args.host, args.port), "--host or --port").await?;
    let mut places = format!("grpc://{}", address(&listener)?);
    let monitor = Monitor::default();
    if let Some(place) = args.http() {
        let listener = listen(place, "--http-host or --http-port").await?;
        places.push_str(&format!(", http://{}", address(&listener)?));
        let monitor = monitor.clone();
        tokio::spawn(async move {
            if let Err(error) = monitor.serve(listener).await {
                tracing::error!(%error, "monitors are not answered any more");
            }
        });
    }
    let server = Server::open(config).await?;
    monitor.watch(&server);
    announce(&format!("mosaicod {} listening on {places}, store {store}", env!("CARGO_PKG_VERSION")));
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("shutting down");
    };
    let served = server.serve_tcp(listener, stop).await;
    server.shutdown().await;
    served
}

async fn listen(place: (&str, u16), options: &str) -> Result<TcpListener, Error> {
    let (host, port) = place;
    TcpListener::bind(place)
        .await
        .map_err(|e| Error::Startup(format!("cannot listen on {host}:{port}: {e}; choose another {options}")))
}

fn address(listener: &TcpListener) -> Result<SocketAddr, Error> {
    listener.local_addr().map_err(|e| Error::Startup(format!("cannot tell the port: {e}")))
}

fn listen_for(kind: SignalKind) -> Result<tokio::signal::unix::Signal, Error> {
    signal(kind).map_err(|e| Error::Startup(format!("cannot listen for signals: {e}")))
}

/// Whoever started the daemon may wait for this line, or may have closed the pipe: both are fine.
fn announce(line: &str) {
    let mut out = io::stdout().lock();
    if let Err(e) = writeln!(out, "{line}").and_then(|()| out.flush()) {
        tracing::info!(cause = %e, "nobody reads standard output");
    }
}
