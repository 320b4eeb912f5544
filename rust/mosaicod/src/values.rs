//! Values of options: defaults, and the notation of times and sizes.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::LazyLock;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use mosaico_server::{Config, LARGEST_SIZE, StoreLocation};

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

/// Units of sizes, the longest notation first.
const UNITS: [(&str, usize); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// Parses a number of bytes, such as `67108864` or `64MiB`; refuses sizes that nobody means.
pub(crate) fn bytes(text: &str) -> Result<usize, String> {
    let unit = UNITS.iter().find_map(|(name, size)| Some((text.strip_suffix(name)?, *size)));
    let (number, unit) = unit.unwrap_or((text, 1));
    let number = number.trim();
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{text}` is not a number of bytes; write for example 67108864 or 64MiB"));
    }
    let size = number.parse::<usize>().ok().and_then(|number| number.checked_mul(unit));
    size.filter(|size| *size <= LARGEST_SIZE)
        .ok_or_else(|| format!("`{text}` is more than 16 TiB, the largest accepted size"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_and_a_limit() {
        assert_eq!(bytes("67108864"), Ok(64 << 20));
        assert_eq!(bytes("64MiB"), Ok(64 << 20));
        assert_eq!(bytes("2 GB"), Ok(2_000_000_000));
        assert_eq!(bytes("0"), Ok(0));
        for huge in ["99999999999TB", "18446744073709551615", "99999999999999999999999"] {
            assert!(bytes(huge).unwrap_err().contains("more than 16 TiB"), "{huge}");
        }
        for wrong in ["", "x", "-1", "1.5GB", "MiB"] {
            assert!(bytes(wrong).unwrap_err().contains("not a number of bytes"), "{wrong}");
        }
    }
}
