//! Single calls over a connection.

use arrow_flight::{Action, FlightDescriptor, FlightEndpoint};
use mosaico_types::ErrorKind;
use mosaico_wire::action::decode_answer;
use mosaico_wire::command::InfoCommand;
use mosaico_wire::metadata::{EndpointMetadata, parse_location};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::connection::Flight;
use crate::error::{Error, Result};
use crate::info::{Endpoint, Info};

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
    let schema = info.try_decode_schema()?;
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
