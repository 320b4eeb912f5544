//! The store to which a catalog belongs.

use mosaico_storage::error::Result;
use tokio::time::timeout;

use crate::catalog::Catalog;
use crate::database_error::failed;
use crate::open::{Database, TIMEOUT};
use crate::postgres::{connect, postgres_options, unusable};
use crate::recognize::StoreLink;
use crate::sql::{Row, query};

const READ: &str = "SELECT store, catalog FROM store_link LIMIT 1";

impl StoreLink {
    fn read(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self { store: row.try_get("store")?, catalog: row.try_get("catalog")? })
    }
}

impl Database {
    /// The link of a catalog in Postgres, without a change of the database; `None` if there is no catalog yet.
    /// That of a SQLite file is compared by [`Self::recognize`].
    ///
    /// # Errors
    /// [`mosaico_storage::error::Error::Startup`] if the database cannot be used.
    pub async fn link(&self) -> Result<Option<StoreLink>> {
        let Self::Postgres { url, schema, .. } = self else { return Ok(None) };
        let options = postgres_options(url, schema)?;
        let look = async {
            let mut connection = connect(&options).await?;
            let known = query("SELECT to_regclass('store_link')::text").fetch_all(&mut connection).await?;
            match known.first().map(|row| row.try_get::<Option<&str>>(0)).transpose()?.flatten() {
                Some(_) => query(READ).fetch_optional(&mut connection).await,
                None => Ok(None),
            }
        };
        let found = timeout(TIMEOUT, look).await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
        let row = found.map_err(|e| unusable(&options, &e))?;
        row.as_ref().map(StoreLink::read).transpose().map_err(failed)
    }
}

impl Catalog {
    /// The link; `None` if the catalog is new.
    pub async fn link(&self) -> Result<Option<StoreLink>> {
        let row = query(READ).fetch_optional(&self.writer).await.map_err(failed)?;
        row.as_ref().map(StoreLink::read).transpose().map_err(failed)
    }

    /// Links a catalog that has no link yet.
    pub async fn set_link(&self, link: &StoreLink) -> Result<()> {
        query("INSERT INTO store_link (store, catalog) VALUES (?, ?)")
            .bind(&link.store)
            .bind(&link.catalog)
            .execute(&self.writer)
            .await
            .map(drop)
            .map_err(failed)
    }
}
