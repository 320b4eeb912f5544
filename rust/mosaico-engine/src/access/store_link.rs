//! A store and its catalog know each other: `store.json` and the table `store_link` contain the ids of both.
//! Otherwise a typing mistake, such as another prefix of the bucket, would join a catalog to a foreign store, and a
//! rebuild would take the sequences of the right one out. A catalog in Postgres that belongs to another store is
//! refused; a SQLite file is only a cache in the folder of its store, and is replaced.
//!
//! A daemon or command that opens a catalog without a link makes it: `store.json` first, the catalog second. A crash
//! in between leaves a catalog without a link, which is linked again. A catalog without a link is new, or was dropped:
//! the store alone is enough, so it gets a new id.
//!
//! From then on the store has another catalog than before. If the former one comes back, from a backup or because a
//! daemon names another database, a daemon that has its store alone rebuilds it. Where several daemons share the
//! store it is refused: the others may use the new one at this moment, and locks in two databases exclude nobody.

use mosaico_catalog::{Catalog, Database, OwnStore, StoreLink};
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::paths::store_file;
use mosaico_storage::format::records::StoreRecord;
use mosaico_storage::objects::Store;
use uuid::Uuid;

/// Refuses a catalog that belongs to another store, or to other daemons, before anything is changed.
///
/// # Errors
/// [`Error::Startup`] with both ids.
pub async fn check(store: &Store, place: &str, database: &Database, is_shared: bool) -> Result<()> {
    let Some(link) = database.link().await? else { return Ok(()) };
    let known: Option<StoreRecord> = store.get_json(&store_file()).await?;
    compare(known.as_ref(), &link, is_shared).map_err(|what| {
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

fn compare(known: Option<&StoreRecord>, link: &StoreLink, is_shared: bool) -> Result<(), String> {
    let StoreLink { store, catalog } = link;
    match known {
        None => Err(format!("it belongs to the store {store}, and this store has no id yet")),
        Some(known) if known.id != *store => {
            Err(format!("it belongs to the store {store}, and this store is {}", known.id))
        }
        Some(known) if is_shared && known.catalog != *catalog => {
            Err(format!("it is the catalog {catalog}, and the catalog of this store is {}", known.catalog))
        }
        Some(_) => Ok(()),
    }
}

/// Whether the store has had another catalog since this one was linked to it.
pub async fn is_replaced(store: &Store, catalog: &Catalog) -> Result<bool> {
    let Some(link) = catalog.link().await? else { return Ok(false) };
    let known: Option<StoreRecord> = store.get_json(&store_file()).await?;
    Ok(known.is_some_and(|known| known.catalog != link.catalog))
}

/// Makes the link of a catalog, if it is missing on either side. The caller has exclusive access to the store, or its
/// start lock.
pub async fn make(store: &Store, catalog: &Catalog) -> Result<()> {
    let link = catalog.link().await?;
    let known = store.get_json_versioned::<StoreRecord>(&store_file()).await?;
    let (known, version) = known.unzip();
    if let (Some(known), Some(link)) = (&known, &link)
        && known.catalog == link.catalog
    {
        return Ok(());
    }
    let new = || Uuid::new_v4().to_string();
    let record = StoreRecord {
        id: known.map_or_else(new, |known| known.id),
        catalog: link.as_ref().map_or_else(new, |link| link.catalog.clone()),
    };
    store.replace_json(&store_file(), &record, version.as_ref()).await?;
    match link {
        Some(_) => Ok(()),
        None => catalog.set_link(&StoreLink { store: record.id, catalog: record.catalog }).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ids_have_to_match() {
        let link = StoreLink { store: "s".into(), catalog: "c".into() };
        let known = |id: &str, catalog: &str| StoreRecord { id: id.into(), catalog: catalog.into() };
        assert_eq!(compare(Some(&known("s", "c")), &link, true), Ok(()));
        assert_eq!(compare(Some(&known("s", "d")), &link, false), Ok(()), "it is rebuilt");
        for (known, text) in [
            (None, "the store s, and this store has no id"),
            (Some(known("t", "c")), "the store s, and this store is t"),
            (Some(known("s", "d")), "the catalog c, and the catalog of this store is d"),
        ] {
            let what = compare(known.as_ref(), &link, true).expect_err("a mismatch");
            assert!(what.contains(text), "{what}");
        }
    }
}
