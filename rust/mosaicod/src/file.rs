//! The configuration file: TOML; each key has the name of its option.

use std::collections::BTreeMap;
use std::path::Path;

use mosaico_server::Error;
use toml::de::{DeTable, DeValue};

/// Minimum similarity of a suggested name.
const ALIKE: f64 = 0.7;

/// Values by option name.
pub(crate) type Values = BTreeMap<String, String>;

/// Reads a file whose keys are among `options`.
///
/// # Errors
/// [`Error::Startup`] if it cannot be read, is not TOML, or has a key or value that no option has. The error
/// does not contain its lines, which may have secrets.
pub(crate) fn read(path: &Path, options: &[&str]) -> Result<Values, Error> {
    let refused = |what: String| Error::Startup(format!("cannot use the file {}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| refused(e.to_string()))?;
    let table = DeTable::parse(&text).map_err(|e| {
        let line = e.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        refused(format!("line {line}: {}", e.message()))
    })?;
    let one = |key: &str, value: &DeValue<'_>| match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .map_err(|e| refused(format!("`{key}`: {e}"))),
        DeValue::Float(number) => Ok(number.to_string()),
        DeValue::Boolean(value) => Ok(value.to_string()),
        DeValue::Array(_) | DeValue::Table(_) | DeValue::Datetime(_) => {
            Err(refused(format!("`{key}` is a {}; write one value", value.type_str())))
        }
    };
    let mut values = Values::new();
    for (key, value) in table.get_ref() {
        let key: &str = key.get_ref();
        if !options.contains(&key) {
            return Err(refused(unknown(key, options)));
        }
        values.insert(key.to_owned(), one(key, value.get_ref())?);
    }
    Ok(values)
}

/// Whether the text is a number or a boolean in TOML.
pub(crate) fn is_plain(text: &str) -> bool {
    let line = format!("x = {text}");
    let table = DeTable::parse(&line);
    let is_plain =
        |value: &DeValue<'_>| matches!(value, DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_));
    table.is_ok_and(|table| {
        let table = table.get_ref();
        table.len() == 1 && table.values().all(|value| is_plain(value.get_ref()))
    })
}

/// The name in `known` that is most similar to `key`.
pub(crate) fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let alike = |name: &&str| strsim::jaro_winkler(key, name);
    let nearest = known.iter().copied().max_by(|a, b| alike(a).total_cmp(&alike(b)));
    nearest.filter(|name| alike(name) >= ALIKE)
}

fn unknown(key: &str, options: &[&str]) -> String {
    match nearest(key, options) {
        Some(option) => format!("there is no option `{key}`; did you mean `{option}`?"),
        None => format!(
            "there is no option `{key}`; `mosaicod run --help` lists all, write them without dashes in front"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: [&str; 3] = ["chunk-bytes", "port", "store-virtual-hosted"];

    fn parse(text: &str) -> Result<Values, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(file.path(), &OPTIONS).map_err(|e| e.to_string())
    }

    #[test]
    fn values_become_what_one_would_write_on_the_command_line() {
        let values = parse("port = 1_0\nstore-virtual-hosted = true\nchunk-bytes = \"7\"").unwrap();
        let pairs: Vec<_> = values.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("chunk-bytes", "7"), ("port", "10"), ("store-virtual-hosted", "true")]);
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn what_needs_no_quotes() {
        for plain in ["7", "-7", "0.5", "1e5", "true"] {
            assert!(is_plain(plain), "{plain}");
        }
        for text in ["", "007", ".5", "a", "1\ny = 2", "\"7\"", "[7]", "2026-01-01"] {
            assert!(!is_plain(text), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_line() {
        assert!(parse("chunk_bytes = 1").unwrap_err().contains("did you mean `chunk-bytes`?"));
        assert!(parse("zzz = 1").unwrap_err().contains("--help"));
        assert!(parse("[port]\na = 1").unwrap_err().contains("`port` is a table"));
        let error = parse("port = 1\nport = \"secret").unwrap_err();
        assert!(error.contains("line 2") && !error.contains("secret"), "{error}");
    }
}
