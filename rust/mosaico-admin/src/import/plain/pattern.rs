//! File path patterns with wildcards, and names composed of the captured parts.

use std::collections::BTreeMap;

use mosaico_storage::error::{Error, Result};
use regex::Regex;

/// The captured values of a pattern's named wildcards.
pub(super) type Parts = BTreeMap<String, String>;

/// `drives/{robot}/imu-*.parquet`: `*` matches within a name, `**` within a path, and `{robot}` captures a
/// non-empty part of a name.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    regex: Regex,
    names: Vec<String>,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let (mut regex, mut names) = (String::from("(?s)^"), Vec::new());
        for piece in pieces(text)? {
            match piece {
                Piece::Name(name) if names.iter().any(|known| known == name) => {
                    return Err(refused(text, &format!("has {{{name}}} twice")));
                }
                Piece::Name(name) => {
                    names.push(name.to_owned());
                    regex += "([^/]+)";
                }
                Piece::Text(text) => {
                    // `**/` also matches no folder at all.
                    let folders = text.replace("**/", "\0").replace("**", "\x01").replace('*', "\x02");
                    regex += &regex::escape(&folders)
                        .replace('\0', "(?:.*/)?")
                        .replace('\x01', ".*")
                        .replace('\x02', "[^/]*");
                }
            }
        }
        let regex = Regex::new(&(regex + "$")).map_err(|error| refused(text, &error.to_string()))?;
        Ok(Self { regex, names })
    }

    /// The captured values, if the path matches.
    pub(super) fn parts(&self, path: &str) -> Option<Parts> {
        let found = self.regex.captures(path)?;
        let part = |index: usize| found.get(index + 1).map(|part| part.as_str().to_owned());
        self.names.iter().enumerate().map(|(index, name)| Some((name.clone(), part(index)?))).collect()
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }
}

/// A text that contains wildcards of a pattern.
#[derive(Debug, Clone)]
pub(super) struct Template(String);

impl Template {
    /// Parses the text; refuses wildcards that `pattern` does not have.
    pub(super) fn parse(text: &str, pattern: &Pattern) -> Result<Self> {
        for piece in pieces(text)? {
            match piece {
                Piece::Name(name) if !pattern.names().iter().any(|known| known == name) => {
                    let text = refused(text, &format!("has {{{name}}}, which `files` does not have"));
                    return Err(text);
                }
                _ => {}
            }
        }
        Ok(Self(text.to_owned()))
    }

    pub(super) fn fill(&self, parts: &Parts) -> Result<String> {
        let piece = |piece| match piece {
            Piece::Text(text) => text,
            Piece::Name(name) => parts.get(name).map_or("", String::as_str),
        };
        Ok(pieces(&self.0)?.into_iter().map(piece).collect())
    }
}

enum Piece<'a> {
    Text(&'a str),
    Name(&'a str),
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else {
            return Err(refused(text, "has a { without its }"));
        };
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
            return Err(refused(text, &format!("has {{{name}}}; such names are letters, digits and _")));
        }
        found.extend([Piece::Text(before), Piece::Name(name)]);
        rest = after;
    }
    found.push(Piece::Text(rest));
    Ok(found)
}

fn refused(text: &str, what: &str) -> Error {
    Error::Startup(format!("the mapping's `{text}` {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(pattern: &str, path: &str) -> Option<Vec<String>> {
        Some(Pattern::parse(pattern).unwrap().parts(path)?.into_values().collect())
    }

    #[test]
    fn wildcards_stand_for_parts_of_paths() {
        assert_eq!(parts("a/*.parquet", "a/b.parquet"), Some(vec![]));
        assert_eq!(parts("a/*.parquet", "a/b/c.parquet"), None);
        assert_eq!(parts("a/*.parquet", "a/bxparquet"), None);
        assert_eq!(parts("**/*.parquet", "c.parquet"), Some(vec![]));
        assert_eq!(parts("**/*.parquet", "a/b/c.parquet"), Some(vec![]));
        assert_eq!(parts("a/**", "a/b/c.parquet"), Some(vec![]));
        let both = Some(vec!["7".to_owned(), "imu".to_owned()]);
        assert_eq!(parts("a={a}/{b}-*.pq", "a=7/imu-00.pq"), both);
        assert_eq!(parts("{a}.pq", ".pq"), None);
        assert_eq!(parts("{a}.pq", "b/c.pq"), None);
        let long = "a".repeat(5000);
        assert_eq!(parts(&"*a".repeat(50), &format!("{long}b")), None);
    }

    #[test]
    fn names_are_filled_in() {
        let pattern = Pattern::parse("{flight}/{camera}.parquet").unwrap();
        let parts = pattern.parts("f1/left.parquet").unwrap();
        let fill = |text| Template::parse(text, &pattern).and_then(|text| text.fill(&parts));
        assert_eq!(fill("cam/{camera} of {flight}").unwrap(), "cam/left of f1");
        assert_eq!(fill("plain").unwrap(), "plain");
        for (text, words) in [("{robot}", "`files` does not have"), ("a{b", "without"), ("{}", "letters")] {
            let error = fill(text).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert!(Pattern::parse("{a}/{a}").unwrap_err().to_string().contains("twice"));
    }
}
