//! Where the store is, and how to reach it. Secrets come from the environment only: arguments can be seen by everyone.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use mosaico_server::{Config, Error, Secret, StoreLocation};

use crate::args::seconds;

const ACCESS_KEY: &str = "MOSAICO_STORE_ACCESS_KEY";
const SECRET_KEY: &str = "MOSAICO_STORE_SECRET_KEY";

#[derive(Debug, Args)]
#[command(next_help_heading = "Store")]
pub(crate) struct StoreArgs {
    /// Folder of the store; created if needed.
    #[arg(long, value_name = "DIR", conflicts_with = "store")]
    local_store: Option<PathBuf>,
    /// Store as a folder, or as a URL with file://, s3://, gs:// or az://.
    #[arg(long, value_name = "URL", env = "MOSAICO_STORE")]
    store: Option<String>,
    /// Bucket of S3, if neither of the two above is given; its keys are MOSAICO_STORE_ACCESS_KEY and
    /// MOSAICO_STORE_SECRET_KEY, or those of the AWS environment.
    #[arg(long, value_name = "NAME", env = "MOSAICO_STORE_BUCKET")]
    store_bucket: Option<String>,
    /// Address of the bucket's service, if it is not the provider's own.
    #[arg(long, value_name = "URL", env = "MOSAICO_STORE_ENDPOINT")]
    store_endpoint: Option<String>,
    /// Region of the bucket (S3).  [default: AWS_REGION, or us-east-1]
    #[arg(long, value_name = "NAME", env = "MOSAICO_STORE_REGION")]
    store_region: Option<String>,
    /// The bucket is part of the host name instead of the path (S3).
    #[arg(long, env = "MOSAICO_STORE_VIRTUAL_HOSTED")]
    store_virtual_hosted: bool,
    /// Folder on this machine for what a bucket does not have yet (acknowledged rows!), catalogue and cache; needed with
    /// a bucket, and only there.
    #[arg(long, value_name = "DIR", env = "MOSAICO_STATE_DIR")]
    state_dir: Option<PathBuf>,
    /// Take the bucket over from a server that does not run any more; needed if its state folder is lost.
    #[arg(long)]
    take_over: bool,
    /// Postgres database of the catalogue, postgres://USER:PASSWORD@HOST/DATABASE; by default a SQLite file.
    #[arg(long, value_name = "URL", env = "MOSAICO_REPOSITORY_DB_URL", hide_env_values = true)]
    database: Option<String>,
    /// Schema of the database that holds the tables; each store needs its own.
    /// [default: mosaicod]
    #[arg(long, value_name = "NAME", env = "MOSAICO_DB_SCHEMA")]
    database_schema: Option<String>,
    /// Connections to the database.
    /// [default: 10]
    #[arg(long, value_name = "N", env = "MOSAICO_MAX_DB_CONNECTIONS", value_parser = clap::value_parser!(u32).range(2..))]
    database_connections: Option<u32>,
    /// Time after which an operation on the store fails, with all its retries.  [default: 60]
    #[arg(long, value_name = "SECONDS", env = "MOSAICO_STORE_TIMEOUT", value_parser = seconds)]
    store_timeout: Option<Duration>,
    /// How often a request to a bucket that failed is made again, with growing pauses.  [default: 10]
    #[arg(long, value_name = "N", env = "MOSAICO_STORE_RETRIES")]
    store_retries: Option<usize>,
    /// Bytes of a bucket's chunks that are kept on this machine after they were read; 0: none.  [default: 1 GiB]
    #[arg(long, value_name = "BYTES", env = "MOSAICO_CACHE_SIZE_IN_BYTES")]
    cache_bytes: Option<u64>,
    /// Chunks that are on their way to the store at the same time.
    #[arg(long, value_name = "N")]
    upload_jobs: Option<usize>,
}

impl StoreArgs {
    /// The configuration of whoever works on the store, and the store as people read it.
    pub(crate) fn config(&self) -> Result<(Config, String), Error> {
        let (location, shown) = self.location()?;
        let mut config = Config::new(location);
        config.state = self.state_dir.clone();
        config.take_over = self.take_over;
        config.store_timeout = self.store_timeout.unwrap_or(config.store_timeout);
        config.store_retries = self.store_retries.unwrap_or(config.store_retries);
        config.cache_bytes = self.cache_bytes.unwrap_or(config.cache_bytes);
        config.upload_jobs = self.upload_jobs.unwrap_or(config.upload_jobs);
        config.database.clone_from(&self.database);
        config.database_connections = self.database_connections.unwrap_or(config.database_connections);
        if let Some(schema) = &self.database_schema {
            config.database_schema.clone_from(schema);
        }
        Ok((config, shown))
    }

    /// Another store, which is reached by the same settings.
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
            (bucket.access_key, bucket.secret_key) = match (variable(ACCESS_KEY), variable(SECRET_KEY)) {
                (Some(key), Some(secret)) => (Some(key), Some(Secret(secret))),
                (None, None) => (None, None),
                _ => {
                    let text = format!("{ACCESS_KEY} and {SECRET_KEY} belong together; set both or none");
                    return Err(Error::Startup(text));
                }
            };
        }
        Ok(location)
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
