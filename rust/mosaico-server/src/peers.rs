//! Reads of a topic that another daemon records: that daemon has rows that are not in the store yet, so this
//! daemon forwards the read to it.

use std::collections::{HashMap, HashSet};
use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, FlightDescriptor, Ticket};
use async_stream::try_stream;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use hyper_util::rt::TokioIo;
use mosaico_catalog::TopicRow;
use mosaico_engine::access::keys::Keys;
use mosaico_engine::read::options::Options;
use mosaico_engine::state::engine::Engine;
use mosaico_storage::error::{Error, Result};
use mosaico_tls::{Address, ServerTls, Stream, explain, open};
use mosaico_types::id::TopicId;
use mosaico_types::{Outage, now_ns};
use mosaico_wire::metadata::parse_location;
use mosaico_wire::{
    FOLLOW_HEADER, FORWARDED_HEADER, PEER_HEADER, SKIP_DAMAGED_HEADER, TOGETHER_HEADER, ZERO_RUNS_HEADER,
    status,
};
use parking_lot::Mutex;
use tokio::time::timeout;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// The time limit of the other daemon's response; after that, the read uses the store.
const TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Flow-control window of one stream, and of one connection.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 1 << 30;

/// The paths of the forwarded calls.
const DO_GET: &str = "/arrow.flight.protocol.FlightService/DoGet";
const GET_FLIGHT_INFO: &str = "/arrow.flight.protocol.FlightService/GetFlightInfo";

/// Connections to other daemons.
#[derive(Debug)]
pub(crate) struct PeerPool {
    /// By address.
    open: Mutex<HashMap<String, Channel>>,
    /// Daemons that did not answer, by address. Reads use the store meanwhile and do not wait for them.
    outages: Mutex<HashMap<String, Outage>>,
    tls: Option<Arc<ServerTls>>,
    keys: Arc<Keys>,
    /// Whether other daemons want a proof. Most clusters need none, and then no call waits for the store.
    want_proof: AtomicBool,
}

impl PeerPool {
    /// The secret that comes with `keys` proves to other daemons that this one belongs to their store.
    pub(crate) fn new(tls: Option<Arc<ServerTls>>, keys: Arc<Keys>) -> Self {
        Self {
            open: Mutex::default(),
            outages: Mutex::default(),
            tls,
            keys,
            want_proof: AtomicBool::new(false),
        }
    }

    /// The proof for a call; `None`: the store never had an API key.
    async fn proof(&self, path: &str) -> Option<MetadataValue<Ascii>> {
        let ring = self.keys.ring().await.ok()?;
        ring.signer()?.peer_proof(path, now_ns()).parse().ok()
    }

    /// Whether a daemon did not answer lately. From time to time, one caller has it probed in the background.
    fn is_out(self: &Arc<Self>, address: &str) -> bool {
        let now = Instant::now();
        let claimed = match self.outages.lock().get_mut(address) {
            None => return false,
            Some(outage) => outage.claim(now, TIMEOUT),
        };
        if claimed {
            let (peers, address) = (Arc::clone(self), address.to_owned());
            tokio::spawn(async move { peers.probe(&address).await });
        }
        true
    }

    async fn probe(&self, address: &str) {
        let Some(channel) = self.channel(address) else { return };
        let request = HealthCheckRequest { service: String::new() };
        let mut health = HealthClient::new(channel);
        match timeout(TIMEOUT, health.check(request)).await {
            // Any status of the daemon is an answer; one with a source was created here.
            Ok(answer) if answer.as_ref().err().is_none_or(|status| status.source().is_none()) => {
                self.outages.lock().remove(address);
                tracing::info!(%address, "another daemon answers again");
            }
            // Nothing listens there: further attempts fail at once.
            Ok(_) => _ = self.outages.lock().remove(address),
            Err(_) => _ = self.does_not_answer(address),
        }
    }

    /// Remembers that a daemon did not answer; returns whether that is new.
    fn does_not_answer(&self, address: &str) -> bool {
        // The next attempt opens a new connection.
        self.open.lock().remove(address);
        let mut outages = self.outages.lock();
        let is_new = !outages.contains_key(address);
        outages.entry(address.to_owned()).or_default().failed(Instant::now());
        is_new
    }

    fn channel(&self, address: &str) -> Option<Channel> {
        let mut open = self.open.lock();
        if let Some(channel) = open.get(address) {
            return Some(channel.clone());
        }
        let parsed = Address::parse(address)?;
        let endpoint = Endpoint::from_shared(parsed.uri("http")).ok()?;
        let tls = self.tls.clone();
        let connect = move |_: Uri| {
            let (address, tls) = (parsed.clone(), tls.clone());
            async move { connect(&address, tls.as_deref()).await.map(TokioIo::new) }
        };
        let channel = endpoint
            .connect_timeout(TIMEOUT)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .connect_with_connector_lazy(tower::service_fn(connect));
        open.insert(address.to_owned(), channel.clone());
        Some(channel)
    }
}

/// Connects to another daemon, as its address requires.
async fn connect(address: &Address, tls: Option<&ServerTls>) -> io::Result<Stream> {
    let tls = match (address.tls, tls) {
        (false, _) => None,
        (true, Some(tls)) => Some(tls.peers().map_err(io::Error::other)?),
        (true, None) => {
            let text = format!("{address} needs TLS; start this daemon with --tls-cert and --tls-key too");
            return Err(io::Error::other(text));
        }
    };
    let opened = timeout(TIMEOUT, open(&address.host, address.port, tls.as_ref())).await;
    opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).inspect_err(|error| {
        if let Some(reason) = explain(error) {
            tracing::warn!(%address, "the daemon is not reached: {reason}");
        }
    })
}

/// The daemons that record some of `topics` now, with their addresses.
async fn recorders(core: &Engine, topics: &[&TopicRow]) -> Result<HashMap<TopicId, String>> {
    let open = topics.iter().filter(|topic| topic.committed_ns.is_none());
    let open: Vec<TopicId> = open.map(|topic| topic.id).collect();
    match core.coordinator.membership() {
        Some(cluster) if !open.is_empty() => core.catalog.recorders(&open, cluster.id()).await,
        _ => Ok(HashMap::new()),
    }
}

/// Whether another daemon records a topic now, so that reads are forwarded to it.
pub(crate) async fn is_remote(core: &Engine, topic: &TopicRow) -> Result<bool> {
    Ok(recorders(core, &[topic]).await?.contains_key(&topic.id))
}

/// Sends a request to another daemon; sends it again with a proof if that daemon wants one.
async fn send<T: Clone, R>(
    peers: &PeerPool,
    channel: Channel,
    path: &str,
    body: T,
    marks: &[(&'static str, usize)],
    call: impl AsyncFn(FlightServiceClient<Channel>, Request<T>) -> Result<Response<R>, Status>,
) -> Result<Response<R>, Status> {
    loop {
        let mut request = Request::new(body.clone());
        for (mark, value) in marks.iter().chain(&[(FORWARDED_HEADER, 1)]) {
            request.metadata_mut().insert(*mark, MetadataValue::from(*value));
        }
        let with_proof = peers.want_proof.load(Ordering::Relaxed);
        if with_proof && let Some(proof) = peers.proof(path).await {
            request.metadata_mut().insert(PEER_HEADER, proof);
        }
        let flight = FlightServiceClient::new(channel.clone()).max_decoding_message_size(usize::MAX);
        match call(flight, request).await {
            Err(status) if status.code() == Code::PermissionDenied && !with_proof => {
                peers.want_proof.store(true, Ordering::Relaxed);
            }
            answer => return answer,
        }
    }
}

/// Asks another daemon. `None`: it is unreachable, so only the rows in the store can be read.
async fn ask<T: Clone, R>(
    peers: &Arc<PeerPool>,
    address: &str,
    path: &str,
    body: T,
    marks: &[(&'static str, usize)],
    call: impl AsyncFn(FlightServiceClient<Channel>, Request<T>) -> Result<Response<R>, Status>,
) -> Result<Option<R>> {
    if peers.is_out(address) {
        return Ok(None);
    }
    let Some(channel) = peers.channel(address) else { return Ok(None) };
    match timeout(TIMEOUT, send(peers, channel, path, body, marks, call)).await {
        Ok(Ok(answer)) => Ok(Some(answer.into_inner())),
        Ok(Err(status)) if status.code() == Code::PermissionDenied => {
            tracing::warn!(%address, "another daemon refuses this one; do their clocks agree? The store is read");
            Ok(None)
        }
        Ok(Err(status)) if status.metadata().contains_key(status::ERROR_HEADER) => Err(to_error(&status)),
        Ok(Err(status)) => {
            tracing::warn!(%address, %status, "another daemon is not reached; the store is read");
            Ok(None)
        }
        Err(_) => {
            if peers.does_not_answer(address) {
                tracing::warn!(%address, "another daemon does not answer; the store is read until it does");
            }
            Ok(None)
        }
    }
}

/// The messages of a read, from the daemon that records the topic. `None`: this daemon records the topic, no
/// daemon does, or the recording daemon is unreachable.
pub(crate) async fn read(
    core: &Engine,
    peers: &Arc<PeerPool>,
    topic: &TopicRow,
    ticket: Vec<u8>,
    options: Options,
) -> Result<Option<BoxStream<'static, Result<FlightData>>>> {
    let Some(address) = recorders(core, &[topic]).await?.remove(&topic.id) else { return Ok(None) };
    let ticket = Ticket { ticket: ticket.into() };
    let asked = [
        (FOLLOW_HEADER, options.follow.then_some(1)),
        (ZERO_RUNS_HEADER, options.zero_runs.then_some(1)),
        (TOGETHER_HEADER, Some(options.together)),
        (SKIP_DAMAGED_HEADER, options.skip_damaged.then_some(1)),
    ];
    let marks: Vec<_> = asked.into_iter().filter_map(|(mark, asked)| Some((mark, asked?))).collect();
    let messages =
        ask(peers, &address, DO_GET, ticket, &marks, async |mut flight, ticket| flight.do_get(ticket).await);
    Ok(messages.await?.map(passed_on))
}

/// Information about `topics` from the daemons that record them: the `app_metadata` of their endpoints.
pub(crate) async fn infos(
    core: &Engine,
    peers: &Arc<PeerPool>,
    topics: &[TopicRow],
    descriptor: &FlightDescriptor,
) -> Result<HashMap<TopicId, Bytes>> {
    let recorders = recorders(core, &topics.iter().collect::<Vec<_>>()).await?;
    let addresses: HashSet<&String> = recorders.values().collect();
    let mut found = HashMap::new();
    for address in addresses {
        let call = async |mut flight: FlightServiceClient<Channel>, body| flight.get_flight_info(body).await;
        let Some(info) = ask(peers, address, GET_FLIGHT_INFO, descriptor.clone(), &[], call).await? else {
            continue;
        };
        for endpoint in info.endpoint {
            let place = endpoint.location.first().and_then(|location| parse_location(&location.uri));
            let topic = topics.iter().find(|topic| Some(topic.locator.to_string().as_str()) == place);
            if let Some(topic) = topic.filter(|topic| recorders.get(&topic.id) == Some(address)) {
                found.insert(topic.id, endpoint.app_metadata);
            }
        }
    }
    Ok(found)
}

fn passed_on(mut messages: Streaming<FlightData>) -> BoxStream<'static, Result<FlightData>> {
    let messages = try_stream! {
        while let Some(message) = messages.message().await.map_err(|status| to_error(&status))? {
            yield message;
        }
    };
    messages.boxed()
}

/// Converts the other daemon's status, or a broken connection, to an error.
fn to_error(status: &Status) -> Error {
    if status.metadata().contains_key(status::ERROR_HEADER) {
        return Error::Refused(status::code(status), status.message().to_owned());
    }
    tracing::warn!(%status, "the connection to another daemon broke");
    Error::StoreUnavailable("reading from the daemon that records this".into())
}
