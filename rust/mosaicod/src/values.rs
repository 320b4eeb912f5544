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

/// Seconds of the units of a duration; months and years differ in length, so they are refused.
const DURATION_UNITS: [(char, u64); 5] = [('w', 604_800), ('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];

/// Reads `30d`, `12h30m` or ISO 8601 `P30DT12H30M`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let refused = || format!("`{text}` is no duration; write it as 30d, 12h or P30DT12H");
    let iso = text.strip_prefix(['P', 'p']);
    let (mut seconds, mut digits, mut is_time) = (0_u64, String::new(), iso.is_none());
    for c in iso.unwrap_or(text).chars().map(|c| c.to_ascii_lowercase()) {
        match c {
            '0'..='9' => digits.push(c),
            't' if !is_time && digits.is_empty() => is_time = true,
            // In ISO 8601, an M before the T would be months.
            'm' if !is_time => return Err(refused()),
            _ => {
                let (_, unit) =
                    DURATION_UNITS.into_iter().find(|(name, _)| *name == c).ok_or_else(refused)?;
                let number: u64 = digits.parse().map_err(|_| refused())?;
                digits.clear();
                seconds =
                    number.checked_mul(unit).and_then(|s| seconds.checked_add(s)).ok_or_else(refused)?;
            }
        }
    }
    if seconds == 0 || !digits.is_empty() {
        return Err(refused());
    }
    Ok(Duration::from_secs(seconds))
}

/// The HTTP port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HttpPort {
    Off,
    On(u16),
}

impl FromStr for HttpPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            text => text
                .parse()
                .map(Self::On)
                .map_err(|_| format!("`{text}` is no port; write 0 to 65535, or off")),
        }
    }
}

/// An origin of web pages, such as `https://robots.example.org`, or `*`.
pub(crate) fn origin(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_host = |host: &str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@,".contains(&byte))
    };
    if text == "*" || host.is_some_and(is_host) {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is no origin; write it as https://HOST or https://HOST:PORT, or * for all"))
}

/// The base of URLs, such as `https://robots.example.org:9726`.
pub(crate) fn base_url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_base = |rest: &str| {
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#@".contains(&byte))
    };
    if rest.is_some_and(is_base) {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is no URL of an HTTP port; write it as https://HOST:PORT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("30d", 30 * 86_400),
            ("12h30m", 45_000),
            ("90s", 90),
            ("P30D", 30 * 86_400),
            ("PT15M", 900),
            ("P1W", 604_800),
            ("p1dt1h1m1s", 90_061),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "P", "0s", "30", "P1M", "P1Y", "-1d", "1.5h", "d", "99999999999999999999w", "PT"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn origins_and_urls() {
        for good in ["*", "https://a.example", "http://localhost:8080", "https://[::1]:1"] {
            assert_eq!(origin(good), Ok(good.to_owned()));
        }
        for bad in
            ["", "a.example", "https://", "https://a/", "https://a/b", "https://a,https://b", "https://a b"]
        {
            assert!(origin(bad).is_err(), "{bad}");
        }
        assert!(base_url("https://a.example:1/daemon/").is_ok());
        for bad in ["", "a:1", "ftp://a", "https://user@a", "https://a?b", "https://a#b"] {
            assert!(base_url(bad).is_err(), "{bad}");
        }
    }

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
