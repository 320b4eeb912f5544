//! Single calls over a connection.

use std::panic::catch_unwind;

use arrow_flight::{Action, Criteria, FlightDescriptor, FlightEndpoint};
use mosaico_types::ErrorKind;
use mosaico_wire::action::decode_answer;
use mosaico_wire::command::InfoCommand;
use mosaico_wire::metadata::{EndpointMetadata, parse_location};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::info::{Endpoint, Info};
use crate::pool::Flight;

/// Bytes of the names that a list of sequences may have.
const LARGEST_LIST: usize = 128 << 20;

/// Runs an action; an answer without content is `None`.
pub(crate) async fn action<T: DeserializeOwned>(
    flight: &mut Flight,
    name: &str,
    body: &impl Serialize,
) -> Result<Option<T>> {
    let body = serde_json::to_vec(body).map_err(|cause| {
        Error::new(ErrorKind::InvalidInput, format!("the request `{name}` is not JSON: {cause}"))
    })?;
    let action = Action { r#type: name.to_owned(), body: body.into() };
    let mut answers = flight.do_action(action).await?.into_inner();
    match answers.message().await? {
        None => Ok(None),
        Some(answer) => decode_answer(name, &answer.body)
            .map_err(|cause| Error::new(ErrorKind::Internal, cause.to_string())),
    }
}

/// Names of all sequences.
pub(crate) async fn sequences(flight: &mut Flight) -> Result<Vec<String>> {
    let mut flights = flight.list_flights(Criteria::default()).await?.into_inner();
    let (mut names, mut bytes) = (Vec::new(), 0);
    while let Some(flight) = flights.message().await? {
        let Some(name) = flight.flight_descriptor.and_then(|descriptor| descriptor.path.into_iter().next())
        else {
            continue;
        };
        bytes += name.len() + size_of::<String>();
        if bytes > LARGEST_LIST {
            let message =
                format!("the server lists more than {} sequences; the list is not read on", names.len());
            return Err(Error::new(ErrorKind::ResourceExhausted, message));
        }
        names.push(name);
    }
    Ok(names)
}

/// The catalog's facts about a sequence or topic.
pub(crate) async fn info(flight: &mut Flight, command: &InfoCommand) -> Result<Info> {
    let command = serde_json::to_vec(command).expect("plain fields are JSON");
    let answer = flight.get_flight_info(FlightDescriptor::new_cmd(command)).await?;
    let info = answer.into_inner();
    let endpoints = info.endpoint.iter().map(endpoint).collect::<Result<_>>()?;
    let system = match info.app_metadata.as_ref() {
        b"" => None,
        bytes => Some(serde_json::from_slice(bytes).map_err(|cause| {
            Error::new(ErrorKind::Internal, format!("the server sent malformed metadata: {cause}"))
        })?),
    };
    // The decoder panics on some malformed schemas.
    let schema = catch_unwind(|| info.try_decode_schema());
    let schema =
        schema.map_err(|_| Error::new(ErrorKind::Internal, "the server sent a malformed schema"))??;
    Ok(Info { schema, endpoints, system })
}

fn endpoint(endpoint: &FlightEndpoint) -> Result<Endpoint> {
    let malformed = |what: String| {
        Error::new(ErrorKind::Internal, format!("the server sent a malformed endpoint: {what}"))
    };
    let [location] = endpoint.location.as_slice() else {
        return Err(malformed(format!("{} locations instead of one", endpoint.location.len())));
    };
    let locator = parse_location(&location.uri)
        .ok_or_else(|| malformed(format!("location `{}`", location.uri)))?
        .to_owned();
    let metadata = match endpoint.app_metadata.as_ref() {
        b"" => EndpointMetadata::default(),
        bytes => serde_json::from_slice(bytes)
            .map_err(|cause| malformed(format!("metadata of `{locator}`: {cause}")))?,
    };
    let ticket = endpoint.ticket.as_ref().map(|ticket| ticket.ticket.to_vec()).unwrap_or_default();
    Ok(Endpoint { locator, ticket, metadata })
}
