//! Events in the store: files of many events each, written after the catalog, which has the events first.
//!
//! A change and its event are one transaction of the catalog, so an event costs no sync of its own and a
//! crash can neither lose nor duplicate it. The newest file is rewritten as it grows, until it is full.

use std::collections::BTreeSet;
use std::future::Future;

use mosaico_catalog::{Catalog, EventFilter};
use mosaico_storage::error::Result;
use mosaico_storage::format::paths::{EVENTS, events_file};
use mosaico_storage::format::records::EventsRecord;
use mosaico_storage::objects::Store;
use mosaico_wire::event::Event;
use tokio::sync::Mutex;

/// Events per file.
pub const PER_FILE: usize = 1000;

/// The events in the store.
#[derive(Debug)]
pub struct EventArchive {
    store: Store,
    catalog: Catalog,
    /// Minimum number of events that are kept.
    keep: usize,
    /// Whether other daemons may store and drop events too.
    shared: bool,
    files: Mutex<Files>,
    /// The last event that was dropped.
    dropped: parking_lot::Mutex<Option<String>>,
}

#[derive(Debug, Default)]
struct Files {
    /// First events of all files.
    firsts: BTreeSet<String>,
    /// The content of the newest file.
    newest: Vec<Event>,
    /// The ownership epoch of the daemon that wrote it.
    epoch: u32,
    /// The last event before it.
    previous: Option<String>,
    /// The last event in it.
    stored: Option<String>,
    /// Whether another daemon stored events meanwhile.
    outdated: bool,
}

impl EventArchive {
    /// Loads the state of the files in the store, and continues their numbering.
    pub async fn open(store: Store, catalog: Catalog, keep: usize, shared: bool) -> Result<Self> {
        let (files, dropped) = Default::default();
        let archive = Self { store, catalog, keep, shared, files, dropped };
        archive.load(&mut *archive.files.lock().await).await?;
        archive.catalog.continue_events().await?;
        Ok(archive)
    }

    /// Prevents storing and dropping events here until the returned guard is dropped.
    pub async fn hold(&self) -> impl Sized {
        self.files.lock().await
    }

    async fn load(&self, files: &mut Files) -> Result<()> {
        *files = Files::default();
        let names = self.store.list_files(&EVENTS.into()).await?;
        files.firsts =
            names.iter().filter_map(|name| name.strip_suffix(".json")).map(str::to_owned).collect();
        let read = async |first: Option<&String>| match first {
            Some(first) => self.store.get_json::<EventsRecord>(&events_file(first)).await,
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

    /// The last dropped event after a cursor, if any.
    pub async fn dropped_after(&self, cursor: &str) -> Result<Option<String>> {
        if self.shared && self.catalog.begins_after(cursor).await? {
            // Another daemon may have dropped events.
            self.load(&mut *self.files.lock().await).await?;
        }
        Ok(self.dropped.lock().clone().filter(|dropped| cursor < dropped.as_str()))
    }

    /// Writes events that the store does not have yet, and drops the oldest files beyond the number to keep.
    /// Only the leader does so: any other daemon marks its view of the files as outdated.
    pub async fn store_pending(&self, is_leader: impl Future<Output = Result<bool>>) -> Result<()> {
        let mut files = self.files.lock().await;
        if !is_leader.await? {
            files.outdated = true;
            return Ok(());
        }
        if files.outdated {
            self.load(&mut files).await?;
        }
        while let Some(newest) = self.catalog.newest_event().await? {
            // A power cut must not take events from the catalog that the store has: their numbers and changes would
            // come again.
            self.catalog.sync().await?;
            // A former owner of the bucket may still rewrite its own file.
            let owner_epoch = self.store.fence().epoch();
            let (mut events, previous) = match files.newest.len() < PER_FILE && files.epoch == owner_epoch {
                true => (files.newest.clone(), files.previous.clone()),
                false => (Vec::new(), files.stored.clone()),
            };
            let limit = u32::try_from(PER_FILE - events.len()).unwrap_or(u32::MAX);
            let filter = EventFilter { after: files.stored.clone(), limit, ..EventFilter::default() };
            let found = self.catalog.events(&filter, &newest).await?;
            let Some(last) = found.last().map(|event| event.id.clone()) else { break };
            events.extend(found);
            let first = events[0].id.clone();
            let record = EventsRecord { previous, events, owner_epoch };
            self.store.put_json(&events_file(&first), &record).await?;
            files.firsts.insert(first);
            (files.newest, files.previous) = (record.events, record.previous);
            files.epoch = owner_epoch;
            files.stored = Some(last);
        }
        self.drop_oldest(&mut files).await
    }

    async fn drop_oldest(&self, files: &mut Files) -> Result<()> {
        let most = self.keep.div_ceil(PER_FILE) + 1;
        while files.firsts.len() > most {
            let mut firsts = files.firsts.iter().cloned();
            let (Some(oldest), Some(next)) = (firsts.next(), firsts.next()) else { break };
            // Before the events are dropped: listeners read this after they have looked for events.
            if let Some(last) = self.catalog.last_event_before(&next).await? {
                *self.dropped.lock() = Some(last);
            }
            self.store.remove(&events_file(&oldest)).await?;
            files.firsts.remove(&oldest);
            self.catalog.forget_events(&next).await?;
        }
        Ok(())
    }
}
