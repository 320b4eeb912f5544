//! `event_list`: returns past events, or waits for the next one.

use std::time::Duration;

use mosaico_catalog::EventFilter;
use mosaico_engine::state::engine::Engine;
use mosaico_storage::error::{Error, Result};
use mosaico_types::access::{Right, Visibility};
use mosaico_types::{ErrorCode, SequenceName};
use mosaico_wire::event::{Event, EventKind, EventList, EventPage};
use serde_json::json;
use tokio::select;
use tokio::time::{Instant, sleep_until};
use ulid::Ulid;

use crate::access::identity::Caller;

/// Maximum number of events per response.
const MOST: u32 = 1000;

/// The longest wait for an event; clients repeat the call.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Whether a caller may read an event. Events about no sequence concern the whole store.
fn shows(visible: &Visibility, event: &Event) -> bool {
    visible.is_all()
        || event.kind == EventKind::Audit
        || event.sequence.as_ref().is_some_and(|sequence| visible.shows(sequence))
}

/// The kinds that a request selects. Audit events are for administrators, and only for those that ask for them.
fn kinds(caller: &Caller, asked: Option<Vec<EventKind>>) -> Result<Vec<EventKind>> {
    match asked {
        Some(kinds) if kinds.contains(&EventKind::Audit) && !caller.grant.allows_everywhere(Right::Admin) => {
            let text = "audit events need the right `admin` on all sequences; leave out the kind `audit`, or use \
                        a key with this right";
            Err(Error::Refused(ErrorCode::PermissionDenied, text.to_owned()))
        }
        Some(kinds) => Ok(kinds),
        None => Ok(EventKind::ALL.into_iter().filter(|kind| *kind != EventKind::Audit).collect()),
    }
}

/// Lists the events after the cursor that the caller may read; if there are none, waits for one as long as
/// the request allows.
pub(crate) async fn list(core: &Engine, caller: &Caller, request: EventList) -> Result<EventPage> {
    let visible = caller.grant.visibility();
    let sequence = request.sequence.as_deref().map(SequenceName::parse).transpose()?;
    let parse = |after: &String| {
        let id = after.parse::<Ulid>().map(|id| id.to_string());
        id.map_err(|_| {
            Error::Invalid(format!("`{after}` is no event cursor; take it from an earlier answer"))
        })
    };
    let mut filter = EventFilter {
        after: request.after.as_ref().map(parse).transpose()?,
        limit: request.limit.unwrap_or(MOST).min(MOST),
        kinds: Some(kinds(caller, request.kinds)?),
        sequence: sequence.map(|name| name.to_string()),
    };
    let deadline = Instant::now() + Duration::from_millis(request.wait_ms).min(LONGEST_WAIT);
    let mut news = core.catalog.news();
    loop {
        news.mark_unchanged();
        // Read before the events: events that arrive meanwhile are after the cursor.
        let Some(newest) = core.catalog.newest_event().await? else {
            if filter.limit == 0 || !wait(core, &mut news, deadline).await {
                return Ok(EventPage { events: Vec::new(), cursor: filter.after });
            }
            continue;
        };
        let mut events = core.catalog.events(&filter, &newest).await?;
        let complete = events.len() < filter.limit as usize || filter.limit == 0;
        let gap = match filter.after.as_deref().filter(|_| filter.limit > 0) {
            Some(after) => gap(core, after).await?,
            None => None,
        };
        let cursor = match events.last() {
            Some(last) if !complete => last.id.clone(),
            _ => filter.after.take().map_or(newest.clone(), |after| after.max(newest.clone())),
        };
        events.retain(|event| shows(&visible, event));
        events.splice(..0, gap);
        if events.is_empty() && !complete {
            // None of a full page is for this caller; there are more.
            filter.after = Some(cursor);
            continue;
        }
        if !events.is_empty() || filter.limit == 0 || !wait(core, &mut news, deadline).await {
            return Ok(EventPage { events, cursor: Some(cursor) });
        }
        filter.after = Some(cursor);
    }
}

/// An event that reports that events after a cursor are not retained any more.
async fn gap(core: &Engine, after: &str) -> Result<Option<Event>> {
    let Some(id) = core.archive.dropped_after(after).await? else { return Ok(None) };
    let at_ms = id.parse::<Ulid>().map_or(0, |id| id.timestamp_ms());
    let at_ns = i64::try_from(at_ms).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    let detail = json!({"after": after});
    Ok(Some(Event { id, kind: EventKind::Gap, sequence: None, topic: None, at_ns, detail }))
}

/// Waits for a change; false: the deadline has passed.
async fn wait(core: &Engine, news: &mut tokio::sync::watch::Receiver<()>, deadline: Instant) -> bool {
    select! {
        changed = news.changed() => changed.is_ok(),
        () = sleep_until(deadline) => false,
        () = core.stopping.cancelled() => false,
    }
}
