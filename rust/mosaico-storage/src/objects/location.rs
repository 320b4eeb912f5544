//! The location of a store: a folder of this machine, or a bucket of a service.

use std::path::PathBuf;

use super::bucket::{Bucket, Provider};
use crate::error::{Error, Result};

/// Where sequences are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreLocation {
    /// A folder of this machine.
    Local(PathBuf),
    /// A bucket of a service.
    Bucket(Bucket),
}

impl StoreLocation {
    /// Parses a folder path, or a URL with `file://`, `s3://`, `gs://` or `az://`.
    ///
    /// # Errors
    /// [`Error::Startup`] for other schemes; the text lists the supported ones.
    pub fn parse(text: &str) -> Result<Self> {
        for provider in Provider::ALL {
            if let Some(rest) = text.strip_prefix(provider.scheme()) {
                return Bucket::parse(provider, rest).map(Self::Bucket);
            }
        }
        match text.split_once("://") {
            None if text.is_empty() => Err(Error::Startup("the store location is empty".into())),
            None => Ok(Self::Local(PathBuf::from(text))),
            Some(("file", path)) if path.starts_with('/') => Ok(Self::Local(PathBuf::from(path))),
            Some(("file", _)) => {
                Err(Error::Startup(format!("`{text}` names a host; write file:///absolute/path")))
            }
            Some((scheme, _)) => Err(Error::Startup(format!(
                "`{scheme}://` stores are not supported; use a folder, file:///absolute/path, s3://bucket/prefix, \
                 gs://bucket/prefix or az://container/prefix"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations() {
        assert_eq!(StoreLocation::parse("a/b").unwrap(), StoreLocation::Local("a/b".into()));
        assert_eq!(StoreLocation::parse("file:///a").unwrap(), StoreLocation::Local("/a".into()));
        let error = StoreLocation::parse("ftp://host/a").unwrap_err().to_string();
        assert!(error.contains("ftp://") && error.contains("s3://"), "{error}");
        assert!(StoreLocation::parse("file://host/a").is_err());
        assert!(StoreLocation::parse("").is_err());
    }
}
