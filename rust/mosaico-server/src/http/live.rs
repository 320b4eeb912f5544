//! Events as server-sent events, which browsers resume by themselves.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use axum::extract::Extension;
use axum::http::{HeaderMap, Uri};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use mosaico_storage::error::{Error, Result};
use mosaico_wire::event::{EventKind, EventList};
use serde_json::json;
use tokio::select;

use super::failure::Failure;
use super::parameters::{Parameters, malformed};
use super::reader::Reader;
use crate::service::events;

/// How long one look at the events lasts.
const WAIT_MS: u64 = 20_000;

/// A comment that tells proxies that the connection is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Events of one look.
const EVENTS: u32 = 100;

/// `GET /api/v1/events`.
pub(super) async fn live(
    Extension(reader): Extension<Reader>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    reader.check_no_link()?;
    let parameters = Parameters::parse(&uri, &["after", "kinds", "sequence"])?;
    let kinds = parameters
        .list("kinds")
        .map(|kinds| kinds.iter().map(|kind| parse(kind)).collect::<Result<Vec<_>>>());
    let resumed = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let after = resumed.or_else(|| parameters.text("after").map(str::to_owned));
    let mut request = EventList {
        after,
        kinds: kinds.transpose()?,
        sequence: parameters.text("sequence").map(str::to_owned),
        limit: Some(EVENTS),
        wait_ms: 0,
    };
    // Without a cursor, only what happens from now on. The first look also refuses what is malformed.
    if request.after.is_none() {
        let now = EventList { limit: Some(0), ..request.clone() };
        request.after = events::list(&reader.engine, &reader.caller, now).await?.cursor;
    } else {
        events::list(&reader.engine, &reader.caller, EventList { limit: Some(0), ..request.clone() }).await?;
    }
    let stream = stream! {
        // The client knows from then on where to resume.
        let mut begin = Event::default().retry(Duration::from_secs(1)).event("ready").data("{}");
        if let Some(after) = &request.after {
            begin = begin.id(after);
        }
        yield Ok::<_, Infallible>(begin);
        request.wait_ms = WAIT_MS;
        let mut revoked = pin!(reader.caller.revoked());
        loop {
            let next = select! {
                next = events::list(&reader.engine, &reader.caller, request.clone()) => next,
                () = &mut revoked => Err(crate::access::identity::refused()),
                () = reader.engine.stopping.cancelled() => Err(reader.engine.ended()),
            };
            match next {
                Ok(page) => {
                    for event in &page.events {
                        yield Ok(Event::default().event(event.kind.as_str()).id(&event.id).data(json!(event).to_string()));
                    }
                    request.after = page.cursor.or(request.after.take());
                }
                Err(error) => {
                    yield Ok(failed(&error));
                    return;
                }
            }
        }
    };
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

fn failed(error: &Error) -> Event {
    let body = json!({"error": {"code": error.code().as_str(), "message": error.to_string()}});
    Event::default().event("failed").data(body.to_string())
}

fn parse(kind: &str) -> Result<EventKind> {
    EventKind::parse(kind).ok_or_else(|| {
        let kinds: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
        malformed(&format!("`kinds` has `{kind}`; the kinds are {}", kinds.join(", ")))
    })
}
