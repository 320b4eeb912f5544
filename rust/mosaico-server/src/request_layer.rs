//! The layer that every call passes: it assigns a request ID, adds it to the call's log lines, and logs the
//! end of the call.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http_body::{Body as HttpBody, Frame, SizeHint};
use mosaico_engine::state::metrics::{CallKind, Metrics, code_name};
use mosaico_storage::error::{Error, Failure};
use mosaico_tls::PeerIdentity;
use mosaico_wire::status::LIMIT_HEADER;
use mosaico_wire::{REQUEST_ID_HEADER, action, event, link, maintenance, status};
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, Response};
use tonic::metadata::MetadataValue;
use tonic::transport::server::TcpConnectInfo;
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::field::Empty;
use tracing::{Instrument, Span};
use ulid::Ulid;

use crate::access::audit::{Audit, Trail};
use crate::listen::PeerFacts;

/// Unary calls that take longer are logged as slow.
const SLOW: Duration = Duration::from_secs(2);

/// The maximum length of a request ID that is accepted from the client.
const LONGEST_ID: usize = 128;

const FLIGHT: &str = "/arrow.flight.protocol.FlightService/";
const METHODS: [&str; 9] = [
    "DoAction",
    "DoExchange",
    "DoGet",
    "DoPut",
    "GetFlightInfo",
    "GetSchema",
    "Handshake",
    "ListFlights",
    "PollFlightInfo",
];
const OTHER: &str = "other";

/// Whether a long duration is normal: streams and waits for events last as long as the client wants, and the
/// duration of a rebuild depends on the size of the store.
fn is_long(kind: CallKind) -> bool {
    ["DoGet", "DoPut", "DoExchange", OTHER].contains(&kind.method)
        || [event::name::EVENT_LIST, maintenance::name::CATALOG_REBUILD].contains(&kind.action)
}

/// A call in progress; also an extension of its request.
#[derive(Debug)]
pub(crate) struct Call {
    id: HeaderValue,
    method: &'static str,
    action: OnceLock<&'static str>,
    begun: Instant,
    span: Span,
    /// Whether the response includes the request ID. In-process callers have no log to look it up in.
    named: bool,
    pub(crate) trail: Trail,
}

impl Call {
    fn begin<B>(request: &Request<B>, trail: Trail) -> Self {
        let method = request.uri().path().strip_prefix(FLIGHT);
        let method = METHODS.into_iter().find(|known| method == Some(known)).unwrap_or(OTHER);
        let id = request_id(request.headers());
        let shown = id.to_str().unwrap_or_default();
        // The highest level, so that every log line of the call has the span.
        let span = tracing::error_span!("call", request = shown, method, action = Empty, client = Empty);
        if let Some(client) = request.extensions().get::<PeerIdentity>() {
            span.record("client", client.name());
        }
        let named = request.extensions().get::<TcpConnectInfo>().is_some();
        Self { id, method, action: OnceLock::new(), begun: Instant::now(), span, named, trail }
    }

    /// Records which action the call runs.
    pub(crate) fn runs(&self, name: &str) {
        let ours = event::name::ALL.into_iter().chain(link::name::ALL).chain(maintenance::name::ALL);
        let known = action::name::ALL.into_iter().chain(ours).find(|known| *known == name);
        let action = self.action.get_or_init(|| known.unwrap_or(OTHER));
        self.span.record("action", action);
    }

    fn kind(&self) -> CallKind {
        CallKind { method: self.method, action: self.action.get().copied().unwrap_or_default() }
    }

    fn name(&self, headers: &mut HeaderMap) {
        if self.named {
            headers.insert(REQUEST_ID_HEADER, self.id.clone());
        }
    }
}

/// The ID of a request: that of its client, or a new one.
pub(crate) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let id = headers.get(REQUEST_ID_HEADER).filter(|id| is_name(id)).cloned();
    id.unwrap_or_else(|| HeaderValue::try_from(Ulid::new().to_string()).expect("a ULID is text"))
}

/// Whether the text is safe to log.
fn is_name(id: &HeaderValue) -> bool {
    (1..=LONGEST_ID).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

/// Logs the end of a call when it is dropped.
#[derive(Debug)]
struct Running {
    call: Arc<Call>,
    metrics: Arc<Metrics>,
    /// `None`: the client disconnected before the end.
    code: Option<Code>,
    /// Whether a limit refused the call: the log output has a line about many such calls.
    is_limited: bool,
}

impl Running {
    fn look(&mut self, headers: &HeaderMap) {
        if let Some(status) = Status::from_header_map(headers) {
            self.code = Some(status.code());
            self.is_limited = status.metadata().contains_key(LIMIT_HEADER);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _inside = self.call.span.enter();
        let took = self.call.begun.elapsed();
        let kind = self.call.kind();
        self.metrics.call_ends(kind, self.code.unwrap_or(Code::Cancelled), took);
        let id = self.call.id.to_str().unwrap_or_default();
        self.call.trail.rpc_ends(id, kind.method, kind.action, self.code.unwrap_or(Code::Cancelled));
        let seconds = took.as_secs_f64();
        match self.code {
            Some(Code::Ok) if took >= SLOW && !is_long(kind) => {
                tracing::warn!(seconds, "a slow call");
            }
            Some(Code::Ok) => tracing::debug!(seconds, "done"),
            None => tracing::debug!(seconds, "the client left"),
            Some(code) if is_ours(code) && !self.is_limited => {
                tracing::warn!(code = code_name(code), seconds, "the call failed")
            }
            Some(code) => tracing::info!(code = code_name(code), seconds, "the call was refused"),
        }
    }
}

/// The status of a failed call. Logs server failures with their cause; the status omits the cause.
pub(crate) fn status_of(error: Error) -> Status {
    match &error {
        _ if error.failure().is_some_and(Failure::is_conflict) => {
            tracing::info!(cause = %error.detail(), "another process wrote first");
        }
        Error::Internal(_) => tracing::error!(cause = %error.detail(), "internal error"),
        _ if error.failure().is_some() => tracing::error!(cause = %error.detail(), "the store failed"),
        _ => {}
    }
    let mut status = status::status(error.code(), error.to_string());
    if let Error::Limit(setting, _) = error {
        status.metadata_mut().insert(LIMIT_HEADER, MetadataValue::from_static(setting));
    }
    status
}

/// Whether a failure concerns the operator; all others concern their callers.
fn is_ours(code: Code) -> bool {
    matches!(
        code,
        Code::Internal
            | Code::Unavailable
            | Code::ResourceExhausted
            | Code::Unknown
            | Code::DataLoss
            | Code::DeadlineExceeded
    )
}

/// Wraps the services in [`Calls`].
#[derive(Debug, Clone)]
pub(crate) struct CallsLayer {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) audit: Arc<Audit>,
}

impl<S> Layer<S> for CallsLayer {
    type Service = Calls<S>;

    fn layer(&self, inner: S) -> Calls<S> {
        Calls { inner, layer: self.clone() }
    }
}

/// Services whose calls have request IDs and log lines.
#[derive(Debug, Clone)]
pub(crate) struct Calls<S> {
    inner: S,
    layer: CallsLayer,
}

impl<S> Service<Request<Body>> for Calls<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        PeerFacts::introduce(request.extensions_mut());
        let call = Arc::new(Call::begin(&request, Trail::new(Arc::clone(&self.layer.audit))));
        request.extensions_mut().insert(Arc::clone(&call));
        self.layer.metrics.call_begins(call.method);
        let metrics = Arc::clone(&self.layer.metrics);
        let mut running = Running { call: Arc::clone(&call), metrics, code: None, is_limited: false };
        let answer = call.span.in_scope(|| self.inner.call(request)).instrument(call.span.clone());
        async move {
            let mut response = answer.await?;
            running.look(response.headers());
            call.name(response.headers_mut());
            Ok(response.map(|inner| Body::new(Answer { inner, running })))
        }
        .boxed()
    }
}

/// The rest of a response.
struct Answer {
    inner: Body,
    running: Running,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let polled = this.running.call.span.in_scope(|| Pin::new(&mut this.inner).poll_frame(context));
        let mut frame = ready!(polled);
        match &mut frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    this.running.look(trailers);
                    if this.running.code != Some(Code::Ok) {
                        this.running.call.name(trailers);
                    }
                }
            }
            Some(Err(status)) => this.running.code = Some(status.code()),
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(id: Option<&[u8]>, path: &str) -> Call {
        let mut request = Request::new(());
        *request.uri_mut() = path.parse().unwrap();
        if let Some(id) = id {
            request.headers_mut().insert(REQUEST_ID_HEADER, HeaderValue::from_bytes(id).unwrap());
        }
        Call::begin(&request, Trail::default())
    }

    #[test]
    fn harmless_request_ids_are_adopted() {
        let path = "/arrow.flight.protocol.FlightService/DoGet";
        assert_eq!(begin(Some(b"trace-7/1"), path).id, "trace-7/1");
        let long = [b'x'; LONGEST_ID + 1];
        for bad in [None, Some(&b""[..]), Some(b"two words"), Some(b"caf\xc3\xa9"), Some(&long)] {
            let id = begin(bad, path).id;
            assert!(Ulid::from_string(id.to_str().unwrap()).is_ok(), "{id:?}");
        }
    }

    #[test]
    fn what_a_call_is_comes_from_few_words() {
        let call = begin(None, "/arrow.flight.protocol.FlightService/DoAction");
        assert_eq!(call.kind(), CallKind { method: "DoAction", action: "" });
        call.runs("query");
        assert_eq!(call.kind(), CallKind { method: "DoAction", action: "query" });
        let call = begin(None, "/arrow.flight.protocol.FlightService/DoAction");
        call.runs("of-the-caller's-invention");
        assert_eq!(call.kind().action, OTHER);
        assert_eq!(begin(None, "/x.Y/DoGet").method, OTHER);
        assert_eq!(begin(None, "/arrow.flight.protocol.FlightService/DoNothing").method, OTHER);
    }
}
