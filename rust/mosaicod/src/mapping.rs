//! The mapping of plain Parquet files: TOML.

use std::path::Path;

use mosaico_admin::mapping::Mapping;
use mosaico_server::Error;
use serde_json::Value;

use crate::file::nearest;

/// The field in which `toml` wraps a date for deserializers without dates.
const DATE: &str = "$__toml_private_datetime";

/// Reads the file; resolves the files that it names against its folder.
///
/// # Errors
/// [`Error::Startup`] with the invalid line.
pub(crate) fn read(path: &Path) -> Result<Mapping, Error> {
    let refused = |what: String| Error::Startup(format!("cannot use the file {}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| refused(e.to_string()))?;
    let mut mapping: Mapping = toml::from_str(&text).map_err(|e| {
        let line = e.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        refused(format!("line {line}: {}{}", e.message(), meant(e.message())))
    })?;
    for sequence in &mut mapping.sequences {
        let topics = sequence.topics.iter_mut().map(|topic| &mut topic.metadata);
        topics.chain([&mut sequence.metadata]).flat_map(|metadata| metadata.values_mut()).for_each(plain);
    }
    Ok(mapping.beside(path.parent().unwrap_or(Path::new(""))))
}

/// Metadata is JSON, which has no dates; converts them to texts.
fn plain(value: &mut Value) {
    match value {
        Value::Object(fields) => match fields.remove(DATE) {
            Some(date) => *value = date,
            None => fields.values_mut().for_each(plain),
        },
        Value::Array(values) => values.iter_mut().for_each(plain),
        _ => {}
    }
}

/// A suggestion for serde's error "unknown field `a`, expected one of `b`, `c`".
fn meant(message: &str) -> String {
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = names.next().filter(|_| message.starts_with("unknown "));
    let known: Vec<&str> = names.collect();
    unknown
        .and_then(|key| nearest(key, &known))
        .map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Mapping, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(file.path()).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let topic = "name = 't'\nfiles = '*'\nontology_tag = 'imu'\n";
        let all = |rest: &str| format!("[[sequence]]\nname = 's'\n[[sequence.topic]]\n{topic}{rest}");
        assert!(parse(&all("")).is_ok());
        let schema =
            parse(&all("schema = 'a.arrow'")).unwrap().sequences[0].topics[0].schema.clone().unwrap();
        assert!(schema.is_absolute() && schema.ends_with("a.arrow"));
        for (text, words) in [
            (all("fiels = 1"), "line 7: unknown field `fiels`"),
            (all("fiels = 1"), "did you mean `files`?"),
            (all("[sequence.topic.columns]\nx = { colum = 'a' }"), "did you mean `column`?"),
            (all("[sequence.topic.columns]\nx = { column = 'a', unit = 'us ' }"), "did you mean `us`?"),
            (all("[sequence.topic.columns]\nx = 1"), "line 8: invalid type: integer"),
            ("[[sequence]]\nname = 's'".to_owned(), "missing field `topic`"),
            ("a = ".to_owned(), "line 1"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
