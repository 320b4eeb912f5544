//! What every call passes: it adds the API key and a request ID, reports to the health of the connection, and lets
//! reads count what they receive. Request IDs are assigned by the client, so that an error has one also when the
//! daemon was unreachable or died during the call.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http_body::{Body as HttpBody, Frame, SizeHint};
use mosaico_types::ErrorCode;
use mosaico_wire::status::status;
use mosaico_wire::{API_KEY_HEADER, REQUEST_ID_HEADER};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{HeaderValue, Request, Response};
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tower::Service;
use ulid::Ulid;

use crate::error::Error;
use crate::health::Health;
use crate::incoming::Incoming;
use crate::read_ahead::ReadAhead;

/// Trailer with the outcome of a call; a header in an answer without a body.
const GRPC_STATUS: &str = "grpc-status";

/// A channel that adds the API key, and request IDs, if its daemon logs them: Mosaico's daemon does not, and one in this
/// process has no log of its own.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    channel: Channel,
    /// The daemon returned a request ID, over this or another connection of the client.
    names: Arc<AtomicBool>,
    key: Option<HeaderValue>,
    health: Arc<Health>,
}

impl Named {
    pub(crate) fn new(
        channel: Channel,
        key: Option<HeaderValue>,
        health: Arc<Health>,
        names: Arc<AtomicBool>,
    ) -> Self {
        Self { channel, names, key, health }
    }
}

impl Service<Request<Body>> for Named {
    type Response = Response<Body>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Response<Body>, Status>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.channel.poll_ready(context).map_err(|e| Status::from_error(e.into()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let id = self.names.load(Ordering::Relaxed).then(|| Ulid::new().to_string());
        if let Some(id) = id.as_deref().and_then(|id| HeaderValue::from_str(id).ok()) {
            request.headers_mut().insert(REQUEST_ID_HEADER, id);
        }
        if let Some(key) = &self.key {
            request.headers_mut().insert(API_KEY_HEADER, key.clone());
        }
        // Reads give it to their request.
        let incoming = request.extensions_mut().remove::<ReadAhead>().map(Incoming::new);
        let answer = self.channel.call(request);
        let (names, health) = (Arc::clone(&self.names), Arc::clone(&self.health));
        async move {
            match answer.await {
                Ok(answer) => {
                    let named_by_server =
                        answer.headers().get(REQUEST_ID_HEADER).and_then(|id| id.to_str().ok());
                    let named_by_server = named_by_server.map(str::to_owned);
                    names.fetch_or(named_by_server.is_some(), Ordering::Relaxed);
                    health.look(answer.headers());
                    let has_status = answer.headers().contains_key(GRPC_STATUS);
                    let id = named_by_server.or(id);
                    Ok(answer.map(|inner| Body::new(Answer { inner, id, health, incoming, has_status })))
                }
                Err(error) => {
                    health.broke();
                    Err(named(Status::from_error(error.into()), id.as_deref()))
                }
            }
        }
        .boxed()
    }
}

/// Adds the request ID to a status, unless the daemon did.
fn named(mut status: Status, id: Option<&str>) -> Status {
    let is_new = !status.metadata().contains_key(REQUEST_ID_HEADER);
    if let Some(id) = id.filter(|_| is_new).and_then(|id| MetadataValue::try_from(id).ok()) {
        status.metadata_mut().insert(REQUEST_ID_HEADER, id);
    }
    status
}

/// The rest of an answer, which may break off.
struct Answer {
    inner: Body,
    id: Option<String>,
    health: Arc<Health>,
    incoming: Option<Incoming>,
    /// Whether the status of the call has arrived.
    has_status: bool,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let frame = Pin::new(&mut this.inner).poll_frame(context);
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    this.health.look(trailers);
                    this.has_status |= trailers.contains_key(GRPC_STATUS);
                }
                if let (Some(incoming), Some(data)) = (&mut this.incoming, frame.data_ref())
                    && let Err(Error { code, message, .. }) = incoming.look(data)
                {
                    return Poll::Ready(Some(Err(status(code, message))));
                }
            }
            Poll::Ready(Some(Err(_))) => this.health.broke(),
            // The library takes this for success, but a proxy that lost its server ends answers like this, too.
            Poll::Ready(None) if !std::mem::replace(&mut this.has_status, true) => {
                let cut = status(ErrorCode::Unavailable, "the answer ended without a status");
                return Poll::Ready(Some(Err(named(cut, this.id.as_deref()))));
            }
            _ => {}
        }
        frame.map_err(|status| named(status, this.id.as_deref()))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
