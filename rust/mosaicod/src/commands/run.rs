//! `mosaicod run`.

use std::net::SocketAddr;

use mosaico_server::{AnonymousLevel, Error, Monitor, Server, default_anonymous};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::output::announce;
use crate::args::RunArgs;

/// Serves until a signal arrives.
pub(super) async fn run(args: &RunArgs) -> Result<(), Error> {
    let (mut config, store) = args.config()?;
    let mut terminate = listen_for(SignalKind::terminate())?;
    let mut interrupt = listen_for(SignalKind::interrupt())?;
    let listener = listen((&args.host, args.port), "--host or --port").await?;
    let bound = address(&listener)?;
    config.shared = args.advertised(bound)?;
    let mut places = format!("grpc://{bound}");
    if let Some(warning) = insecurity(bound, config.anonymous).filter(|_| !args.insecure) {
        tracing::warn!("{warning}");
    }
    let monitor = Monitor::new(config.monitoring);
    if let Some(place) = args.http() {
        let listener = listen(place, "--http-host or --http-port").await?;
        places.push_str(&format!(", http://{}", address(&listener)?));
        let monitor = monitor.clone();
        tokio::spawn(async move {
            if let Err(error) = monitor.serve(listener).await {
                tracing::error!(error = %error.detail(), "monitors are not answered any more");
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

/// The warning about a daemon that other machines reach without encryption or without keys.
fn insecurity(bound: SocketAddr, anonymous: Option<AnonymousLevel>) -> Option<String> {
    if default_anonymous(Some(bound)) == AnonymousLevel::All {
        return None;
    }
    let open = match anonymous {
        None | Some(AnonymousLevel::None) => "API keys and data cross the network unencrypted".to_owned(),
        Some(level) => format!(
            "everybody who reaches the port has the rights of --anonymous {level}, and data crosses the network \
             unencrypted"
        ),
    };
    Some(format!(
        "other machines reach {bound}: {open}; see docs/security.md, or silence this with --insecure"
    ))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_machines_reach_is_named() {
        let warning = |bound: &str, level| insecurity(bound.parse().unwrap(), level);
        assert_eq!(warning("127.0.0.1:1", None), None);
        assert_eq!(warning("[::1]:1", Some(AnonymousLevel::All)), None);
        assert!(warning("0.0.0.0:1", None).unwrap().contains("unencrypted"));
        let open = warning("10.0.0.1:1", Some(AnonymousLevel::Read)).unwrap();
        assert!(open.contains("--anonymous read") && open.contains("--insecure"), "{open}");
    }
}
