//! A store and its catalog know each other: `store.json` and the table `store_link` contain the ids of both.
//! Otherwise a typing mistake, such as another prefix of the bucket, would join a catalog to a foreign store, and a
//! rebuild would take the sequences of the right one out. A catalog in Postgres that belongs to another store is
//! refused; a SQLite file is only a cache in the folder of its store, and is replaced.
//!
//! A daemon or command that opens a catalog without a link makes it: `store.json` first, the catalog second. A crash
//! in between leaves a catalog without a link, which is linked again. A catalog without a link is new, or was dropped:
//! the store alone is enough, so it gets a new id, and the catalog that the store had before is refused from then
//! on.

use mosaico_catalog::{Catalog, Database, OwnStore, StoreLink};
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::paths::store_file;
use mosaico_storage::format::records::StoreRecord;
use mosaico_storage::objects::Store;
use uuid::Uuid;

/// Refuses a catalog that belongs to another store, before anything is changed.
///
/// # Errors
/// [`Error::Startup`] with both ids.
pub async fn check(store: &Store, place: &str, database: &Database) -> Result<()> {
    let Some(link) = database.link().await? else { return Ok(()) };
    let known: Option<StoreRecord> = store.get_json(&store_file()).await?;
    compare(known.as_ref(), &link).map_err(|what| {
        Error::Startup(format!(
            "{database} is not the catalog of {place}: {what}; correct the name of the store, the database or \
             --database-schema. If it shall be the catalog of this store from now on, drop the schema first: it is \
             rebuilt from the store"
        ))
    })
}

/// What the catalog of a store has to say, for [`Database::open`].
///
/// # Errors
/// [`Error::Startup`] if `store.json` is damaged.
pub async fn own(store: &Store) -> Result<OwnStore> {
    let known = store.get_json::<StoreRecord>(&store_file()).await.map_err(|error| match error {
        Error::Internal(_) => Error::Startup(format!(
            "the identity of the store is unknown: {}; `mosaicod check --repair` restores it from the catalog, or gives \
             the store a new one",
            error.detail()
        )),
        other => other,
    })?;
    Ok(OwnStore::Known(known.map(|record| StoreLink { store: record.id, catalog: record.catalog })))
}

fn compare(known: Option<&StoreRecord>, link: &StoreLink) -> Result<(), String> {
    let StoreLink { store, catalog } = link;
    match known {
        None => Err(format!("it belongs to the store {store}, and this store has no id yet")),
        Some(known) if known.id != *store => {
            Err(format!("it belongs to the store {store}, and this store is {}", known.id))
        }
        Some(known) if known.catalog != *catalog => {
            Err(format!("it is the catalog {catalog}, and the catalog of this store is {}", known.catalog))
        }
        Some(_) => Ok(()),
    }
}

/// Links a catalog that has no link yet. The caller has exclusive access to the store, or its start lock.
pub async fn make(store: &Store, catalog: &Catalog) -> Result<()> {
    if catalog.link().await?.is_some() {
        return Ok(());
    }
    let known = store.get_json_versioned::<StoreRecord>(&store_file()).await?;
    let (id, version) = known.map(|(record, version)| (record.id, version)).unzip();
    let id = id.unwrap_or_else(|| Uuid::new_v4().to_string());
    let record = StoreRecord { id, catalog: Uuid::new_v4().to_string() };
    store.replace_json(&store_file(), &record, version.as_ref()).await?;
    catalog.set_link(&StoreLink { store: record.id, catalog: record.catalog }).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ids_have_to_match() {
        let link = StoreLink { store: "s".into(), catalog: "c".into() };
        let known = |id: &str, catalog: &str| StoreRecord { id: id.into(), catalog: catalog.into() };
        assert_eq!(compare(Some(&known("s", "c")), &link), Ok(()));
        for (known, text) in [
            (None, "the store s, and this store has no id"),
            (Some(known("t", "c")), "the store s, and this store is t"),
            (Some(known("s", "d")), "the catalog c, and the catalog of this store is d"),
        ] {
            let what = compare(known.as_ref(), &link).expect_err("a mismatch");
            assert!(what.contains(text), "{what}");
        }
    }
}
