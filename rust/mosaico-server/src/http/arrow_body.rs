//! The messages of a read as an Arrow IPC stream in the body of an HTTP response.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use arrow_flight::FlightData;
use bytes::{BufMut, Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, stream};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

use super::call::HttpCall;

/// Before the length of each message.
const CONTINUATION: u32 = u32::MAX;

/// Messages begin at multiples of this.
const ALIGNMENT: usize = 8;

/// The bytes of an IPC stream. Its end has a mark, so an interrupted stream is never mistaken for a whole one.
pub(super) fn ipc_stream(
    messages: BoxStream<'static, Result<FlightData, Status>>,
) -> impl Stream<Item = Result<Bytes, Status>> + Send {
    let parts = messages.flat_map(|message| {
        stream::iter(match message {
            Ok(message) => vec![Ok(head(&message.data_header)), Ok(message.data_body)],
            Err(status) => vec![Err(status)],
        })
    });
    let parts = parts.filter(|part| std::future::ready(!part.as_ref().is_ok_and(Bytes::is_empty)));
    let end = [CONTINUATION.to_le_bytes(), 0_u32.to_le_bytes()].concat();
    parts.chain(stream::iter([Ok(Bytes::from(end))]))
}

/// The metadata of a message, with its length, and padding up to its body.
fn head(metadata: &Bytes) -> Bytes {
    let padded = metadata.len().next_multiple_of(ALIGNMENT);
    let mut head = BytesMut::with_capacity(ALIGNMENT + padded);
    head.put_u32_le(CONTINUATION);
    // Messages have at most 2 GiB.
    head.put_u32_le(padded as u32);
    head.put_slice(metadata);
    head.put_bytes(0, padded - metadata.len());
    head.freeze()
}

/// A body that ends whole, or breaks its connection: HTTP/1 has no other way to report a failure after the first
/// bytes.
pub(super) struct Whole {
    pub(super) body: Body,
    pub(super) call: HttpCall,
}

impl HttpBody for Whole {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let status = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                // The gate ended an answer that was left unread.
                Err(frame) => {
                    let trailers = frame.into_trailers().ok();
                    let status = trailers.as_ref().and_then(Status::from_header_map);
                    status.unwrap_or_else(|| Status::cancelled("the answer was ended"))
                }
            },
            Some(Err(status)) => status,
            None => {
                self.call.ends(Code::Ok);
                return Poll::Ready(None);
            }
        };
        self.call.ends(status.code());
        Poll::Ready(Some(Err(io::Error::other(status))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
