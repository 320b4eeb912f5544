//! An accepted connection, and who is at its other end.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use mosaico_tls::{PeerIdentity, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tonic::codegen::http::Extensions;
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::warnings::{Kind, Warnings};

/// The first byte that a TLS client sends: the type of a handshake record.
pub(super) const HANDSHAKE_RECORD: u8 = 0x16;

/// The answer to a TLS client at a port without TLS. It is no TLS, which all TLS clients report as such.
const NO_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nthis port does not use TLS\n";

/// The other end of a connection: an extension of each of its requests.
#[derive(Debug, Clone)]
pub(crate) struct PeerFacts {
    tcp: TcpConnectInfo,
    identity: Option<PeerIdentity>,
}

impl PeerFacts {
    /// The identity of its client certificate.
    pub(super) fn identity(&self) -> Option<&PeerIdentity> {
        self.identity.as_ref()
    }

    /// Its address.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.tcp.remote_addr()
    }

    /// Adds its parts to the extensions of a request: [`TcpConnectInfo`], and the [`PeerIdentity`] of a
    /// client certificate.
    pub(crate) fn introduce(extensions: &mut Extensions) {
        let Some(Self { tcp, identity }) = extensions.remove::<Self>() else { return };
        extensions.insert(tcp);
        if let Some(identity) = identity {
            extensions.insert(identity);
        }
    }
}

/// An accepted connection, with or without TLS.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    peer: PeerFacts,
    /// `None` once the first bytes were examined.
    unexamined: Option<Arc<Warnings>>,
}

impl Connection {
    pub(super) fn plain(stream: TcpStream, warnings: Arc<Warnings>) -> Self {
        Self::new(Stream::Plain(stream), None, Some(warnings))
    }

    pub(super) fn secured(stream: Stream, identity: Option<PeerIdentity>) -> Self {
        Self::new(stream, identity, None)
    }

    fn new(stream: Stream, identity: Option<PeerIdentity>, unexamined: Option<Arc<Warnings>>) -> Self {
        // Acknowledgements are small; TCP must not collect them.
        if let Err(e) = stream.tcp().set_nodelay(true) {
            tracing::debug!(cause = %e, "cannot switch TCP_NODELAY on");
        }
        let peer = PeerFacts { tcp: stream.tcp().connect_info(), identity };
        Self { stream, peer, unexamined }
    }

    pub(super) fn peer(&self) -> &PeerFacts {
        &self.peer
    }
}

impl Connected for Connection {
    type ConnectInfo = PeerFacts;

    fn connect_info(&self) -> PeerFacts {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if let Some(warnings) = self.unexamined.take()
            && buffer.filled().get(before) == Some(&HANDSHAKE_RECORD)
        {
            let from = self.peer.tcp.remote_addr().map_or_else(String::new, |from| from.to_string());
            let text = format!(
                "refused {from}: it uses TLS, but this port does not; start the daemon with --tls-cert and \
                 --tls-key, or connect without TLS"
            );
            warnings.warn(Kind::WithTls, &text);
            // The buffer of a new connection is empty: this does not wait.
            drop(Pin::new(&mut self.stream).poll_write(context, NO_TLS));
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a TLS client at a port without TLS",
            )));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
