//! Connections of the HTTP port: few at the same time, and none for long without an answer in progress.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

use crate::connections::Connection;

/// Connections at the same time; others wait to be accepted.
pub(crate) const HTTP_CONNECTIONS: usize = 256;

/// The life of a connection without a page or a download in progress. Its client connects again.
const LIFE: Duration = Duration::from_secs(60);

/// A listener whose connections are few and brief.
#[derive(Debug)]
pub(crate) struct Brief<L> {
    listener: L,
    room: Arc<Semaphore>,
    life: Duration,
}

impl<L> Brief<L> {
    pub(crate) fn new(listener: L) -> Self {
        Self { listener, room: Arc::new(Semaphore::new(HTTP_CONNECTIONS)), life: LIFE }
    }
}

/// A connection whose other end has an address.
pub(crate) trait Remote {
    /// `None` if it is not known any more.
    fn address(&self) -> Option<IpAddr>;
}

impl<L> Listener for Brief<L>
where
    L: Listener,
    L::Io: Remote,
{
    type Io = BriefIo<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, L::Addr) {
        let room = Arc::clone(&self.room).acquire_owned().await.ok();
        let (io, address) = self.listener.accept().await;
        let end = Box::pin(tokio::time::sleep(self.life));
        let connection = Connection::of_http(io.address());
        (BriefIo { io, connection, life: self.life, end, _room: room }, address)
    }

    fn local_addr(&self) -> io::Result<L::Addr> {
        self.listener.local_addr()
    }
}

/// A connection that ends after a while.
#[derive(Debug)]
pub(crate) struct BriefIo<IO> {
    io: IO,
    connection: Arc<Connection>,
    life: Duration,
    end: Pin<Box<Sleep>>,
    _room: Option<OwnedSemaphorePermit>,
}

impl<IO> BriefIo<IO> {
    pub(crate) fn inner(&self) -> &IO {
        &self.io
    }

    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.connection.poll_ended(context) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        while self.end.as_mut().poll(context).is_ready() {
            if self.connection.calls.load(Ordering::Relaxed) == 0 {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.end.as_mut().reset(Instant::now() + self.life);
        }
        Ok(())
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for BriefIo<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for BriefIo<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    impl Remote for TcpStream {
        fn address(&self) -> Option<IpAddr> {
            self.peer_addr().ok().map(|address| address.ip())
        }
    }

    #[tokio::test]
    async fn a_download_keeps_its_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut brief = Brief { life: Duration::from_millis(50), ..Brief::new(listener) };
        let _client = TcpStream::connect(address).await.unwrap();
        let (mut io, _) = brief.accept().await;
        let connection = Arc::clone(io.connection());
        connection.calls.fetch_add(1, Ordering::Relaxed);
        let early = tokio::time::timeout(Duration::from_millis(300), io.read_u8()).await;
        assert!(early.is_err(), "it ended: {early:?}");
        connection.calls.fetch_sub(1, Ordering::Relaxed);
        assert_eq!(io.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);

        let _client = TcpStream::connect(address).await.unwrap();
        let (mut io, _) = brief.accept().await;
        io.connection().calls.fetch_add(1, Ordering::Relaxed);
        io.connection().end();
        assert_eq!(io.read_u8().await.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test]
    async fn silent_monitors_make_room() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let room = Arc::new(Semaphore::new(1));
        let mut brief = Brief { listener, room, life: Duration::from_millis(100) };
        let _silent = TcpStream::connect(address).await.unwrap();
        let _waiting = TcpStream::connect(address).await.unwrap();
        let (mut first, _) = brief.accept().await;
        let ended = tokio::spawn(async move { first.read_u8().await });
        let (_second, _) = brief.accept().await;
        assert_eq!(ended.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
