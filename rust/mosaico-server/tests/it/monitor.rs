//! The HTTP endpoints for monitoring, from before the server starts until after its shutdown.

use std::net::SocketAddr;

use mosaico_server::faults::{Effect, Fault, Faults, Operation, When};
use mosaico_server::{HttpServer, Server};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::common::*;

pub(crate) async fn started() -> (HttpServer, SocketAddr) {
    let (monitor, listener) = (HttpServer::default(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let address = listener.local_addr().unwrap();
    let serving = monitor.clone();
    tokio::spawn(async move { serving.serve(listener).await });
    (monitor, address)
}

/// Status and body.
pub(crate) async fn ask(address: SocketAddr, path: &str) -> (u16, String) {
    ask_with(address, path, "").await
}

/// The same with headers, each ended by a line break.
pub(crate) async fn ask_with(address: SocketAddr, path: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// The only reason why the server is not ready.
async fn reason(address: SocketAddr) -> String {
    let (status, body) = ask(address, "/readyz").await;
    assert_eq!(status, 503, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["ready"], json!(false));
    let [reason] = body["reasons"].as_array().unwrap().as_slice() else { panic!("{body}") };
    reason.as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_follows_the_server_and_its_store() {
    let (folder, faults) = (TempDir::new().unwrap(), Faults::default());
    let (monitor, address) = started().await;
    assert_eq!(ask(address, "/healthz").await, (200, "ok\n".into()));
    assert!(reason(address).await.starts_with("starting"));
    assert_eq!(ask(address, "/metrics").await.0, 503);

    let mut config = config(folder.path());
    config.faults = faults.clone();
    let server = Server::open(config).await.unwrap();
    monitor.watch(&server);
    assert_eq!(ask(address, "/readyz").await, (200, "{\"ready\":true,\"reasons\":[]}\n".into()));
    assert_eq!(ask(address, "/metrics").await.0, 200);

    faults.add(Fault {
        operation: Some(Operation::Get),
        path: "layers.json".into(),
        when: When::Always,
        effect: Effect::Refuse,
    });
    assert!(reason(address).await.starts_with("store: "));
    faults.lift();
    assert_eq!(ask(address, "/readyz").await.0, 200);

    server.shutdown().await;
    assert!(reason(address).await.contains("shutting down"));
    assert_eq!(ask(address, "/healthz").await.0, 200);
}
