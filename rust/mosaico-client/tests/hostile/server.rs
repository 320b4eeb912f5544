//! A server of which a test decides every byte of each answer.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow_flight::FlightData;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, Stream, StreamExt};
use http_body::{Body as HttpBody, Frame};
use mosaico_client::{Addresses, Client, Error, Target, Timeouts};
use mosaico_wire::ipc::{batch_message, schema_message};
use prost::Message;
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, Response};
use tonic::server::NamedService;
use tonic::transport::Server;

/// Time for everything in these tests; no wait of a client may be without limit.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// What the client waits for an answer at most.
pub(crate) const ANSWER: Duration = Duration::from_millis(700);

/// The parts of an answer; [`ok`] and [`status`] make its trailers.
pub(crate) type Parts = BoxStream<'static, Frame<Bytes>>;

/// An answer to a call: its headers and body.
pub(crate) struct Answer {
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) parts: Parts,
}

impl From<Parts> for Answer {
    fn from(parts: Parts) -> Self {
        Self { headers: Vec::new(), parts }
    }
}

type Handler = dyn Fn(&str, Request<Body>) -> BoxFuture<'static, Answer> + Send + Sync;

/// A hostile server.
pub(crate) struct Hostile {
    pub(crate) port: u16,
    calls: Arc<AtomicUsize>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[derive(Clone)]
struct Raw {
    handler: Arc<Handler>,
    calls: Arc<AtomicUsize>,
}

impl NamedService for Raw {
    const NAME: &'static str = "arrow.flight.protocol.FlightService";
}

impl Service<Request<Body>> for Raw {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let method = request.uri().path().rsplit('/').next().unwrap().to_owned();
        let answer = (self.handler)(&method, request);
        async move {
            let Answer { headers, parts } = answer.await;
            let mut response = Response::new(Body::new(Answering(parts)));
            response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
            response.headers_mut().insert("mosaico-server", HeaderValue::from_static("mosaicolabs/0.1.0"));
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            Ok(response)
        }
        .boxed()
    }
}

struct Answering(Parts);

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_next_unpin(context).map(|part| part.map(Ok))
    }
}

impl Hostile {
    /// A server whose answers `handler` makes, by the name of the method.
    pub(crate) async fn start<F: Future<Output = Answer> + Send + 'static>(
        handler: impl Fn(&str, Request<Body>) -> F + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let handler: Arc<Handler> = Arc::new(move |method: &str, request| handler(method, request).boxed());
        let calls = Arc::<AtomicUsize>::default();
        let raw = Raw { handler, calls: Arc::clone(&calls) };
        let incoming = TcpListenerStream::new(listener);
        let serving =
            async { Server::builder().add_service(raw).serve_with_incoming(incoming).await.unwrap() };
        Self { port, calls, serving: tokio::spawn(serving) }
    }

    /// A server that greets clients well, and answers other calls with what `parts` makes.
    pub(crate) async fn answering(parts: impl Fn() -> Parts + Send + Sync + 'static) -> Self {
        Self::start(move |method, _| {
            let parts = if method == "ListFlights" { ok() } else { parts() };
            std::future::ready(parts.into())
        })
        .await
    }

    /// Calls that arrived.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    pub(crate) async fn client(&self) -> Client {
        connect([self.port]).await.unwrap()
    }
}

pub(crate) fn addresses(ports: impl IntoIterator<Item = u16>) -> Addresses {
    Addresses::new(ports.into_iter().map(|port| ("127.0.0.1".to_owned(), port))).unwrap()
}

pub(crate) async fn connect(ports: impl IntoIterator<Item = u16>) -> Result<Client, Error> {
    let timeouts = Timeouts { connect: Duration::from_secs(3), answer: ANSWER };
    Client::connect(Target::Tcp(addresses(ports)), timeouts).await
}

/// Fails if `work` takes longer than anything in these tests may.
pub(crate) async fn limited<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.expect("the client waits without limit")
}

/// The end of a good answer.
pub(crate) fn ok() -> Parts {
    trailers([("grpc-status", "0".to_owned())])
}

/// The end of an answer with an error.
pub(crate) fn status(code: u32, message: &str) -> Parts {
    trailers([("grpc-status", code.to_string()), ("grpc-message", message.to_owned())])
}

pub(crate) fn trailers<const N: usize>(entries: [(&'static str, String); N]) -> Parts {
    let mut map = HeaderMap::new();
    for (name, value) in entries {
        map.insert(name, HeaderValue::try_from(value).unwrap());
    }
    stream::iter([Frame::trailers(map)]).boxed()
}

/// A gRPC message with these bytes.
pub(crate) fn frame(message: &[u8]) -> Frame<Bytes> {
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    Frame::data(frame.into())
}

/// The head of a message of `len` bytes that never arrive.
pub(crate) fn head_of(flag: u8, len: u32) -> Frame<Bytes> {
    let mut frame = vec![flag];
    frame.extend(len.to_be_bytes());
    Frame::data(frame.into())
}

/// Messages, then a good end.
pub(crate) fn messages(messages: impl IntoIterator<Item = FlightData>) -> Parts {
    let frames: Vec<_> = messages.into_iter().map(|message| frame(&message.encode_to_vec())).collect();
    stream::iter(frames).chain(ok()).boxed()
}

/// Something for ever.
pub(crate) fn for_ever(part: Frame<Bytes>) -> impl Stream<Item = Frame<Bytes>> {
    let data = part.into_data().unwrap();
    stream::repeat_with(move || Frame::data(data.clone()))
}

pub(crate) fn rows(times: &[i64]) -> RecordBatch {
    let times: ArrayRef = Arc::new(Int64Array::from(times.to_vec()));
    RecordBatch::try_from_iter([("timestamp_ns", times)]).unwrap()
}

/// The messages of a stream with `batches`, the first of which is the schema.
pub(crate) fn encoded(batches: &[RecordBatch]) -> Vec<FlightData> {
    let schema = schema_message(&batches[0].schema());
    let first = FlightData { data_header: schema.into(), ..Default::default() };
    let batch = |batch: &RecordBatch| {
        let message = batch_message(batch, false).unwrap();
        FlightData {
            data_header: message.header.into(),
            data_body: message.body.into(),
            ..Default::default()
        }
    };
    std::iter::once(first).chain(batches.iter().map(batch)).collect()
}

/// A proxy that accepts connections and passes nothing on.
pub(crate) async fn black_hole() -> (u16, tokio::task::JoinHandle<()>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&count);
    let accepting = tokio::spawn(async move {
        let mut open: Vec<TcpStream> = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            open.push(stream);
        }
    });
    (port, accepting, count)
}
