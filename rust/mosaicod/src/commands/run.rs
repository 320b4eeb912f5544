//! `mosaicod run`.

use std::io::{self, Write};

use mosaico_server::{Error, Server};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::RunArgs;

/// Serves until a signal comes.
pub(super) async fn run(args: &RunArgs) -> Result<(), Error> {
    let (config, store) = args.config()?;
    let mut terminate = listen_for(SignalKind::terminate())?;
    let mut interrupt = listen_for(SignalKind::interrupt())?;
    let address = (args.host.as_str(), args.port);
    let refused = |e: io::Error| {
        Error::Startup(format!(
            "cannot listen on {}:{}: {e}; choose another --host or --port",
            address.0, address.1
        ))
    };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    let server = Server::open(config).await?;
    announce(&format!("mosaicod {} listening on grpc://{bound}, store {store}", env!("CARGO_PKG_VERSION")));
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
