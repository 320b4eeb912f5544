//! The parameters of a URL.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use axum::http::Uri;
use mosaico_storage::error::{Error, Result};
use mosaico_types::TimeWindow;

/// The parameter of a signed link, which every route has.
pub(super) const LINK: &str = "link";

/// All parameters of a URL, as they are.
pub(super) fn pairs(uri: &Uri) -> impl Iterator<Item = (String, String)> {
    let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    pairs.map(|(name, value)| (name.into_owned(), value.into_owned()))
}

/// An error of the URL.
pub(super) fn malformed(reason: &dyn Display) -> Error {
    Error::Invalid(format!("the URL is malformed: {reason}"))
}

/// The parameters that a route has, each given at most once.
#[derive(Debug)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Parses the parameters of a route that has those with these names.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another name, and for one that is given twice.
    pub(super) fn parse(uri: &Uri, known: &[&str]) -> Result<Self> {
        let mut found: Vec<(String, String)> = Vec::new();
        for (name, value) in pairs(uri) {
            if name == LINK {
                continue;
            }
            if !known.contains(&name.as_str()) {
                let known = [known, &[LINK]].concat().join(", ");
                return Err(malformed(&format!(
                    "there is no parameter `{name}`; the parameters here are {known}"
                )));
            }
            if found.iter().any(|(earlier, _)| *earlier == name) {
                return Err(malformed(&format!("`{name}` is given twice; give it once")));
            }
            found.push((name, value));
        }
        Ok(Self(found))
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// A time in nanoseconds.
    pub(super) fn time(&self, name: &str) -> Result<Option<i64>> {
        let parse = |text: &str| {
            text.parse().map_err(|_| {
                malformed(&format!("`{name}={text}` is no time; write an integer of nanoseconds since 1970"))
            })
        };
        self.text(name).map(parse).transpose()
    }

    /// The times `from` and `to`.
    pub(super) fn window(&self) -> Result<TimeWindow> {
        Ok(TimeWindow { start: self.time("from")?, end: self.time("to")? })
    }

    /// A number inside limits.
    pub(super) fn number<T>(&self, name: &str, limits: RangeInclusive<T>) -> Result<Option<T>>
    where
        T: FromStr + PartialOrd + Display,
    {
        let parse = |text: &str| {
            text.parse().ok().filter(|number| limits.contains(number)).ok_or_else(|| {
                let (low, high) = (limits.start(), limits.end());
                malformed(&format!("`{name}={text}` is no number from {low} to {high}"))
            })
        };
        self.text(name).map(parse).transpose()
    }

    /// Texts separated by commas.
    pub(super) fn list(&self, name: &str) -> Option<Vec<String>> {
        self.text(name).map(|text| text.split(',').map(str::to_owned).collect())
    }

    /// One of several words; the first one if it is missing.
    pub(super) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<T> {
        let Some(text) = self.text(name) else { return Ok(words[0].1) };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        found.ok_or_else(|| {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            malformed(&format!("`{name}={text}` is none of {}", words.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Parameters> {
        Parameters::parse(&format!("/x?{query}").parse().unwrap(), &["from", "to", "px", "order"])
    }

    #[test]
    fn parameters_are_known_single_and_of_their_type() {
        let good = parse("from=-5&px=8&link=a&link=b&order=desc").unwrap();
        assert_eq!(good.window().unwrap(), TimeWindow { start: Some(-5), end: None });
        assert_eq!(good.number("px", 1..=8).unwrap(), Some(8));
        assert!(good.word("order", &[("asc", false), ("desc", true)]).unwrap());
        let bad = |query: &str, read: fn(&Parameters) -> Result<()>| {
            parse(query).and_then(|found| read(&found)).unwrap_err().to_string()
        };
        let nothing: fn(&Parameters) -> Result<()> = |_| Ok(());
        assert!(bad("form=1", nothing).contains("`form`; the parameters here are from, to, px, order, link"));
        assert!(bad("from=1&from=1", nothing).contains("`from` is given twice"));
        for time in ["now", "NaN", "", "1.5", "9223372036854775808"] {
            assert!(bad(&format!("from={time}"), |found| found.window().map(drop)).contains("is no time"));
        }
        for px in ["0", "9", "-1", "1e3", "99999999999999999999"] {
            let refused = bad(&format!("px={px}"), |found| found.number("px", 1..=8).map(drop));
            assert!(refused.contains("is no number from 1 to 8"), "{refused}");
        }
        let order = bad("order=up", |found| found.word("order", &[("asc", 0), ("desc", 1)]).map(drop));
        assert!(order.contains("`order=up` is none of asc, desc"), "{order}");
    }
}
