//! Accepts TCP connections and performs their TLS handshakes, each in a task of its own: a client that never
//! finishes its handshake delays nobody.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_stream::stream;
use futures::Stream;
use mosaico_tls::{Listener, ServerTls};
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::connection::{Connection, HANDSHAKE_RECORD};
use super::refusal;
use super::warnings::{Kind, Warnings};

/// The time limit of a handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Handshakes in progress at most; further connections wait to be accepted.
const HANDSHAKES: usize = 256;

/// The connections of a listener, after their handshakes if it has TLS.
pub(crate) fn connections(
    listener: TcpListener,
    tls: Option<Arc<ServerTls>>,
    kind: Listener,
) -> impl Stream<Item = io::Result<Connection>> + Send {
    stream! {
        let warnings = Arc::new(Warnings::default());
        let mut handshakes = JoinSet::new();
        loop {
            select! {
                accepted = listener.accept(), if handshakes.len() < HANDSHAKES => match (accepted, &tls) {
                    (Ok((stream, from)), Some(tls)) => {
                        handshakes.spawn(secure(stream, from, Arc::clone(tls), kind, Arc::clone(&warnings)));
                    }
                    (Ok((stream, _)), None) => yield Ok(Connection::plain(stream, Arc::clone(&warnings))),
                    (Err(error), _) => yield Err(error),
                },
                Some(secured) = handshakes.join_next(), if !handshakes.is_empty() => {
                    if let Ok(Some(connection)) = secured {
                        yield Ok(connection);
                    }
                }
            }
        }
    }
}

/// Performs a handshake; `None`: it failed, and the client has its answer.
async fn secure(
    stream: TcpStream,
    from: SocketAddr,
    tls: Arc<ServerTls>,
    kind: Listener,
    warnings: Arc<Warnings>,
) -> Option<Connection> {
    match timeout(HANDSHAKE_TIMEOUT, handshake(stream, &tls, kind)).await {
        Ok(Handshake::Done(connection)) => return Some(*connection),
        Ok(Handshake::Left) => {}
        Ok(Handshake::Plain(stream)) => {
            warnings.warn(
                Kind::WithoutTls,
                &format!("refused {from}: it does not use TLS, which this port needs"),
            );
            // Otherwise it is too slow to read an answer.
            drop(timeout(HANDSHAKE_TIMEOUT, refusal::refuse(stream)).await);
        }
        Ok(Handshake::Failed(reason)) => {
            warnings.warn(Kind::Handshake, &format!("the TLS handshake with {from} failed: {reason}"));
        }
        Err(_) => {
            let seconds = HANDSHAKE_TIMEOUT.as_secs();
            warnings.warn(
                Kind::Unfinished,
                &format!("the TLS handshake with {from} was not finished within {seconds} s"),
            );
        }
    }
    None
}

enum Handshake {
    Done(Box<Connection>),
    /// The client closed the connection at once: a check whether the port is open.
    Left,
    /// The client does not use TLS.
    Plain(TcpStream),
    Failed(String),
}

async fn handshake(stream: TcpStream, tls: &ServerTls, kind: Listener) -> Handshake {
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(0) | Err(_) => return Handshake::Left,
        Ok(_) if first[0] != HANDSHAKE_RECORD => return Handshake::Plain(stream),
        Ok(_) => {}
    }
    match tls.accept(stream, kind).await {
        Ok((stream, identity)) => Handshake::Done(Box::new(Connection::secured(stream, identity))),
        Err(reason) => Handshake::Failed(reason),
    }
}
