//! Location of the store, and access to it.

use std::path::PathBuf;

use clap::Args;
use mosaico_server::{Config, Error, Secret, StoreLocation};

use crate::values::{Seconds, defaults};

#[derive(Debug, Args)]
#[command(next_help_heading = "Store")]
pub(crate) struct StoreArgs {
    /// Folder of the store; created if needed.
    #[arg(long, value_name = "DIR", conflicts_with = "store")]
    local_store: Option<PathBuf>,
    /// Store as a folder, or as a URL with file://, s3://, gs:// or az://.
    #[arg(long, value_name = "URL", env = "MOSAICO_STORE")]
    store: Option<String>,
    /// Store as a bucket of S3.
    #[arg(long, value_name = "NAME", env = "MOSAICO_STORE_BUCKET", conflicts_with_all = ["local_store", "store"])]
    store_bucket: Option<String>,
    /// Access key of the bucket (S3); by default the keys of the AWS environment.
    #[arg(long, value_name = "KEY", env = "MOSAICO_STORE_ACCESS_KEY")]
    store_access_key: Option<String>,
    /// Secret key of the bucket (S3). Arguments are visible to everyone: prefer the variable or the file.
    #[arg(long, value_name = "KEY", env = "MOSAICO_STORE_SECRET_KEY", hide_env_values = true)]
    store_secret_key: Option<String>,
    /// Address of the bucket's service, if it is not the provider's own.
    #[arg(long, value_name = "URL", env = "MOSAICO_STORE_ENDPOINT")]
    store_endpoint: Option<String>,
    /// Region of the bucket (S3).  [default: AWS_REGION, or us-east-1]
    #[arg(long, value_name = "NAME", env = "MOSAICO_STORE_REGION")]
    store_region: Option<String>,
    /// The bucket is part of the host name instead of the path (S3).
    #[arg(long, env = "MOSAICO_STORE_VIRTUAL_HOSTED")]
    store_virtual_hosted: bool,
    /// Folder on this machine for data that is not in the bucket yet (acknowledged rows!), catalog and cache;
    /// required with a bucket, and only there.
    #[arg(long, value_name = "DIR", env = "MOSAICO_STATE_DIR")]
    state_dir: Option<PathBuf>,
    /// Take the bucket over from the daemon that owns it, which is fenced; required if its state folder is
    /// lost.
    #[arg(long)]
    force_ownership: bool,
    /// Postgres database of the catalog, postgres://USER:PASSWORD@HOST/DATABASE; by default a SQLite file.
    #[arg(long, value_name = "URL", env = "MOSAICO_REPOSITORY_DB_URL", hide_env_values = true)]
    database: Option<String>,
    /// Schema of the database that holds the tables; each store needs its own.
    #[arg(long, value_name = "NAME", env = "MOSAICO_DB_SCHEMA", default_value_t = defaults().database_schema.clone())]
    database_schema: String,
    /// Connections to the database.
    #[arg(long, value_name = "N", env = "MOSAICO_MAX_DB_CONNECTIONS", value_parser = clap::value_parser!(u32).range(2..), default_value_t = defaults().database_connections)]
    database_connections: u32,
    /// Time after which an operation on the store fails, with all its retries.
    #[arg(long, value_name = "SECONDS", env = "MOSAICO_STORE_TIMEOUT", default_value_t = Seconds(defaults().store_timeout))]
    store_timeout: Seconds,
    /// Number of retries of a failed request to a bucket, with growing pauses.
    #[arg(long, value_name = "N", env = "MOSAICO_STORE_RETRIES", default_value_t = defaults().store_retries)]
    store_retries: usize,
    /// Bytes of a bucket's chunks that are cached on this machine after a read; 0: none.
    #[arg(long, value_name = "BYTES", env = "MOSAICO_CACHE_SIZE_IN_BYTES", default_value_t = defaults().cache_bytes)]
    cache_bytes: u64,
    /// Chunks that are uploaded to the store concurrently.
    #[arg(long, value_name = "N", default_value_t = defaults().upload_jobs)]
    upload_jobs: usize,
}

impl StoreArgs {
    /// The configuration for access to the store, and the store's location for messages to people.
    pub(crate) fn config(&self) -> Result<(Config, String), Error> {
        let (location, shown) = self.location()?;
        let mut config = Config::new(location);
        config.state = self.state_dir.clone();
        config.force_ownership = self.force_ownership;
        config.store_timeout = self.store_timeout.0;
        config.store_retries = self.store_retries;
        config.cache_bytes = self.cache_bytes;
        config.upload_jobs = self.upload_jobs;
        config.database.clone_from(&self.database);
        config.database_schema.clone_from(&self.database_schema);
        config.database_connections = self.database_connections;
        Ok((config, shown))
    }

    /// Another store, accessed with the same settings.
    pub(crate) fn source(&self, url: &str) -> Result<StoreLocation, Error> {
        self.with_settings(StoreLocation::parse(url)?)
    }

    fn location(&self) -> Result<(StoreLocation, String), Error> {
        let (location, shown) = match (&self.local_store, &self.store, &self.store_bucket) {
            (Some(folder), ..) => (StoreLocation::Local(folder.clone()), folder.display().to_string()),
            (None, Some(url), _) => (StoreLocation::parse(url)?, url.clone()),
            (None, None, Some(name)) => {
                let url = format!("s3://{name}");
                (StoreLocation::parse(&url)?, url)
            }
            (None, None, None) => {
                return Err(Error::Startup(
                    "no store is named; add --local-store DIR, --store URL or --store-bucket NAME".into(),
                ));
            }
        };
        Ok((self.with_settings(location)?, shown))
    }

    fn with_settings(&self, mut location: StoreLocation) -> Result<StoreLocation, Error> {
        if let StoreLocation::Bucket(bucket) = &mut location {
            bucket.endpoint.clone_from(&self.store_endpoint);
            bucket.region.clone_from(&self.store_region);
            bucket.virtual_hosted = self.store_virtual_hosted;
            if self.store_access_key.is_some() != self.store_secret_key.is_some() {
                let text = "--store-access-key and --store-secret-key belong together; set both or none";
                return Err(Error::Startup(text.into()));
            }
            bucket.access_key.clone_from(&self.store_access_key);
            bucket.secret_key = self.store_secret_key.clone().map(Secret);
        }
        Ok(location)
    }
}
