//! What the daemon is, for a page that starts.

use axum::extract::Extension;
use axum::http::Uri;
use axum::response::Response;
use mosaico_storage::objects::location::StoreLocation;
use mosaico_types::access::Right;
use mosaico_types::now_ns;
use serde_json::json;

use super::answer;
use super::failure::Failure;
use super::parameters::Parameters;
use super::reader::Reader;

/// `GET /api/v1/info`.
pub(super) async fn info(Extension(reader): Extension<Reader>, uri: Uri) -> Result<Response, Failure> {
    Parameters::parse(&uri, &[])?;
    let Reader { engine, caller, .. } = &reader;
    // Only those who may read everything see where the store is.
    let store = caller.grant.allows_everywhere(Right::Read).then(|| name_of(&engine.config.store));
    Ok(answer::json(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "store": store,
        "read": caller.grant.allows_somewhere(Right::Read),
        "write": caller.grant.allows_somewhere(Right::Write),
        "now_ns": now_ns(),
    })))
}

/// The name of a folder, or of a bucket with its prefix.
fn name_of(store: &StoreLocation) -> String {
    match store {
        StoreLocation::Local(path) => {
            path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
        }
        StoreLocation::Bucket(bucket) if bucket.prefix.is_empty() => bucket.name.clone(),
        StoreLocation::Bucket(bucket) => format!("{}/{}", bucket.name, bucket.prefix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_called_by_its_last_part() {
        let name = |text: &str| name_of(&StoreLocation::parse(text).unwrap());
        assert_eq!(name("/data/recordings"), "recordings");
        assert_eq!(name("s3://bucket"), "bucket");
        assert_eq!(name("s3://bucket/robots"), "bucket/robots");
    }
}
