//! Buckets of S3 and S3-compatible services, of Google Cloud Storage, and of Azure.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, Result, RetryConfig};

use crate::error::Error;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A stalled request leaves time for retries within the time limit of its operation.
const REQUESTS_PER_OPERATION: u32 = 3;
/// The default S3 region, the same as in S3's own tools.
const DEFAULT_REGION: &str = "us-east-1";

/// The provider of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// `s3://`: Amazon S3, MinIO, Ceph, R2 …
    S3,
    /// `gs://`: Google Cloud Storage.
    Google,
    /// `az://`: Azure Blob Storage; the bucket is a container.
    Azure,
}

/// A text that `Debug` does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A bucket, and how to reach it. Credentials that are not set here come from the provider's chain: its
/// environment variables, then the identity of the machine or pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// The provider.
    pub provider: Provider,
    /// Its name.
    pub name: String,
    /// The prefix of all objects; may be empty.
    pub prefix: String,
    /// Address of the service, if not the provider's own.
    pub endpoint: Option<String>,
    /// Region, for S3.
    pub region: Option<String>,
    /// For S3: the bucket is part of the host name instead of the path.
    pub virtual_hosted: bool,
    /// Key id, for S3.
    pub access_key: Option<String>,
    /// The secret key, for S3.
    pub secret_key: Option<Secret>,
}

impl Bucket {
    /// Parses a bucket of `provider` from the part of its URL after the scheme.
    pub fn parse(provider: Provider, rest: &str) -> Result<Self, Error> {
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if name.is_empty() {
            return Err(Error::Startup(format!(
                "`{rest}` names no bucket; write {}bucket/prefix",
                provider.scheme()
            )));
        }
        Ok(Self {
            provider,
            name: name.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
            endpoint: None,
            region: None,
            virtual_hosted: false,
            access_key: None,
            secret_key: None,
        })
    }

    /// The URL, without secrets. Equal URLs are the same location.
    pub fn url(&self) -> String {
        let mut url = format!("{}{}", self.provider.scheme(), self.name);
        if !self.prefix.is_empty() {
            url = format!("{url}/{}", self.prefix);
        }
        match &self.endpoint {
            Some(endpoint) => format!("{url} at {endpoint}"),
            None => url,
        }
    }

    /// Opens the bucket; sends no request yet.
    pub fn open(&self, timeout: Duration, retries: usize) -> Result<Arc<dyn ObjectStore>> {
        let plain = self.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        let client = ClientOptions::new()
            .with_connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .with_timeout(timeout / REQUESTS_PER_OPERATION)
            .with_allow_http(plain);
        let retry =
            RetryConfig { backoff: BackoffConfig::default(), max_retries: retries, retry_timeout: timeout };
        let objects: Arc<dyn ObjectStore> = match self.provider {
            Provider::S3 => {
                let mut builder = AmazonS3Builder::from_env();
                if std::env::var_os("AWS_REGION").or(std::env::var_os("AWS_DEFAULT_REGION")).is_none() {
                    builder = builder.with_region(DEFAULT_REGION);
                }
                builder = builder
                    .with_bucket_name(&self.name)
                    .with_virtual_hosted_style_request(self.virtual_hosted)
                    .with_client_options(client)
                    .with_retry(retry);
                if let Some(endpoint) = &self.endpoint {
                    builder = builder.with_endpoint(endpoint);
                }
                if let Some(region) = &self.region {
                    builder = builder.with_region(region);
                }
                if let (Some(key), Some(secret)) = (&self.access_key, &self.secret_key) {
                    builder = builder.with_access_key_id(key).with_secret_access_key(&secret.0);
                }
                Arc::new(builder.build()?)
            }
            Provider::Google => {
                let mut builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(&self.name);
                if let Some(endpoint) = &self.endpoint {
                    builder = builder.with_base_url(endpoint);
                }
                Arc::new(builder.with_client_options(client).with_retry(retry).build()?)
            }
            Provider::Azure => {
                let mut builder = MicrosoftAzureBuilder::from_env().with_container_name(&self.name);
                if let Some(endpoint) = &self.endpoint {
                    builder = builder.with_endpoint(endpoint.clone());
                }
                Arc::new(builder.with_client_options(client).with_retry(retry).build()?)
            }
        };
        if self.prefix.is_empty() {
            return Ok(objects);
        }
        Ok(Arc::new(PrefixStore::new(objects, Path::parse(&self.prefix)?)))
    }
}

impl Provider {
    /// The URL scheme.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3://",
            Self::Google => "gs://",
            Self::Azure => "az://",
        }
    }

    /// All providers.
    pub const ALL: [Self; 3] = [Self::S3, Self::Google, Self::Azure];
}
