//! The Flight service: validates incoming calls and dispatches them.

mod actions;
pub(crate) mod call;
pub(crate) mod events;
mod expansion;
pub(crate) mod get;
pub(crate) mod info;
mod links;
mod maintenance;
mod put;
pub(crate) mod reflection;
pub(crate) mod transport_refusals;

use std::sync::Arc;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, Result as ActionResult, SchemaResult, Ticket,
};
use futures::StreamExt;
use futures::stream;
use mosaico_engine::read::options::Options;
use mosaico_engine::state::engine::Engine;
use mosaico_storage::error::Error;
use mosaico_wire::action::name::QUERY;
use mosaico_wire::event::name::EVENT_LIST;
use mosaico_wire::maintenance::name::CATALOG_REBUILD;
use mosaico_wire::{
    ACKS_HEADER, FOLLOW_HEADER, FORWARDED_HEADER, SERVER_HEADER, SKIP_DAMAGED_HEADER, TOGETHER_HEADER,
    ZERO_RUNS_HEADER,
};
use tokio::select;
use tokio_util::task::AbortOnDropHandle;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status, Streaming};
use tracing::Instrument;

use self::call::Items;
use crate::access::identity::{Caller, refused};
use crate::limits::Gate;
use crate::peers::PeerPool;
use crate::request_layer::{Call, status_of};

/// The value of the response header that identifies this server to clients.
const SERVER: &str = concat!("mosaicolabs/", env!("CARGO_PKG_VERSION"));

/// The Flight service of one [`crate::Server`].
#[derive(Debug, Clone)]
pub(crate) struct Service {
    engine: Arc<Engine>,
    /// Connections to other daemons on the same store.
    peers: Arc<PeerPool>,
    /// Budgets for the bytes of messages.
    gate: Arc<Gate>,
}

impl Service {
    pub(crate) fn new(engine: Arc<Engine>, peers: Arc<PeerPool>, gate: Arc<Gate>) -> Self {
        Self { engine, peers, gate }
    }
}

/// The caller, which the access layer found out. Without that layer nobody is served.
fn caller<T>(request: &Request<T>) -> Result<Arc<Caller>, Status> {
    request.extensions().get::<Arc<Caller>>().cloned().ok_or_else(|| status_of(refused()))
}

fn answer<T>(body: T) -> Response<T> {
    let mut response = Response::new(body);
    response.metadata_mut().insert(SERVER_HEADER, MetadataValue::from_static(SERVER));
    response
}

type Answer<T> = Result<Response<T>, Status>;

fn not_served<T>(call: &str) -> Answer<T> {
    let text = format!("{call} is not served; use the calls of the Mosaico protocol");
    Err(status_of(Error::Unimplemented(text)))
}

/// The number of streams that the client reads together. A value that is not a number is ignored: it only
/// affects the size of messages.
fn together(request: &Request<Ticket>) -> usize {
    let number = request.metadata().get(TOGETHER_HEADER).and_then(|value| value.to_str().ok());
    number.and_then(|number| number.parse().ok()).unwrap_or(1)
}

#[tonic::async_trait]
impl FlightService for Service {
    type HandshakeStream = Items<HandshakeResponse>;
    type ListFlightsStream = Items<FlightInfo>;
    type DoGetStream = Items<FlightData>;
    type DoPutStream = Items<PutResult>;
    type DoExchangeStream = Items<FlightData>;
    type DoActionStream = Items<ActionResult>;
    type ListActionsStream = Items<ActionType>;

    async fn list_flights(&self, request: Request<Criteria>) -> Answer<Self::ListFlightsStream> {
        self.engine.check_owner().map_err(status_of)?;
        let visible = caller(&request)?.grant.visibility();
        let infos = info::list(&self.engine, &request.into_inner().expression, &visible).await;
        let infos = infos.map_err(status_of)?;
        Ok(answer(stream::iter(infos.into_iter().map(Ok)).boxed()))
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Answer<FlightInfo> {
        self.engine.check_owner().map_err(status_of)?;
        let forwarded = request.metadata().contains_key(FORWARDED_HEADER);
        let caller = caller(&request)?;
        Ok(answer(
            info::describe(&self.engine, &self.peers, &caller, request.into_inner(), forwarded)
                .await
                .map_err(status_of)?,
        ))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Answer<Self::DoGetStream> {
        self.engine.check_owner().map_err(status_of)?;
        let options = Options {
            follow: request.metadata().contains_key(FOLLOW_HEADER),
            zero_runs: request.metadata().contains_key(ZERO_RUNS_HEADER),
            together: together(&request),
            skip_damaged: request.metadata().contains_key(SKIP_DAMAGED_HEADER),
            forwarded: request.metadata().contains_key(FORWARDED_HEADER),
        };
        let caller = caller(&request)?;
        Ok(answer(
            get::messages(&self.engine, &self.peers, caller, &request.into_inner().ticket, options)
                .await
                .map_err(status_of)?,
        ))
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Answer<Self::DoPutStream> {
        self.engine.check_owner().map_err(status_of)?;
        let (caller, call) = (caller(&request)?, request.extensions().get::<Arc<Call>>().cloned());
        let counted = expansion::Counted::new(&self.gate, request.extensions());
        let mut response = answer(put::stream(&self.engine, caller, call, request.into_inner(), counted));
        response.metadata_mut().insert(ACKS_HEADER, MetadataValue::from_static("1"));
        Ok(response)
    }

    async fn do_action(&self, request: Request<Action>) -> Answer<Self::DoActionStream> {
        self.engine.check_owner().map_err(status_of)?;
        let call = request.extensions().get::<Arc<Call>>().cloned();
        let caller = caller(&request)?;
        let Action { r#type, body } = request.into_inner();
        if let Some(call) = &call {
            call.runs(&r#type);
            actions::note_subject(call, &r#type, &body);
        }
        if let Some(body) = actions::check(&caller, &r#type, &body).map_err(status_of)? {
            return Ok(answer(stream::iter([Ok(ActionResult { body: body.into() })]).boxed()));
        }
        let core = Arc::clone(&self.engine);
        if r#type == CATALOG_REBUILD {
            return Ok(answer(maintenance::rebuild(core, caller, &body).map_err(status_of)?));
        }
        let body = if r#type == EVENT_LIST {
            // A client may cancel its wait for events.
            select! {
                body = actions::run(&core, &caller, &r#type, &body) => body,
                () = caller.revoked() => Err(refused()),
            }
        } else {
            // A client that disconnects must not interrupt a change; its query ends.
            let is_query = r#type == QUERY;
            let action = async move { actions::run(&core, &caller, &r#type, &body).await };
            let action = self.engine.tasks.spawn(action.in_current_span());
            let ended = if is_query { AbortOnDropHandle::new(action).await } else { action.await };
            ended.unwrap_or_else(|e| Err(Error::internal("running an action", e)))
        };
        let body = body.map_err(status_of)?;
        Ok(answer(stream::iter([Ok(ActionResult { body: body.into() })]).boxed()))
    }

    async fn handshake(&self, _: Request<Streaming<HandshakeRequest>>) -> Answer<Self::HandshakeStream> {
        not_served("Handshake")
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Answer<PollInfo> {
        not_served("PollFlightInfo")
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Answer<SchemaResult> {
        not_served("GetSchema")
    }

    async fn list_actions(&self, _: Request<Empty>) -> Answer<Self::ListActionsStream> {
        not_served("ListActions")
    }

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Answer<Self::DoExchangeStream> {
        not_served("DoExchange")
    }
}
