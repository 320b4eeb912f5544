//! `mosaicod run`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use mosaico_server::{AnonymousLevel, Error, HttpServer, Server, default_anonymous};
use tokio::net::{TcpListener, TcpSocket, lookup_host};
use tokio::signal::unix::{SignalKind, signal};

use super::output::announce;
use crate::args::RunArgs;
use crate::memory;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

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
    // Programs that rotate logs send it; the next line of the audit log notices that its file was moved.
    let _hangup = args.audit_log.as_ref().map(|_| listen_for(SignalKind::hangup())).transpose()?;
    // The port is reserved now, and opens when the server is ready: until then clients are refused at once and
    // try again, instead of waiting for an answer.
    let reserved = reserve((&args.host, args.port), "--host or --port").await?;
    let bound = address(reserved.local_addr())?;
    config.shared = args.advertised(bound, tls.is_some())?;
    let mut places = format!("{grpc}://{bound}");
    if let Some(warning) = insecurity(bound, config.anonymous, tls.is_some()).filter(|_| !args.insecure) {
        tracing::warn!("{warning}");
    }
    let http_server = HttpServer::new(config.monitoring);
    if let Some(listener) = http_listener(args).await? {
        let reached = address(listener.local_addr())?;
        places.push_str(&format!(", {http}://{reached}"));
        if !reached.ip().is_unspecified() {
            config.http_url.get_or_insert_with(|| format!("{http}://{reached}"));
        }
        let (http_server, tls) = (http_server.clone(), tls.clone());
        tokio::spawn(async move {
            let served = match tls {
                Some(tls) => http_server.serve_tls(listener, tls).await,
                None => http_server.serve(listener).await,
            };
            if let Err(error) = served {
                tracing::error!(error = %error.detail(), "the HTTP port is not served any more");
            }
        });
    }
    let mut server = Server::open(config).await?;
    if let Some(tls) = tls {
        server.secure(tls);
    }
    http_server.watch(&server);
    let listener =
        reserved.listen(BACKLOG).map_err(|e| taken((&args.host, args.port), "--host or --port", &e))?;
    tokio::spawn(memory::keep_returning());
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

/// The listener of the HTTP port, if there is one. Without a request for it, the port may be missing.
async fn http_listener(args: &RunArgs) -> Result<Option<TcpListener>, Error> {
    let Some(place) = args.http() else { return Ok(None) };
    match listen(place, "--http-host or --http-port").await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if args.needs_http() => Err(error),
        Err(error) => {
            tracing::warn!("no page and no HTTP API: {error}, or --http-port off");
            Ok(None)
        }
    }
}

/// The warning about a daemon that other machines reach without encryption or without keys.
fn insecurity(bound: SocketAddr, anonymous: Option<AnonymousLevel>, has_tls: bool) -> Option<String> {
    if default_anonymous(Some(bound)) == AnonymousLevel::All {
        return None;
    }
    let level = anonymous.filter(|level| *level != AnonymousLevel::None);
    let open =
        level.map(|level| format!("everybody who reaches the port has the rights of --anonymous {level}"));
    let plain = (!has_tls).then(|| "API keys and data cross the network unencrypted".to_owned());
    let dangers: Vec<String> = open.into_iter().chain(plain).collect();
    (!dangers.is_empty()).then(|| {
        let dangers = dangers.join(", and ");
        format!(
            "other machines reach {bound}: {dangers}; see docs/security.md, or silence this with --insecure"
        )
    })
}

async fn listen(place: (&str, u16), options: &str) -> Result<TcpListener, Error> {
    TcpListener::bind(place).await.map_err(|e| taken(place, options, &e))
}

/// Binds a socket that does not accept connections yet.
async fn reserve(place: (&str, u16), options: &str) -> Result<TcpSocket, Error> {
    let bind = async {
        let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in lookup_host(place).await? {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            // Like the listeners of the standard library: a restart does not wait for old connections.
            socket.set_reuseaddr(true)?;
            match socket.bind(address) {
                Ok(()) => return Ok(socket),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    };
    bind.await.map_err(|e| taken(place, options, &e))
}

fn taken((host, port): (&str, u16), options: &str, error: &io::Error) -> Error {
    Error::Startup(format!("cannot listen on {host}:{port}: {error}; choose another {options}"))
}

fn address(bound: io::Result<SocketAddr>) -> Result<SocketAddr, Error> {
    bound.map_err(|e| Error::Startup(format!("cannot tell the port: {e}")))
}

fn listen_for(kind: SignalKind) -> Result<tokio::signal::unix::Signal, Error> {
    signal(kind).map_err(|e| Error::Startup(format!("cannot listen for signals: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_machines_reach_is_named() {
        let warning = |bound: &str, level| insecurity(bound.parse().unwrap(), level, false);
        assert_eq!(warning("127.0.0.1:1", None), None);
        assert_eq!(warning("[::1]:1", Some(AnonymousLevel::All)), None);
        assert!(warning("0.0.0.0:1", None).unwrap().contains("unencrypted"));
        let open = warning("10.0.0.1:1", Some(AnonymousLevel::Read)).unwrap();
        assert!(open.contains("--anonymous read") && open.contains("--insecure"), "{open}");
        let secured = |level| insecurity("10.0.0.1:1".parse().unwrap(), level, true);
        assert_eq!(secured(None), None);
        let open = secured(Some(AnonymousLevel::Read)).unwrap();
        assert!(open.contains("--anonymous read") && !open.contains("unencrypted"), "{open}");
    }
}
