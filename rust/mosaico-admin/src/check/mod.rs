//! Cross-checks records, chunks and the catalog.
//!
//! Records and chunks have checksums, and every record is redundant to another one or to the catalog. The
//! check can rewrite a damaged record from the intact copy; it moves the damaged file below `damaged/`. It
//! never changes rows and never deletes anything.

mod chunks;
mod records;
pub(crate) mod repair;
pub(crate) mod report;
#[cfg(test)]
mod tests;
mod wal;

use std::collections::{BTreeMap, BTreeSet};

use mosaico_catalog::{CatalogFile, FILE as CATALOG, OwnStore, storable_bounds};
use mosaico_engine::access::store_access::StoreAccess;
use mosaico_engine::access::store_link;
use mosaico_engine::maintenance::{link_problems, rebuild};
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::checksum::add_checksum;
use mosaico_storage::format::paths::{
    EVENTS, HEARTBEATS, SequencePaths, StoreFile, api_key_uses_file, api_keys_file, layers_file, locate,
    store_file,
};
use mosaico_storage::format::record_kind::RecordKind;
use mosaico_storage::format::state::SequenceState;
use mosaico_storage::format::unreferenced::ListedFile;
use mosaico_types::id::SequenceId;
use mosaico_wire::maintenance::{Problem, Progress};
use object_store::path::Path;

use records::Wrong;
use report::{Check, CheckOptions, Checked};

/// Number of attempts to read a sequence that daemons change at the same time.
const LOOKS: u32 = 5;

/// Checks a store; the caller has access to it.
pub(crate) async fn run(
    hold: &StoreAccess,
    options: CheckOptions,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Checked> {
    let store = &hold.store;
    let mut check = Check {
        store,
        catalog: None,
        options,
        found: Checked::default(),
        stale: false,
        folder: &hold.folder,
        unread: BTreeSet::new(),
        beside: hold.beside,
    };
    check.open_catalog(hold).await?;
    check.shared_records().await?;
    let mut ids: BTreeSet<SequenceId> = store.sequences().await?.into_iter().collect();
    if let Some(catalog) = &check.catalog {
        ids.extend(catalog.sequence_ids().await?);
    }
    let total = ids.len() as u64;
    let mut topics = BTreeSet::new();
    for (done, id) in (0..).zip(ids) {
        progress(Progress { done, total });
        if let Some(state) = check.sequence(id).await? {
            topics.extend(state.topics.iter().map(|topic| topic.record.id));
        }
    }
    progress(Progress { done: total, total });
    topics.append(&mut check.unread);
    wal::check(&hold.folder, &topics, &mut check.found)?;
    if let Some(catalog) = &check.catalog {
        catalog.close().await;
    }
    check.found.problems.extend(link_problems(store));
    if check.stale && options.repair {
        // Discards the progress of an earlier rebuild: records have been rewritten since.
        hold.database.forget().await?;
        let rebuilt = rebuild::run(&hold.database, store, progress).await?;
        // Records of a newer version are left out of the catalog too, and are reported already.
        let is_newer = |problem: &Problem| {
            check.found.newer.iter().any(|newer| newer.path.starts_with(problem.path.as_str()))
        };
        let problems: Vec<Problem> = rebuilt.problems.into_iter().filter(|p| !is_newer(p)).collect();
        check.found.problems.extend(problems);
        check.found.problems.iter_mut().filter(|p| p.path == CATALOG).for_each(|p| p.repaired = true);
    }
    Ok(check.found)
}

impl Check<'_> {
    async fn open_catalog(&mut self, hold: &StoreAccess) -> Result<()> {
        let own = store_link::own(self.store).await.unwrap_or(OwnStore::Unknown);
        match hold.database.recognize(&own).await? {
            CatalogFile::Missing | CatalogFile::Usable => {}
            CatalogFile::Stale(why) | CatalogFile::Damaged(why) => {
                self.stale(format!("the catalog {why}; the next start rebuilds it from the store"));
                return Ok(());
            }
            CatalogFile::Foreign(what) => {
                self.found
                    .add(CATALOG, format!("this file {what}; it is left as it is, move it to another place"));
                return Ok(());
            }
        }
        match hold.database.open_filled(&own).await {
            Ok(Some(catalog)) => {
                let damage =
                    catalog.integrity().await.unwrap_or_else(|error| vec![error.detail().to_string()]);
                if damage.is_empty() {
                    if rebuild::is_older(&catalog, self.store).await.unwrap_or(false) {
                        self.stale("the catalog is older than the store; the next start rebuilds it");
                    }
                    self.catalog = Some(catalog);
                } else {
                    catalog.close().await;
                    self.stale(format!("the catalog is damaged and derived from the store: {}", damage[0]));
                }
            }
            Ok(None) => {
                if self.options.repair {
                    hold.database.forget().await?;
                }
                self.stale("there is no complete catalog; the next start makes it from the store");
            }
            Err(error @ Error::NewerFormat { .. }) => self.found.newer(CATALOG, error.to_string()),
            Err(error) => {
                self.stale(format!(
                    "the catalog cannot be opened, and is derived from the store: {}",
                    error.detail()
                ));
            }
        }
        Ok(())
    }

    /// Reports a problem of the catalog, which makes it stale.
    fn stale(&mut self, text: impl Into<String>) {
        self.stale = true;
        self.found.add(CATALOG, text);
    }

    /// Checks the records that belong to no sequence.
    async fn shared_records(&mut self) -> Result<()> {
        let mut paths = vec![store_file(), layers_file(), api_keys_file(), api_key_uses_file()];
        for folder in [EVENTS, HEARTBEATS] {
            let names = self.store.list_files(&folder.into()).await?;
            paths.extend(names.iter().map(|name| Path::from(format!("{folder}/{name}"))));
        }
        for path in paths {
            let StoreFile::Record(kind, _) = locate(&path).file else { continue };
            let meaning = match kind {
                RecordKind::Store => "servers do not start",
                RecordKind::Layers => "the layers in it are lost, and servers do not start",
                RecordKind::ApiKeys => "servers refuse all API keys; create new ones after a repair",
                RecordKind::ApiKeyUses => "the last use of each API key is unknown",
                RecordKind::Heartbeat => "its daemon writes another one when it needs it",
                _ => "the events in it are known to the catalog alone",
            };
            let Some(bytes) = self.store.get(&path).await? else { continue };
            match records::check(kind, &bytes) {
                Ok(()) => {}
                Err(Wrong::Newer { found, known }) => {
                    self.found.newer(&path, Error::newer("the record", found, known).to_string());
                }
                Err(Wrong::NoChecksum) => self.missing_checksum(&path, &bytes).await?,
                Err(Wrong::Damaged(text)) => {
                    self.found.add(&path, format!("{text}; {meaning}"));
                    if self.options.repair {
                        let instead = repair::shared(self.catalog.as_ref(), &path).await?;
                        repair::replace(self.store, &path, instead).await?;
                        self.repaired();
                    }
                }
            }
        }
        Ok(())
    }

    async fn missing_checksum(&mut self, path: &Path, bytes: &[u8]) -> Result<()> {
        self.found.add(path, "the record has no checksum; nothing is lost, and `--repair` adds one");
        if self.options.repair {
            repair::replace(self.store, path, Some(add_checksum(bytes.to_vec()))).await?;
            self.repaired();
        }
        Ok(())
    }

    fn repaired(&mut self) {
        if let Some(last) = self.found.problems.last_mut() {
            last.repaired = true;
        }
    }

    /// Checks one sequence; returns its state, as far as it can be determined.
    async fn sequence(&mut self, id: SequenceId) -> Result<Option<SequenceState>> {
        let paths = SequencePaths(id);
        let mut looks = 0;
        let (known, sizes, read) = loop {
            let known = self.known(id).await?;
            if self.beside && known.as_ref().is_none_or(|known| known.finalized_ns.is_none()) {
                self.found.in_progress += 1;
                return Ok(known);
            }
            let objects = self.store.objects_below(&paths.folder()).await?;
            let files = objects.into_iter().map(ListedFile::from).filter(|file| !file.is_barrier());
            let sizes: BTreeMap<Path, u64> = files.map(|file| (file.path, file.bytes)).collect();
            if sizes.contains_key(&paths.deleted()) {
                // The next start finishes the removal.
                let tombstone = records::Read::all(self.store, [&paths.deleted()].into_iter()).await?;
                self.newer(&tombstone);
                return Ok(None);
            }
            if sizes.is_empty() {
                if known.is_some() {
                    self.found.add(
                        paths.folder(),
                        "the sequence is in the catalog, and its folder is not in the store",
                    );
                    self.stale("the catalog names a sequence that the store does not have");
                }
                return Ok(None);
            }
            let read = records::Read::all(self.store, sizes.keys()).await?;
            looks += 1;
            if !self.beside || looks == LOOKS || self.rests(id, known.as_ref()).await? {
                break (known, sizes, read);
            }
        };
        if self.newer(&read) {
            // The records of a sequence look like those of a newer version: an apparent
            // damage may be a change by that version.
            self.unread.extend(sizes.keys().filter_map(|path| locate(path).topic));
            return Ok(None);
        }
        let state = read.state(id, known.as_ref());
        self.records(&read, state.as_ref(), &paths).await?;
        let Some(state) = state else { return Ok(None) };
        self.found.sequences += 1;
        self.found.topics += state.topics.len() as u64;
        if self.catalog.is_some() && !read.is_damaged() {
            self.compare(id, &state, known.as_ref()).await?;
        }
        for topic in &state.topics {
            chunks::check(self, &paths, topic, &sizes, &state).await?;
            let locator = format!("{}/{}", state.record.name, topic.record.path.as_str());
            wal::check_quarantine(self, &topic.damage, &locator).await?;
            wal::check_stored(self, topic, &paths.topic(topic.record.id).wal(), sizes.keys()).await?;
        }
        self.found.orphans += records::orphans(&state, sizes.keys());
        Ok(Some(state))
    }

    /// Reports records of a newer version; returns whether there are any.
    fn newer(&mut self, read: &records::Read) -> bool {
        for (path, text) in &read.newer {
            self.found.newer(path, text);
        }
        !read.newer.is_empty()
    }

    /// Whether no daemon changed the sequence since the caller read `known`; notifications also change after
    /// finalization.
    async fn rests(&self, id: SequenceId, known: Option<&SequenceState>) -> Result<bool> {
        let Some(catalog) = &self.catalog else { return Ok(true) };
        Ok(!catalog.pending().await?.contains(&id) && self.known(id).await?.as_ref() == known)
    }

    async fn known(&self, id: SequenceId) -> Result<Option<SequenceState>> {
        match &self.catalog {
            Some(catalog) => {
                let mut known = catalog.state(id).await?;
                // The catalog does not store the owner epoch; the current one applies.
                known.iter_mut().for_each(|known| known.record.owner_epoch = self.store.fence().epoch());
                Ok(known)
            }
            None => Ok(None),
        }
    }

    /// Reports damaged and missing records; with `--repair`, rewrites those that have an intact copy.
    async fn records(
        &mut self,
        read: &records::Read,
        state: Option<&SequenceState>,
        paths: &SequencePaths,
    ) -> Result<()> {
        for (path, bytes) in &read.missing_checksum {
            self.missing_checksum(path, bytes).await?;
        }
        let expected = state.map(repair::expected).transpose()?.unwrap_or_default();
        let mut wrong: BTreeMap<&Path, String> =
            read.damaged.iter().map(|(path, text)| (path, text.clone())).collect();
        for path in expected.keys().filter(|path| !read.has(path)) {
            wrong.insert(path, "the record is missing".to_owned());
        }
        if state.is_none() && wrong.is_empty() && read.holds_rows() {
            self.found.add(
                paths.folder(),
                "the record of the sequence is missing; its rows cannot be found by name",
            );
        }
        for (path, text) in wrong {
            let instead = expected.get(path);
            let meaning = match instead {
                Some(_) => "nothing is lost: other records contain the same, and `--repair` rewrites it",
                None => "no other record contains the same",
            };
            self.found.add(path, format!("{text}; {meaning}"));
            if let Some(bytes) = instead
                && self.options.repair
            {
                repair::replace(self.store, path, Some(bytes.clone())).await?;
                self.repaired();
            }
        }
        Ok(())
    }

    /// Compares the catalog with intact records.
    async fn compare(
        &mut self,
        id: SequenceId,
        state: &SequenceState,
        known: Option<&SequenceState>,
    ) -> Result<()> {
        let Some(catalog) = &self.catalog else { return Ok(()) };
        // The next start reconciles an interrupted change.
        if catalog.pending().await?.contains(&id) {
            return Ok(());
        }
        let name = &state.record.name;
        match known.map(|known| in_order(known) == in_order(state)) {
            Some(true) => {}
            Some(false) => self.stale(format!("the catalog says otherwise about `{name}` than the store")),
            None => self.stale(format!("the catalog does not know `{name}`, which the store has")),
        }
        Ok(())
    }
}

/// Normalizes a state for the comparison: sorts columns, notifications and topics, which have no order in the
/// catalog, and removes bounds and times that the catalog does not store.
fn in_order(state: &SequenceState) -> SequenceState {
    let mut state = state.clone();
    (state.record.owner_epoch, state.record.moved_from) = (0, None);
    for chunk in state.topics.iter_mut().flat_map(|topic| &mut topic.chunks) {
        chunk.columns.sort_by(|a, b| a.path.cmp(&b.path));
        for column in &mut chunk.columns {
            column.bounds = storable_bounds(column).cloned();
        }
    }
    state.topics.iter_mut().flat_map(|topic| &mut topic.epochs).for_each(|epoch| {
        epoch.begun_ns = 0;
        epoch.resumed_at = epoch.resumed_at.filter(|at| *at != epoch.row_start);
    });
    state.notifications.sort_by_key(|notification| notification.id);
    state.topics.sort_by_key(|topic| topic.record.id);
    state
}
