//! The connections of a listener, for axum.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use futures::{Stream, StreamExt};
use mosaico_tls::{Listener as Kind, PeerIdentity, ServerTls};
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::accept;
use super::connection::{Connection, PeerFacts};
use crate::brief::{Brief, Remote};
use crate::connections;

/// Pause after a failed accept, for example because all descriptors are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

type Connections = Pin<Box<dyn Stream<Item = io::Result<Connection>> + Send>>;

/// A listener for HTTP, with or without TLS.
pub(crate) struct HttpListener {
    connections: Connections,
    bound: SocketAddr,
}

impl HttpListener {
    pub(crate) fn new(listener: TcpListener, tls: Option<Arc<ServerTls>>) -> io::Result<Self> {
        let bound = listener.local_addr()?;
        Ok(Self { connections: Box::pin(accept::connections(listener, tls, Kind::Http)), bound })
    }
}

impl Listener for HttpListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            match self.connections.next().await {
                Some(Ok(connection)) => return (connection, self.bound),
                Some(Err(error)) => {
                    tracing::debug!(cause = %error, "a connection failed");
                    sleep(ACCEPT_PAUSE).await;
                }
                // The connections of a listener never end.
                None => std::future::pending().await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.bound)
    }
}

impl Remote for Connection {
    fn address(&self) -> Option<IpAddr> {
        self.peer().address().map(|address| address.ip())
    }
}

/// The other end of a connection, and the connection itself.
#[derive(Debug, Clone)]
pub(crate) struct HttpPeer {
    peer: PeerFacts,
    pub(crate) connection: Arc<connections::Connection>,
}

impl HttpPeer {
    /// The identity of its client certificate.
    pub(crate) fn certificate(&self) -> Option<&PeerIdentity> {
        self.peer.identity()
    }

    /// Where requests come from.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.peer.address()
    }
}

impl Connected<IncomingStream<'_, Brief<HttpListener>>> for HttpPeer {
    fn connect_info(stream: IncomingStream<'_, Brief<HttpListener>>) -> Self {
        let io = stream.io();
        Self { peer: io.inner().peer().clone(), connection: Arc::clone(io.connection()) }
    }
}
