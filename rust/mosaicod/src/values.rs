//! Values of options: defaults, and the notation of times and sizes.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::LazyLock;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use mosaico_server::{Config, StoreLocation};

/// The default values of settings.
pub(crate) fn defaults() -> &'static Config {
    static DEFAULTS: LazyLock<Config> = LazyLock::new(|| Config::new(StoreLocation::Local(PathBuf::new())));
    &DEFAULTS
}

/// The values of an option with few levels.
pub(crate) fn level<T>(all: &[T], name: fn(T) -> &'static str) -> impl TypedValueParser<Value = T>
where
    T: Copy + FromStr<Err = String> + Send + Sync + 'static,
{
    let names: Vec<&'static str> = all.iter().map(|level| name(*level)).collect();
    PossibleValuesParser::new(names).try_map(|text| text.parse::<T>())
}

/// A limit in bytes; 0 is unlimited.
pub(crate) fn bytes_or_all(bytes: usize) -> usize {
    if bytes == 0 { usize::MAX } else { bytes }
}

/// A time in the notation for people.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seconds(pub Duration);

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds: f64 = text.parse().map_err(|_| format!("`{text}` is not a number of seconds"))?;
        Duration::try_from_secs_f64(seconds).map(Self).map_err(|e| e.to_string())
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.as_secs_f64())
    }
}
