//! TLS on the Flight and the HTTP port: who is refused and why, reload, slow clients, daemons of a cluster.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_flight::Criteria;
use arrow_flight::flight_service_client::FlightServiceClient;
use hyper_util::rt::TokioIo;
use mosaico_server::faults::{Effect, Operation, When};
use mosaico_server::{Config, HttpServer, Server, ServerFiles, ServerTls, WalPlacement};
use mosaico_tls::{ClientFiles, ClientTls, Created, create_development_files, explain, open};
use rcgen::{CertificateParams, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::transport::{Endpoint, Uri};

use crate::cluster::member;
use crate::common::*;
use crate::logging::{logged, take};
use crate::replicated_wal::{bucket, fault};

/// Limit for everything that has no limit of its own.
const LIMIT: Duration = Duration::from_secs(20);

/// A server with TLS.
pub(crate) struct Secured {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Secured {
    pub(crate) async fn start(config: Config, files: ServerFiles) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), config, files).await
    }

    async fn on(listener: TcpListener, config: Config, files: ServerFiles) -> Self {
        let tls = Arc::new(ServerTls::open(files).unwrap());
        let watching = tokio::spawn(Arc::clone(&tls).watch());
        let mut server = Server::open(config).await.unwrap();
        server.secure(tls);
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            server.serve_tcp(listener, async { drop(stopped.await) }).await.unwrap();
            server.shutdown().await;
            watching.abort();
        });
        Self { address, stop, serving }
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.serving.await.unwrap();
    }
}

pub(crate) fn created(folder: &TempDir, name: &str) -> Created {
    create_development_files(&folder.path().join(name), &[]).unwrap()
}

fn server_files(created: &Created) -> ServerFiles {
    ServerFiles {
        certificate: created.server.clone(),
        key: created.server_key.clone(),
        client_ca: None,
        peer_ca: Some(created.ca.clone()),
    }
}

pub(crate) fn mutual(created: &Created) -> ServerFiles {
    ServerFiles { client_ca: Some(created.ca.clone()), ..server_files(created) }
}

fn trusting(ca: &Path) -> ClientFiles {
    ClientFiles { ca: Some(ca.to_owned()), ..ClientFiles::default() }
}

/// A client that trusts the CA of one `Created`, with the certificate of another.
pub(crate) fn with_certificate(ca: &Created, own: &Created) -> ClientFiles {
    let identity = Some((own.client.clone(), own.client_key.clone()));
    ClientFiles { identity, ..trusting(&ca.ca) }
}

/// Connects and lists the sequences; the error is the explanation.
async fn client(host: &'static str, port: u16, files: &ClientFiles) -> Result<Client, String> {
    let tls = ClientTls::open(files).map_err(|e| e.to_string())?;
    let connecting = tls.clone();
    let connect = move |_: Uri| {
        let tls = connecting.clone();
        async move { open(host, port, Some(&tls)).await.map(TokioIo::new) }
    };
    let endpoint = Endpoint::from_static("http://test").connect_timeout(LIMIT);
    let channel = endpoint.connect_with_connector(tower::service_fn(connect)).await;
    let channel = channel.map_err(|error| explain(&error).unwrap_or_else(|| format!("{error:?}")))?;
    let client = FlightServiceClient::new(channel).max_decoding_message_size(usize::MAX);
    let listed = client.clone().list_flights(Criteria::default()).await;
    match listed {
        Ok(_) => Ok(client),
        Err(status) => {
            let reason = tls.refusal().or_else(|| explain(&status));
            Err(reason.unwrap_or_else(|| status.message().to_owned()))
        }
    }
}

pub(crate) async fn local(port: u16, files: &ClientFiles) -> Result<Client, String> {
    client("127.0.0.1", port, files).await
}

/// Replaces the server's certificate by one that is valid from the first to the second of these days from now.
fn reissue(created: &Created, hosts: &[&str], days: (i64, i64)) {
    let folder = created.ca.parent().unwrap();
    let ca_key = KeyPair::from_pem(&fs::read_to_string(folder.join("ca-key.pem")).unwrap()).unwrap();
    // The issuer's name has to be that of the CA.
    let mut ca = CertificateParams::default();
    ca.distinguished_name = rcgen::DistinguishedName::new();
    ca.distinguished_name.push(rcgen::DnType::CommonName, "Mosaico development CA");
    let issuer = Issuer::new(ca, ca_key);
    let mut params =
        CertificateParams::new(hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>()).unwrap();
    let now = time::OffsetDateTime::now_utc();
    params.not_before = now + time::Duration::days(days.0);
    params.not_after = now + time::Duration::days(days.1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    fs::write(&created.server_key, key.serialize_pem()).unwrap();
    fs::write(&created.server, certificate.pem()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_recorded_and_read_with_tls() {
    let folder = TempDir::new().unwrap();
    let tls = created(&folder, "tls");
    let server = Secured::start(config(&folder.path().join("store")), server_files(&tls)).await;
    let client = client("localhost", server.address.port(), &trusting(&tls.ca)).await.unwrap();
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    let times: Vec<i64> = (0..200_000).collect();
    put(&client, "run/t", &topic, &[rows(&times, 0)]).await.unwrap();
    let read = get(&client, "run/t").await;
    assert_eq!(read, times.iter().map(|time| (*time, *time)).collect::<Vec<_>>());
    drop(client);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_certificate_is_refused_with_the_reason() {
    let folder = TempDir::new().unwrap();
    let (tls, other) = (created(&folder, "tls"), created(&folder, "other"));
    let server = Secured::start(config(&folder.path().join("store")), server_files(&tls)).await;
    let port = server.address.port();
    let refusal = local(port, &trusting(&other.ca)).await.unwrap_err();
    assert!(refusal.contains("not signed by a trusted CA") && refusal.contains("tls_cert_path"), "{refusal}");
    server.stop().await;

    for (host, days, words) in [
        ("127.0.0.1", (-30, -1), "expired on 20"),
        ("127.0.0.1", (1, 30), "valid only from 20"),
        ("robots.example.org", (-1, 30), "is for robots.example.org, not for `127.0.0.1`"),
    ] {
        reissue(&tls, &[host], days);
        let server = Secured::start(config(&folder.path().join("store")), server_files(&tls)).await;
        let refusal = local(server.address.port(), &trusting(&tls.ca)).await.unwrap_err();
        assert!(refusal.contains(words), "{refusal}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_ca_demands_certificates() {
    let folder = TempDir::new().unwrap();
    let (tls, other) = (created(&folder, "tls"), created(&folder, "other"));
    let server = Secured::start(config(&folder.path().join("store")), mutual(&tls)).await;
    let port = server.address.port();
    let accepted = local(port, &with_certificate(&tls, &tls)).await.unwrap();
    let key = create_sequence(&accepted, "run").await;
    assert!(!key.is_empty());
    let refusal = local(port, &trusting(&tls.ca)).await.unwrap_err();
    assert!(
        refusal.contains("requires a client certificate") && refusal.contains("--client-cert"),
        "{refusal}"
    );
    let refusal = local(port, &with_certificate(&tls, &other)).await.unwrap_err();
    assert!(refusal.contains("refused the client certificate"), "{refusal}");
    drop(accepted);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_tells_the_name_of_the_client() {
    let folder = TempDir::new().unwrap();
    let tls = created(&folder, "tls");
    let server = ServerTls::open(mutual(&tls)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for (files, kind, name) in [
        (with_certificate(&tls, &tls), mosaico_tls::Listener::Grpc, Some("mosaico-client")),
        // Certificates are optional for HTTP.
        (trusting(&tls.ca), mosaico_tls::Listener::Http, None),
    ] {
        let client = ClientTls::open(&files).unwrap();
        let connected = tokio::spawn(async move { open("127.0.0.1", port, Some(&client)).await });
        let (stream, _) = listener.accept().await.unwrap();
        let accepted = server.accept(stream, kind).await;
        // The client speaks HTTP/2 only.
        if kind == mosaico_tls::Listener::Http {
            assert!(accepted.unwrap_err().contains("protocol"));
        } else {
            assert_eq!(accepted.unwrap().1.as_ref().map(|identity| identity.name()), name);
        }
        drop(connected.await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_without_tls_get_an_error_of_their_protocol() {
    let folder = TempDir::new().unwrap();
    let tls = created(&folder, "tls");
    let server = Secured::start(config(&folder.path().join("store")), server_files(&tls)).await;
    let channel =
        Endpoint::from_shared(format!("http://{}", server.address)).unwrap().connect().await.unwrap();
    let refusal = FlightServiceClient::new(channel).list_flights(Criteria::default()).await.unwrap_err();
    assert_eq!(refusal.code(), tonic::Code::Unavailable);
    assert!(refusal.message().contains("needs TLS") && refusal.message().contains("enable_tls"), "{refusal}");
    let (status, body) = crate::monitor::ask(server.address, "/").await;
    assert!(status == 400 && body.contains("needs TLS"), "{status} {body}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_tls_recognizes_a_port_without() {
    let folder = TempDir::new().unwrap();
    let tls = created(&folder, "tls");
    let server = TestServer::start(config(&folder.path().join("store"))).await;
    let port = server.address.rsplit_once(':').unwrap().1.parse().unwrap();
    let refusal = local(port, &trusting(&tls.ca)).await.unwrap_err();
    assert!(refusal.contains("does not use TLS") && refusal.contains("grpc://"), "{refusal}");
    let (_, monitor) = crate::monitor::started().await;
    let refusal = local(monitor.port(), &trusting(&tls.ca)).await.unwrap_err();
    assert!(refusal.contains("does not use TLS"), "{refusal}");
    server.stop().await;
}

#[test]
fn the_log_names_the_wrong_kind_of_client() {
    logged(async {
        let folder = TempDir::new().unwrap();
        let tls = created(&folder, "tls");
        let plain = TestServer::start(config(&folder.path().join("plain"))).await;
        let port = plain.address.rsplit_once(':').unwrap().1.parse().unwrap();
        local(port, &trusting(&tls.ca)).await.unwrap_err();
        let mut found = Vec::new();
        eventually("a warning", async || {
            found.extend(take("it uses TLS, but this port does not"));
            !found.is_empty()
        })
        .await;
        assert!(found[0].contains("127.0.0.1:") && found[0].contains("--tls-cert"), "{found:?}");
        plain.stop().await;

        let secured = Secured::start(config(&folder.path().join("secured")), mutual(&tls)).await;
        local(secured.address.port(), &trusting(&tls.ca)).await.unwrap_err();
        let mut found = Vec::new();
        eventually("a warning", async || {
            found.extend(take("the client has no certificate"));
            !found.is_empty()
        })
        .await;
        secured.stop().await;
    });
}

/// The serial number of the certificate that the server presents.
async fn presented(address: SocketAddr, ca: &Path) -> Result<Vec<u8>, String> {
    let tls = ClientTls::open(&trusting(ca)).unwrap();
    match open("127.0.0.1", address.port(), Some(&tls)).await {
        Ok(mosaico_tls::Stream::Tls(stream) | mosaico_tls::Stream::Client(stream, _)) => {
            Ok(stream.get_ref().1.peer_certificates().unwrap()[0].to_vec())
        }
        Ok(mosaico_tls::Stream::Plain(_)) => panic!("no TLS"),
        Err(error) => Err(explain(&error).unwrap()),
    }
}

#[test]
fn changed_files_are_reloaded_and_broken_ones_are_not() {
    logged(async {
        let folder = TempDir::new().unwrap();
        let tls = created(&folder, "tls");
        let server = Secured::start(config(&folder.path().join("store")), server_files(&tls)).await;
        let first = presented(server.address, &tls.ca).await.unwrap();
        let connected = local(server.address.port(), &trusting(&tls.ca)).await.unwrap();

        reissue(&tls, &["127.0.0.1"], (-1, 30));
        let changed = Instant::now();
        let (address, ca): (_, PathBuf) = (server.address, tls.ca.clone());
        eventually("the new certificate is presented", async || {
            presented(address, &ca).await.unwrap() != first
        })
        .await;
        assert!(changed.elapsed() < Duration::from_secs(3), "{:?}", changed.elapsed());
        let second = presented(server.address, &tls.ca).await.unwrap();
        // Connections continue.
        connected.clone().list_flights(Criteria::default()).await.unwrap();
        take("");

        // A key of another certificate.
        let key = fs::read(&tls.server_key).unwrap();
        fs::write(&tls.server_key, fs::read(&tls.client_key).unwrap()).unwrap();
        let mut found = Vec::new();
        eventually("a warning", async || {
            found.extend(take("stays in use"));
            !found.is_empty()
        })
        .await;
        assert!(found[0].starts_with("WARN") && found[0].contains("server-key.pem"), "{found:?}");
        assert!(found[0].contains("not the key of the certificate"), "{found:?}");
        assert_eq!(presented(server.address, &tls.ca).await.unwrap(), second);

        // Repaired and renewed in two steps, the first of which leaves no pair.
        fs::remove_file(&tls.server_key).unwrap();
        fs::write(&tls.server_key, key).unwrap();
        reissue(&tls, &["127.0.0.1"], (-1, 60));
        eventually("the next certificate is presented", async || {
            presented(address, &ca).await.unwrap() != second
        })
        .await;
        found.extend(take("stays in use"));
        assert_eq!(found.len(), 1, "{found:?}");
        drop(connected);
        server.stop().await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_handshake_delays_nobody_and_ends() {
    let folder = TempDir::new().unwrap();
    let tls = created(&folder, "tls");
    let server = Secured::start(config(&folder.path().join("store")), server_files(&tls)).await;
    let begun = Instant::now();
    let mut silent = Vec::new();
    for bytes in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        silent.push(stream);
    }
    for _ in 0..10 {
        timeout(LIMIT / 10, local(server.address.port(), &trusting(&tls.ca))).await.unwrap().unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    for mut stream in silent {
        let mut rest = Vec::new();
        // Reset or closed.
        drop(timeout(LIMIT, stream.read_to_end(&mut rest)).await.unwrap());
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn monitors_use_tls_without_a_certificate() {
    let folder = TempDir::new().unwrap();
    let tls = created(&folder, "tls");
    let server = Arc::new(ServerTls::open(mutual(&tls)).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { HttpServer::default().serve_tls(listener, server).await });
    let (status, body) = crate::monitor::ask(address, "/healthz").await;
    assert!(status == 400 && body.contains("https://"), "{status} {body}");

    let client = ClientTls::open(&trusting(&tls.ca)).unwrap();
    let refusal = open("127.0.0.1", address.port(), Some(&client)).await.unwrap_err();
    assert!(explain(&refusal).unwrap().contains("does not serve gRPC"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_rebuilds_through_a_server_with_tls() {
    let folder = TempDir::new().unwrap();
    let (tls, other) = (created(&folder, "tls"), created(&folder, "other"));
    // No client could verify this name.
    reissue(&tls, &["robots.example.org"], (-1, 30));
    let settings = || config(&folder.path().join("store"));
    let server = Secured::start(settings(), mutual(&tls)).await;
    let files = ClientFiles {
        ca: None,
        identity: Some((tls.client.clone(), tls.client_key.clone())),
        pinned: Some(tls.server.clone()),
    };
    local(server.address.port(), &files).await.unwrap();
    let rebuilt = mosaico_admin::rebuild(settings(), &files, &|_| ()).await.unwrap();
    assert_eq!(rebuilt.sequences, 0);
    let files = ClientFiles { pinned: Some(other.server.clone()), ..files };
    let refusal = mosaico_admin::rebuild(settings(), &files, &|_| ()).await.unwrap_err().to_string();
    assert!(refusal.contains("grpc+tls://127.0.0.1:") && refusal.contains("not signed"), "{refusal}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn daemons_of_a_cluster_reach_each_other_with_tls() {
    if crate::database::postgres().is_none() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let tls = created(&folder, "tls");
    let start = async |name: &str| {
        let faults = bucket(folder.path());
        // The rows stay in the WAL on the disk of the daemon that records them.
        faults.add(fault(Operation::Put, "chunk-", When::Always, Effect::Stall));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = member(folder.path(), &faults, name);
        config.wal = WalPlacement::Disk;
        config.shared = Some(format!("grpc+tls://{}", listener.local_addr().unwrap()));
        (Secured::on(listener, config, mutual(&tls)).await, faults)
    };
    let ((first, stalled), (second, _)) = (start("a").await, start("b").await);
    let recording = local(first.address.port(), &with_certificate(&tls, &tls)).await.unwrap();
    let reading = local(second.address.port(), &with_certificate(&tls, &tls)).await.unwrap();
    let key = create_sequence(&recording, "run").await;
    let topic = create_topic(&recording, "run/t", &key).await;
    let mut writer = Put::open(&recording, "run/t", &topic, rows(&[0], 0).schema()).await;
    writer.send(rows(&[1, 2, 3], 0)).await;
    writer.durable(3).await;
    assert_eq!(get(&reading, "run/t").await.len(), 3);
    stalled.lift();
    drop((writer, recording, reading));
    second.stop().await;
    first.stop().await;
}
