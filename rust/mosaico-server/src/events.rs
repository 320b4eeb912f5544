//! Events in the store: files of many events each, written behind the catalogue, which has them first.
//!
//! A change and its event are one transaction of the catalogue, so an event costs no sync of its own and cannot be
//! lost or doubled by a crash. The newest file is written again as it grows, until it is full.

use std::collections::BTreeSet;
use std::time::Duration;

use mosaico_wire::event::Event;
use tokio::sync::Mutex;

use crate::catalog::EventFilter;
use crate::core::Core;
use crate::error::Result;
use crate::store::layout::{EVENTS, events_file};
use crate::store::records::EventsRecord;
use crate::tasks::Job;

/// Events per file.
pub(crate) const PER_FILE: usize = 1000;

/// Events of this time go to the store together.
const GATHER: Duration = Duration::from_secs(1);

/// What the store has.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    files: Mutex<Files>,
    /// The last event that is not kept any more.
    dropped: parking_lot::Mutex<Option<String>>,
}

#[derive(Debug, Default)]
struct Files {
    /// First events of all files.
    firsts: BTreeSet<String>,
    /// The content of the newest.
    newest: Vec<Event>,
    /// The ownership epoch of the one that wrote it.
    epoch: u32,
    /// The last event before it.
    previous: Option<String>,
    /// The last event in it.
    stored: Option<String>,
    /// Another daemon stored events meanwhile.
    outdated: bool,
}

impl Archive {
    /// Looks what the store has.
    pub(crate) async fn open(&self, core: &Core) -> Result<()> {
        self.load(core, &mut *self.files.lock().await).await?;
        core.catalog.continue_events().await
    }

    /// No events are stored or dropped here as long as the answer is kept.
    pub(crate) async fn hold(&self) -> impl Sized {
        self.files.lock().await
    }

    async fn load(&self, core: &Core, files: &mut Files) -> Result<()> {
        *files = Files::default();
        let names = core.store.list_files(&EVENTS.into()).await?;
        files.firsts =
            names.iter().filter_map(|name| name.strip_suffix(".json")).map(str::to_owned).collect();
        let read = async |first: Option<&String>| match first {
            Some(first) => core.store.get_json::<EventsRecord>(&events_file(first)).await,
            None => Ok(None),
        };
        if let Some(oldest) = read(files.firsts.first()).await? {
            *self.dropped.lock() = oldest.previous;
        }
        if let Some(newest) = read(files.firsts.last()).await? {
            files.stored = newest.events.last().map(|event| event.id.clone());
            (files.newest, files.previous) = (newest.events, newest.previous);
            files.epoch = newest.owner_epoch;
        }
        Ok(())
    }

    /// The last event after a cursor that is not kept any more.
    pub(crate) async fn dropped_after(&self, core: &Core, cursor: &str) -> Result<Option<String>> {
        if core.cluster.is_some() && core.catalog.begins_after(cursor).await? {
            // Another daemon may have dropped events.
            self.load(core, &mut *self.files.lock().await).await?;
        }
        Ok(self.dropped.lock().clone().filter(|dropped| cursor < dropped.as_str()))
    }
}

/// Asks for events to be stored, a while after there are some.
pub(crate) async fn keep_storing(core: &Core) {
    let mut news = core.catalog.news();
    loop {
        core.queue.ask(Job::StoreEvents);
        tokio::time::sleep(GATHER).await;
        if news.changed().await.is_err() {
            return;
        }
    }
}

/// Writes events that the store has not, and drops the oldest files beyond what is kept.
pub(crate) async fn store(core: &Core) -> Result<()> {
    let mut files = core.archive.files.lock().await;
    if !core.leads().await? {
        files.outdated = true;
        return Ok(());
    }
    if files.outdated {
        core.archive.load(core, &mut files).await?;
    }
    while let Some(newest) = core.catalog.newest_event().await? {
        // A former owner of the bucket may still write its file again.
        let owner_epoch = core.store.fence().epoch();
        let (mut events, previous) = match files.newest.len() < PER_FILE && files.epoch == owner_epoch {
            true => (files.newest.clone(), files.previous.clone()),
            false => (Vec::new(), files.stored.clone()),
        };
        let limit = u32::try_from(PER_FILE - events.len()).unwrap_or(u32::MAX);
        let filter = EventFilter { after: files.stored.clone(), limit, ..EventFilter::default() };
        let found = core.catalog.events(&filter, &newest).await?;
        let Some(last) = found.last().map(|event| event.id.clone()) else { break };
        events.extend(found);
        let first = events[0].id.clone();
        let record = EventsRecord { previous, events, owner_epoch };
        core.store.put_json(&events_file(&first), &record).await?;
        files.firsts.insert(first);
        (files.newest, files.previous) = (record.events, record.previous);
        files.epoch = owner_epoch;
        files.stored = Some(last);
    }
    drop_oldest(core, &mut files).await
}

async fn drop_oldest(core: &Core, files: &mut Files) -> Result<()> {
    let most = core.config.events_kept.div_ceil(PER_FILE) + 1;
    while files.firsts.len() > most {
        let mut firsts = files.firsts.iter().cloned();
        let (Some(oldest), Some(next)) = (firsts.next(), firsts.next()) else { break };
        // First: listeners look here after they have looked for events.
        if let Some(last) = core.catalog.last_event_before(&next).await? {
            *core.archive.dropped.lock() = Some(last);
        }
        core.store.remove(&events_file(&oldest)).await?;
        files.firsts.remove(&oldest);
        core.catalog.forget_events(&next).await?;
    }
    Ok(())
}
