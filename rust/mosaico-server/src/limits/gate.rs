//! Admits calls: counts them, their messages and their answers.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use mosaico_engine::state::engine::Engine;
use mosaico_engine::state::limits::{Limits, Receipt};
use mosaico_types::access::KeyLimits;
use mosaico_wire::REQUEST_ID_HEADER;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Extensions, Request as HttpRequest, Response};
use tonic::metadata::MetadataValue;
use tower::{Layer, Service};

use super::account::{Account, Accounts, Counting, Payer, Quota, refusal};
use super::answer::Answers;
use super::request::{Budget, Payers, Receipts, Request, Rules};
use crate::access::identity::Caller;
use crate::brief::HTTP_CONNECTIONS;
use crate::connections::{Connection, Peer};
use crate::occasionally::Occasionally;
use crate::request_layer::request_id;

/// Maximum size of a JSON body, command or ticket. Rows are sent in streams and have other limits.
pub(crate) const MAX_BODY_BYTES: usize = 4 << 20;

/// Calls with rows in their request.
const PUT: &str = "/arrow.flight.protocol.FlightService/DoPut";

/// Memory for requests without rows that are larger than usual.
const REQUESTS: usize = 32 << 20;

/// Memory for the dictionaries of all puts.
const DICTIONARIES: usize = 32 << 20;

/// Long answers over HTTP at the same time: so many that monitors always have connections.
const DOWNLOADS: usize = HTTP_CONNECTIONS / 2;

/// Bytes of a message around the body that [`MAX_BODY_BYTES`] is about.
const ENVELOPE: usize = 64 << 10;

/// How often unread answers are looked for.
const LOOK: Duration = Duration::from_secs(1);

/// What all calls of a server use together.
#[derive(Debug)]
pub(crate) struct Gate {
    limits: Limits,
    max_message_bytes: usize,
    calls: AtomicUsize,
    accounts: Accounts,
    share: usize,
    /// For rows as they are received.
    rows: Arc<Budget>,
    /// For rows that are unpacked.
    unpacked: Arc<Budget>,
    requests: Arc<Budget>,
    /// For dictionaries that decoders keep.
    dictionaries: Arc<Semaphore>,
    /// Long answers over HTTP.
    downloads: Arc<Semaphore>,
    answers: Arc<Answers>,
    refusals: Occasionally,
    unread: Occasionally,
}

impl Gate {
    pub(crate) fn new(engine: &Engine) -> Arc<Self> {
        let config = &engine.config;
        let bytes = config.ingest_bytes;
        // One peer never takes everything.
        let share = (bytes - bytes / 4).clamp(1, u32::MAX as usize);
        Arc::new(Self {
            limits: config.limits.clone(),
            max_message_bytes: config.max_message_bytes,
            calls: AtomicUsize::new(0),
            accounts: Accounts::default(),
            share,
            rows: Budget::new(bytes, "--ingest-bytes"),
            unpacked: Budget::new(bytes, "--ingest-bytes"),
            requests: Budget::new(REQUESTS, "for requests"),
            dictionaries: Arc::new(Semaphore::new(DICTIONARIES)),
            downloads: Arc::new(Semaphore::new(DOWNLOADS)),
            answers: Answers::new(),
            refusals: Occasionally::default(),
            unread: Occasionally::default(),
        })
    }

    /// Waits until `bytes` may be unpacked from a message.
    pub(crate) async fn unpacking(&self, bytes: usize) -> Receipt {
        Arc::clone(&self.unpacked).more(bytes).await
    }

    /// Memory for a dictionary that is kept as long as its put is open; `None` if there is none.
    pub(crate) fn keeping(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let permits = u32::try_from(bytes).ok()?;
        Arc::clone(&self.dictionaries).try_acquire_many_owned(permits).ok()
    }

    /// Ends answers that are left unread, until the server stops.
    pub(crate) async fn watch(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            let limit = self.limits.read_timeout;
            let ended = self.answers.end_unread(limit);
            if ended > 0
                && let Some(times) = self.unread.due()
            {
                let seconds = limit.as_secs_f64();
                tracing::warn!(ended, seconds, times, "answers were ended: their readers left them unread");
            }
        }
    }

    fn begin(self: &Arc<Self>, connection: Option<&Arc<Connection>>) -> Result<Passing, Status> {
        let payer = connection.and_then(|connection| Payer::of(connection));
        let quota = Quota {
            calls: self.limits.address_calls,
            call_rate: self.limits.address_call_rate,
            bytes: self.share,
        };
        let account = payer.map(|payer| self.accounts.account(payer, quota));
        let limit = self.limits.calls;
        if account.is_some() && self.calls.load(Ordering::Relaxed) >= limit {
            let what = format!("{limit} calls are in progress, the limit of this server");
            return Err(refusal("max-calls", &what, Duration::from_secs(1)));
        }
        let counting = account.as_ref().map(Account::begin).transpose()?;
        self.calls.fetch_add(1, Ordering::Relaxed);
        if let Some(connection) = connection {
            connection.calls.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Passing { gate: Arc::clone(self), connection: connection.cloned(), account, _counting: counting })
    }

    /// Lets a caller that proved who it is pay for its call, too. It pays until the result is dropped.
    pub(crate) fn charge(&self, caller: &Caller, request: &Extensions) -> Result<Option<Charged>, Status> {
        let Some(payer) = caller.identity.payer() else { return Ok(None) };
        let KeyLimits { calls, call_rate, bytes } = caller.limits;
        let size = |bytes: u64| usize::try_from(bytes).map_or(self.share, |bytes| bytes.min(self.share));
        let quota = Quota {
            calls: calls.map_or(self.limits.key_calls, |calls| calls as usize),
            call_rate: call_rate.unwrap_or(self.limits.key_call_rate),
            bytes: bytes.map_or(self.share, size),
        };
        let account = self.accounts.account(Payer::Caller(payer), quota);
        let charged = account.begin().inspect_err(|status| self.log_refusal(None, status))?;
        if let Some(payers) = request.get::<Payers>() {
            payers.add(&account);
        }
        Ok(Some(Charged { _counting: charged }))
    }

    /// Keeps `held` until an answer ends. One that its `connection` leaves unread is ended.
    pub(crate) fn until_its_end<T: Send + Unpin + 'static>(
        &self,
        body: Body,
        connection: Option<Arc<Connection>>,
        held: T,
    ) -> Body {
        Body::new(self.answers.watch(body, connection, held))
    }

    /// Lets a request over HTTP begin.
    pub(crate) fn admit(self: &Arc<Self>, connection: &Arc<Connection>) -> Result<Passing, Status> {
        let passing = self.begin(Some(connection));
        passing.inspect_err(|status| self.log_refusal(connection.address, status))
    }

    /// Lets a long answer over HTTP begin.
    pub(crate) fn download(&self) -> Result<OwnedSemaphorePermit, Status> {
        Arc::clone(&self.downloads).try_acquire_owned().map_err(|_| {
            let what = format!("{DOWNLOADS} downloads are in progress, the limit of the HTTP port");
            refusal("downloads", &what, Duration::from_secs(1))
        })
    }

    fn log_refusal(&self, address: Option<IpAddr>, status: &Status) {
        if let Some(times) = self.refusals.due() {
            let request = status.metadata().get(REQUEST_ID_HEADER).and_then(|id| id.to_str().ok());
            tracing::warn!(?address, times, request, reason = status.message(), "calls are refused");
        }
    }

    fn rules(&self, path: &str, payers: &Payers) -> Rules {
        let put = path == PUT;
        Rules {
            limit: if put { self.max_message_bytes } else { MAX_BODY_BYTES.min(self.max_message_bytes) },
            envelope: if put { 0 } else { ENVELOPE },
            budget: Arc::clone(if put { &self.rows } else { &self.requests }),
            payers: if put { payers.clone() } else { Payers::default() },
            timeout: self.limits.message_timeout,
            streams: put,
        }
    }
}

/// A call in progress of a caller that proved who it is.
#[derive(Debug)]
pub(crate) struct Charged {
    _counting: Counting,
}

/// A call in progress.
pub(crate) struct Passing {
    gate: Arc<Gate>,
    connection: Option<Arc<Connection>>,
    account: Option<Arc<Account>>,
    _counting: Option<Counting>,
}

impl Drop for Passing {
    fn drop(&mut self) {
        self.gate.calls.fetch_sub(1, Ordering::Relaxed);
        if let Some(connection) = &self.connection {
            connection.calls.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Puts services behind a [`Gate`].
#[derive(Debug, Clone)]
pub(crate) struct GateLayer(pub Arc<Gate>);

impl<S> Layer<S> for GateLayer {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { inner, gate: Arc::clone(&self.0) }
    }
}

/// Services behind a [`Gate`].
#[derive(Debug, Clone)]
pub(crate) struct Gated<S> {
    inner: S,
    gate: Arc<Gate>,
}

impl<S> Service<HttpRequest<Body>> for Gated<S>
where
    S: Service<HttpRequest<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: HttpRequest<Body>) -> Self::Future {
        let peer = request.extensions_mut().remove::<Peer>();
        if let Some(peer) = &peer {
            (peer.restore)(request.extensions_mut());
        }
        let connection = peer.map(|peer| peer.connection);
        let passing = match self.gate.begin(connection.as_ref()) {
            Ok(passing) => passing,
            Err(mut status) => {
                let address = connection.and_then(|connection| connection.address);
                let id = request_id(request.headers());
                if let (Some(_), Ok(id)) = (address, MetadataValue::try_from(id.as_bytes())) {
                    status.metadata_mut().insert(REQUEST_ID_HEADER, id);
                }
                self.gate.log_refusal(address, &status);
                return std::future::ready(Ok(status.into_http())).boxed();
            }
        };
        let receipts = Receipts::default();
        request.extensions_mut().insert(receipts.clone());
        let put = request.uri().path() == PUT;
        let payers = Payers::default();
        passing.account.iter().for_each(|account| payers.add(account));
        let rules = self.gate.rules(request.uri().path(), &payers);
        request.extensions_mut().insert(payers);
        let request = request.map(|body| Body::new(Request::new(body, rules, receipts)));
        let answer = self.inner.call(request);
        let answers = Arc::clone(&self.gate.answers);
        async move {
            let response = answer.await?;
            // Acknowledgements replace each other: unread ones hold nothing.
            // A reader inside the process may pause: it holds its own memory.
            let watched = connection.filter(|connection| !put && connection.address.is_some());
            Ok(response.map(|body| Body::new(answers.watch(body, watched, passing))))
        }
        .boxed()
    }
}
