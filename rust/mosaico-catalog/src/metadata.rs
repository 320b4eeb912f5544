//! The index over user metadata: values by dotted path. Queries find candidates in it and evaluate the exact
//! condition on the metadata itself.

use serde_json::Value;

use crate::sql::Values;

/// The kind of resource that has the metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Sequence,
    Topic,
}

/// Length up to which texts are indexed.
const INDEXED_CHARS: usize = 200;
/// Paths above this length are not indexed; Postgres limits the size of index entries.
const INDEXED_PATH_BYTES: usize = 500;

/// The value at a path; objects have no value.
#[derive(Debug, PartialEq)]
struct Entry {
    path: String,
    number: Option<f64>,
    text: Option<String>,
}

impl Owner {
    /// The table of values.
    pub(crate) fn table(self) -> &'static str {
        match self {
            Self::Sequence => "sequence_metadata (owner, path, number, text)",
            Self::Topic => "topic_metadata (owner, path, number, text)",
        }
    }
}

/// The rows of a new sequence or topic.
pub(crate) fn metadata_rows(id: &str, metadata: &Value) -> Vec<Values> {
    let mut entries = Vec::new();
    collect(metadata, "", &mut entries);
    let row = |Entry { path, number, text }| vec![id.into(), path.into(), number.into(), text.into()];
    entries.into_iter().map(row).collect()
}

/// Collects the members of objects, recursively; stops at arrays, since their items have no names.
fn collect(value: &Value, prefix: &str, entries: &mut Vec<Entry>) {
    let Value::Object(members) = value else { return };
    for (name, value) in members {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        collect(value, &path, entries);
        if !is_indexed(&path) {
            continue;
        }
        let (number, text) = match value {
            Value::Bool(value) => (Some(f64::from(u8::from(*value))), None),
            Value::Number(number) => (number.as_f64(), None),
            Value::String(text) => (None, Some(indexed_text(text))),
            Value::Null | Value::Array(_) | Value::Object(_) => (None, None),
        };
        entries.push(Entry { path, number, text });
    }
}

/// Shortens a text as the index does, in a way that preserves the order of texts.
pub(crate) fn indexed_text(text: &str) -> String {
    text.chars().take(INDEXED_CHARS).take_while(|c| *c != '\0').collect()
}

/// Whether the index has all values at a path: it has no values of arrays and none at unusual names.
pub(crate) fn is_indexed(path: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || " .-_/:@+".contains(c);
    let position = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    path.len() <= INDEXED_PATH_BYTES && path.chars().all(plain) && !path.split('.').any(position)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_named_by_their_path() {
        let metadata =
            json!({"a": {"b": true, "c.d": "text"}, "list": [{"x": 1}], "none": null, "odd\"": 1, "7": 2});
        let mut entries = Vec::new();
        collect(&metadata, "", &mut entries);
        let entry = |path: &str, number, text: Option<&str>| Entry {
            path: path.into(),
            number,
            text: text.map(str::to_owned),
        };
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        let expected = [
            entry("a", None, None),
            entry("a.b", Some(1.0), None),
            entry("a.c.d", None, Some("text")),
            entry("list", None, None),
            entry("none", None, None),
        ];
        assert_eq!(entries, expected);
    }

    #[test]
    fn shortened_texts_keep_their_order() {
        assert_eq!(indexed_text("a\0z"), "a");
        assert_eq!(indexed_text(&"x".repeat(300)), "x".repeat(200));
    }
}
