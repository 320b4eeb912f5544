//! Limits of user metadata. Each key is an entry of the catalog's index, and every list of sequences reads the
//! metadata, so what belongs into a topic is refused here.

use mosaico_storage::error::{Error, Result};
use mosaico_types::ErrorCode;
use serde_json::Value;

/// JSON text, in bytes.
const MAX_BYTES: usize = 4 << 20;
/// Keys of all objects together.
const MAX_KEYS: usize = 20_000;
/// Objects and lists inside each other.
const MAX_DEPTH: usize = 64;

/// Checks the metadata of `resource`.
pub fn check_metadata(resource: &str, metadata: &Value) -> Result<()> {
    let refused = |code, what: String| Error::Refused(code, format!("the metadata of `{resource}` {what}"));
    let (mut keys, mut open) = (0, vec![(metadata, 1)]);
    while let Some((value, depth)) = open.pop() {
        if depth > MAX_DEPTH {
            let text =
                format!("have more than {MAX_DEPTH} objects or lists inside each other; use fewer levels");
            return Err(refused(ErrorCode::InvalidInput, text));
        }
        match value {
            Value::Object(members) => {
                keys += members.len();
                open.extend(members.values().map(|value| (value, depth + 1)));
            }
            Value::Array(items) => open.extend(items.iter().map(|value| (value, depth + 1))),
            _ => {}
        }
    }
    if keys > MAX_KEYS {
        let text = format!("have {keys} keys, at most {MAX_KEYS} are allowed; store tables as a topic");
        return Err(refused(ErrorCode::TooMany, text));
    }
    let bytes = metadata.to_string().len();
    if bytes > MAX_BYTES {
        let text =
            format!("have {bytes} bytes, at most {MAX_BYTES} are allowed; store large values as a topic");
        return Err(refused(ErrorCode::TooLarge, text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_limit_is_named_with_the_value() {
        let keys =
            |count: usize| Value::Object((0..count).map(|key| (format!("k{key}"), json!(1))).collect());
        assert!(check_metadata("a", &json!({"list": [keys(MAX_KEYS - 1)]})).is_ok());
        let refused = |metadata: &Value| check_metadata("a", metadata).unwrap_err();
        let error = refused(&json!({"list": [keys(MAX_KEYS)]}));
        assert_eq!(error.code(), ErrorCode::TooMany);
        assert!(error.to_string().contains("`a` have 20001 keys, at most 20000"), "{error}");
        let error = refused(&json!({"text": "x".repeat(MAX_BYTES)}));
        assert_eq!(error.code(), ErrorCode::TooLarge);
        assert!(error.to_string().contains("4194315 bytes, at most 4194304"), "{error}");
        let deep = (0..MAX_DEPTH).fold(json!(1), |inner, _| json!([inner]));
        assert!(check_metadata("a", &deep).is_err());
        assert!(check_metadata("a", &deep[0]).is_ok());
    }
}
