//! A rebuild by the server that uses the store.

use std::time::Duration;

use arrow_flight::Action;
use arrow_flight::flight_service_client::FlightServiceClient;
use hyper_util::rt::TokioIo;
use mosaico_engine::access::secret::Signer;
use mosaico_storage::error::{Error, Result};
use mosaico_tls::{Address, ClientFiles, ClientTls, explain, open};
use mosaico_types::{ErrorCode, now_ns};
use mosaico_wire::action::{Nothing, decode_answer};
use mosaico_wire::maintenance::name::CATALOG_REBUILD;
use mosaico_wire::maintenance::{Progress, RebuildStep, Rebuilt};
use mosaico_wire::{PEER_HEADER, status};
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Status};

const DO_ACTION: &str = "/arrow.flight.protocol.FlightService/DoAction";

/// Connection timeout, and interval of keep-alive pings.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Requests a rebuild from the first of these servers that responds, and reports its progress. An address is
/// `host:port`, or `grpc+tls://host:port` with TLS. The signer proves that this command has the store; `None`:
/// the store never had an API key.
pub(crate) async fn rebuild(
    addresses: &[String],
    tls: &ClientFiles,
    signer: Option<&Signer>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Rebuilt> {
    let mut unreachable = Vec::new();
    for address in addresses {
        match connect(address, tls).await {
            Ok(channel) => return rebuild_over(channel, address, signer, progress).await,
            Err(error) => unreachable.push(format!("{address} ({error})")),
        }
    }
    Err(Error::Startup(format!(
        "the store is in use by the server at {}, which does not answer; stop it to rebuild without it",
        unreachable.join(", ")
    )))
}

/// Connects to a server; the error is the reason why it cannot be reached.
async fn connect(address: &str, tls: &ClientFiles) -> Result<Channel, String> {
    let parsed = Address::parse(address).ok_or("it is not an address")?;
    let tls = parsed.tls.then(|| ClientTls::open(tls)).transpose().map_err(|e| e.to_string())?;
    let endpoint = Endpoint::from_shared(parsed.uri("http")).map_err(|e| e.to_string())?;
    let connect = move |_: Uri| {
        let (address, tls) = (parsed.clone(), tls.clone());
        async move { open(&address.host, address.port, tls.as_ref()).await.map(TokioIo::new) }
    };
    let endpoint = endpoint.connect_timeout(TIMEOUT).http2_keep_alive_interval(TIMEOUT);
    let connected = endpoint.connect_with_connector(tower::service_fn(connect)).await;
    connected.map_err(|error| explain(&error).unwrap_or_else(|| error.to_string()))
}

async fn rebuild_over(
    channel: Channel,
    address: &str,
    signer: Option<&Signer>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Rebuilt> {
    let body = serde_json::to_vec(&Nothing {}).map_err(|e| Error::internal("asking for a rebuild", e))?;
    let action = Action { r#type: CATALOG_REBUILD.to_owned(), body: body.into() };
    let mut flight = FlightServiceClient::new(channel).max_decoding_message_size(usize::MAX);
    let mut request = Request::new(action);
    let proof = signer.and_then(|signer| signer.peer_proof(DO_ACTION, now_ns()).parse().ok());
    if let Some(proof) = proof {
        request.metadata_mut().insert(PEER_HEADER, proof);
    }
    let mut answers = flight.do_action(request).await.map_err(|e| to_error(address, &e))?.into_inner();
    while let Some(answer) = answers.message().await.map_err(|e| to_error(address, &e))? {
        let step = decode_answer(CATALOG_REBUILD, &answer.body);
        match step.map_err(|e| Error::Startup(format!("the server at {address}: {e}")))? {
            Some(RebuildStep::Progress(done)) => progress(done),
            Some(RebuildStep::Rebuilt(rebuilt)) => return Ok(rebuilt),
            None => {}
        }
    }
    Err(Error::Startup(format!(
        "the server at {address} ended the rebuild before it was done; start it again"
    )))
}

fn to_error(address: &str, status: &Status) -> Error {
    match status::code(status) {
        ErrorCode::Unimplemented => Error::Startup(format!(
            "the store is in use by the server at {address}, an older one that does not rebuild; stop it first"
        )),
        code if status.metadata().contains_key(status::ERROR_HEADER) => {
            Error::Refused(code, format!("the server at {address}: {}", status.message()))
        }
        _ => Error::Startup(format!(
            "the connection to the server at {address} broke; start the rebuild again"
        )),
    }
}
