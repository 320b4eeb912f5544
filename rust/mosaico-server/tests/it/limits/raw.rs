//! HTTP/2 by hand: a peer that no library is rude enough for.

use std::time::Duration;

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RESET: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
const PING: u8 = 6;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// A frame of the server.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    pub(super) fn ends_stream(&self) -> bool {
        self.kind == RESET || (self.kind == HEADERS && self.flags & END_STREAM != 0)
    }
}

/// A connection.
pub(super) struct Raw {
    io: TcpStream,
    got: BytesMut,
}

impl Raw {
    /// Connects without a word.
    pub(super) async fn silent(address: &str) -> Self {
        let io = TcpStream::connect(address.trim_start_matches("http://")).await.unwrap();
        Self { io, got: BytesMut::new() }
    }

    /// Connects with the preface and these settings.
    pub(super) async fn connect(address: &str, settings: &[(u16, u32)]) -> Self {
        let mut raw = Self::silent(address).await;
        raw.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.put_u16(*name);
            payload.put_u32(*value);
        }
        raw.frame(SETTINGS, 0, 0, &payload).await;
        raw
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.unwrap();
    }

    pub(super) async fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut frame = Vec::with_capacity(9 + payload.len());
        frame.put_uint(payload.len() as u64, 3);
        frame.put_u8(kind);
        frame.put_u8(flags);
        frame.put_u32(stream);
        frame.put_slice(payload);
        self.write(&frame).await;
    }

    /// Begins a call of Flight; the request stays open.
    pub(super) async fn call(&mut self, stream: u32, method: &str) {
        self.call_with(stream, method, &[]).await;
    }

    /// The same with more headers.
    pub(super) async fn call_with(&mut self, stream: u32, method: &str, more: &[(&str, &str)]) {
        let path = format!("/arrow.flight.protocol.FlightService/{method}");
        let headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", &path),
            (":authority", "test"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ];
        let mut block = Vec::new();
        for (name, value) in headers.iter().chain(more) {
            block.put_u8(0);
            for text in [name, value] {
                block.put_u8(u8::try_from(text.len()).unwrap());
                block.put_slice(text.as_bytes());
            }
        }
        self.frame(HEADERS, END_HEADERS, stream, &block).await;
    }

    /// Sends the length of a message, and a part of its bytes.
    pub(super) async fn announce(&mut self, stream: u32, len: u32, part: &[u8]) {
        let mut message = vec![0];
        message.put_u32(len);
        message.put_slice(part);
        self.frame(DATA, 0, stream, &message).await;
    }

    /// Sends a whole message.
    pub(super) async fn message(&mut self, stream: u32, message: &[u8], last: bool) {
        let mut framed = vec![0];
        framed.put_u32(u32::try_from(message.len()).unwrap());
        framed.put_slice(message);
        self.frame(DATA, if last { END_STREAM } else { 0 }, stream, &framed).await;
    }

    /// The next frame, except pings, which it answers; `None` once the server closed the connection.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        loop {
            let head = self.got.get(..9).map(|head| {
                let len = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
                (len, head[3], head[4], u32::from_be_bytes(head[5..9].try_into().unwrap()))
            });
            match head {
                Some((len, kind, flags, stream)) if self.got.len() >= 9 + len => {
                    self.got.advance(9);
                    let payload = self.got.split_to(len).to_vec();
                    if kind == PING && flags & ACK == 0 {
                        self.frame(PING, ACK, 0, &payload).await;
                        continue;
                    }
                    return Some(Frame { kind, flags, stream, payload });
                }
                _ => {
                    if !matches!(self.io.read_buf(&mut self.got).await, Ok(1..)) {
                        return None;
                    }
                }
            }
        }
    }

    /// The next frame that `wanted` accepts, within ten seconds; `None` once the server closed the connection.
    pub(super) async fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Option<Frame> {
        let find = async {
            loop {
                match self.next().await {
                    Some(frame) if !wanted(&frame) => {}
                    found => return found,
                }
            }
        };
        timeout(Duration::from_secs(10), find).await.expect("no such frame, and the connection is open")
    }

    /// Whether the server closed the connection, within ten seconds.
    pub(super) async fn is_closed(&mut self) -> bool {
        self.until(|_| false).await.is_none()
    }
}
