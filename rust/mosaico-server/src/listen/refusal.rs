//! The answer to clients without TLS at a port that needs it: an error of their protocol, gRPC or HTTP.

use std::convert::Infallible;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use mosaico_types::ErrorCode;
use mosaico_wire::status;
use tokio::net::TcpStream;
use tonic::body::Body;
use tonic::codegen::http::header::CONTENT_TYPE;
use tonic::codegen::http::{Request, Response, StatusCode};

const GRPC: &[u8] = b"application/grpc";

/// Answers the calls of a connection until the client closes it; the caller limits the time.
pub(super) async fn refuse(stream: TcpStream) {
    let service = service_fn(|request| async move { Ok::<_, Infallible>(answer(&request)) });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().keep_alive(false);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(cause = %error, "a client without TLS broke off");
    }
}

fn answer(request: &Request<Incoming>) -> Response<Body> {
    let kind = request.headers().get(CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(GRPC)) {
        let text = "this port needs TLS; connect with TLS (grpc+tls://, enable_tls or tls_cert_path, --tls)";
        return status::status(ErrorCode::Unavailable, text).into_http();
    }
    let mut response = Response::new(Body::new("this port needs TLS; connect with https://\n".to_owned()));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}
