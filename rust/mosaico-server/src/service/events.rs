//! `event_list`: what happened, or the wait for what happens next.

use std::time::Duration;

use mosaico_types::SequenceName;
use mosaico_wire::event::{EventList, EventPage};
use tokio::select;
use tokio::time::{Instant, sleep_until};

use crate::catalog::EventFilter;
use crate::core::Core;
use crate::error::{Error, Result};

/// Events per answer.
const MOST: u32 = 1000;

/// The longest wait for an event; clients ask again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Lists events after the cursor; without any, waits for one as long as the request says.
pub(super) async fn list(core: &Core, request: EventList) -> Result<EventPage> {
    let sequence = request.sequence.as_deref().map(SequenceName::parse).transpose()?;
    if let Some(after) = &request.after
        && after.parse::<ulid::Ulid>().is_err()
    {
        return Err(Error::Invalid(format!("`{after}` is no event cursor; take it from an earlier answer")));
    }
    let mut filter = EventFilter {
        after: request.after,
        limit: request.limit.unwrap_or(MOST).min(MOST),
        kinds: request.kinds,
        sequence: sequence.map(|name| name.to_string()),
    };
    let deadline = Instant::now() + Duration::from_millis(request.wait_ms).min(LONGEST_WAIT);
    let mut news = core.catalog.news();
    loop {
        news.mark_unchanged();
        // Before the events: what comes meanwhile lies behind the cursor.
        let Some(newest) = core.catalog.newest_event().await? else {
            if filter.limit == 0 || !wait(core, &mut news, deadline).await {
                return Ok(EventPage { events: Vec::new(), cursor: filter.after });
            }
            continue;
        };
        let events = core.catalog.events(&filter, &newest).await?;
        let complete = events.len() < filter.limit as usize || filter.limit == 0;
        let cursor = match events.last() {
            Some(last) if !complete => last.id.clone(),
            _ => filter.after.take().map_or(newest.clone(), |after| after.max(newest.clone())),
        };
        if !events.is_empty() || filter.limit == 0 || !wait(core, &mut news, deadline).await {
            return Ok(EventPage { events, cursor: Some(cursor) });
        }
        filter.after = Some(cursor);
    }
}

/// Waits for a change; false: it is time to answer.
async fn wait(core: &Core, news: &mut tokio::sync::watch::Receiver<()>, deadline: Instant) -> bool {
    select! {
        changed = news.changed() => changed.is_ok(),
        () = sleep_until(deadline) => false,
        () = core.stopping.cancelled() => false,
    }
}
