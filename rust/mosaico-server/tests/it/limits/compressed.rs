//! Messages that are small until they are decompressed. The server decompresses nothing: it refuses compressed
//! messages of gRPC and compressed bodies of Arrow, and its HTTP side reads no bodies.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use mosaico_server::Server;
use tonic::Code;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{HeaderMap, Request};
use tonic::transport::Channel;

use super::started;
use crate::common::*;
use crate::monitor;

/// A body in one part.
struct Whole(Option<Bytes>);

impl HttpBody for Whole {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.take().map(|part| Ok(Frame::data(part))))
    }
}

/// The code of a call whose message has the compression flag.
async fn answered(server: &TestServer, method: &str, encoding: Option<&str>) -> Code {
    let mut channel = Channel::from_shared(server.address.clone()).unwrap().connect().await.unwrap();
    let bomb = [&[1, 0, 0, 4, 0][..], &[0x1f; 1024]].concat();
    let path = format!("{}/arrow.flight.protocol.FlightService/{method}", server.address);
    let mut request = Request::post(path).header("content-type", "application/grpc").header("te", "trailers");
    if let Some(encoding) = encoding {
        request = request.header("grpc-encoding", encoding);
    }
    let request = request.body(Body::new(Whole(Some(bomb.into())))).unwrap();
    std::future::poll_fn(|context| channel.poll_ready(context)).await.unwrap();
    let (head, mut body) = channel.call(request).await.unwrap().into_parts();
    assert!(head.headers.get("grpc-accept-encoding").is_none_or(|accepted| accepted == "identity"));
    let mut trailers: HeaderMap = head.headers;
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        trailers.extend(frame.unwrap().into_trailers().unwrap_or_default());
    }
    let code: i32 = trailers["grpc-status"].to_str().unwrap().parse().unwrap();
    Code::from(code)
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_messages_are_refused() {
    let (_folder, server, client) = started(|_| ()).await;
    for method in ["DoPut", "DoGet", "DoAction", "ListFlights", "GetFlightInfo"] {
        for encoding in ["gzip", "deflate", "zstd"] {
            assert_eq!(
                answered(&server, method, Some(encoding)).await,
                Code::Unimplemented,
                "{method} {encoding}"
            );
        }
        let unnamed = answered(&server, method, None).await;
        assert!(matches!(unnamed, Code::Internal | Code::InvalidArgument), "{method}: {unnamed}");
    }
    create_sequence(&client, "run").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_http_requests_are_not_read() {
    let folder = tempfile::TempDir::new().unwrap();
    let (monitor, address) = monitor::started().await;
    let server = Server::open(config(folder.path())).await.unwrap();
    monitor.watch(&server);
    for encoding in ["gzip", "br", "deflate"] {
        let headers = format!("Content-Encoding: {encoding}\r\nContent-Length: 1000000000\r\n");
        let (status, _) = monitor::ask_with(address, "/readyz", &headers).await;
        assert!([200, 400, 413].contains(&status), "{status}");
    }
    server.shutdown().await;
}
