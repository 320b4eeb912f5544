//! `mosaicod run`.

use std::net::SocketAddr;
use std::sync::Arc;

use mosaico_server::{Error, Monitor, Server};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::output::announce;
use crate::args::RunArgs;

/// Serves until a signal arrives.
pub(super) async fn run(args: &RunArgs) -> Result<(), Error> {
    let (mut config, store) = args.config()?;
    let tls = args.tls.open()?.map(Arc::new);
    if let Some(tls) = &tls {
        tokio::spawn(Arc::clone(tls).watch());
    }
    let (grpc, http) = if tls.is_some() { ("grpc+tls", "https") } else { ("grpc", "http") };
    let mut terminate = listen_for(SignalKind::terminate())?;
    let mut interrupt = listen_for(SignalKind::interrupt())?;
    let listener = listen((&args.host, args.port), "--host or --port").await?;
    let bound = address(&listener)?;
    config.shared = args.advertised(bound, tls.is_some())?;
    let mut places = format!("{grpc}://{bound}");
    let monitor = Monitor::default();
    if let Some(place) = args.http() {
        let listener = listen(place, "--http-host or --http-port").await?;
        places.push_str(&format!(", {http}://{}", address(&listener)?));
        let (monitor, tls) = (monitor.clone(), tls.clone());
        tokio::spawn(async move {
            let served = match tls {
                Some(tls) => monitor.serve_tls(listener, tls).await,
                None => monitor.serve(listener).await,
            };
            if let Err(error) = served {
                tracing::error!(error = %error.detail(), "monitors are not answered any more");
            }
        });
    }
    let mut server = Server::open(config).await?;
    if let Some(tls) = tls {
        server.secure(tls);
    }
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
