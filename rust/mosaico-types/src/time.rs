use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A half-open window `[start, end)` over `timestamp_ns`; a missing bound is unbounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct TimeWindow {
    /// First nanosecond inside.
    pub start: Option<i64>,
    /// First nanosecond past the end.
    pub end: Option<i64>,
}

impl TimeWindow {
    /// The window without bounds.
    pub const ALL: Self = Self { start: None, end: None };

    /// Whether `timestamp_ns` lies inside.
    pub fn contains(&self, timestamp_ns: i64) -> bool {
        self.start.is_none_or(|start| timestamp_ns >= start) && self.end.is_none_or(|end| timestamp_ns < end)
    }

    /// Whether any instant of the closed range `min..=max` lies inside.
    pub fn overlaps(&self, min: i64, max: i64) -> bool {
        !self.is_empty()
            && self.start.is_none_or(|start| max >= start)
            && self.end.is_none_or(|end| min < end)
    }

    /// Whether no instant can lie inside.
    pub fn is_empty(&self) -> bool {
        matches!((self.start, self.end), (Some(start), Some(end)) if start >= end)
    }
}

/// Now, in nanoseconds since the Unix epoch.
pub fn now_ns() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    }
}

/// `YYYY-MM-DD HH:MM:SS[.fff|.ffffff|.fffffffff] UTC`: the form of creation times on the wire.
pub fn format_utc(ns: i64) -> String {
    let (seconds, nanos) = (ns.div_euclid(1_000_000_000), ns.rem_euclid(1_000_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil_from_days(days);
    let fraction = match nanos {
        0 => String::new(),
        n if n % 1_000_000 == 0 => format!(".{:03}", n / 1_000_000),
        n if n % 1_000 == 0 => format!(".{:06}", n / 1_000),
        n => format!(".{n:09}"),
    };
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}{fraction} UTC",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// The time in RFC 3339: `2026-11-30T09:14:07.123Z`.
pub fn format_rfc3339(ns: i64) -> String {
    format_utc(ns).replacen(' ', "T", 1).replace(" UTC", "Z")
}

/// Reads the form that [`format_utc`] writes; `None` for anything else.
pub fn parse_utc(text: &str) -> Option<i64> {
    let body = text.strip_suffix(" UTC")?;
    let (date, clock) = body.split_once(' ')?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut clock = clock.splitn(3, ':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let valid = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..60).contains(&second)
        && fraction.len() <= 9
        && fraction.bytes().all(|b| b.is_ascii_digit());
    if !valid {
        return None;
    }
    let nanos: i64 = format!("{fraction:0<9}").parse().ok()?;
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// Reads a time in the form of RFC 3339, such as `2027-01-31T12:00:00+01:00`; `None` for anything else.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let at = rest.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = rest.split_at(at);
    let offset_minutes = match zone {
        "Z" | "z" => 0,
        _ => {
            let (hours, minutes) = zone[1..].split_once(':').filter(|_| zone.len() == 6)?;
            let (hours, minutes): (u8, u8) = (hours.parse().ok()?, minutes.parse().ok()?);
            let offset = i64::from(hours) * 60 + i64::from(minutes);
            (hours < 24 && minutes < 60).then_some(if zone.starts_with('-') { -offset } else { offset })?
        }
    };
    parse_utc(&format!("{date} {clock} UTC"))?.checked_sub(offset_minutes * 60_000_000_000)
}

// Howard Hinnant's algorithms for the proleptic Gregorian calendar (chrono-compatible low-level date
// algorithms).
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_index = (month + 9) % 12;
    let day_of_year = (153 * month_index + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn formats_as_recorded() {
        assert_eq!(format_utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(format_utc(1_700_000_000_123_000_000), "2023-11-14 22:13:20.123 UTC");
        assert_eq!(format_utc(-1), "1969-12-31 23:59:59.999999999 UTC");
        assert_eq!(format_rfc3339(1_700_000_000_123_000_000), "2023-11-14T22:13:20.123Z");
        assert_eq!(parse_utc("yesterday"), None);
    }

    #[test]
    fn times_of_rfc_3339() {
        assert_eq!(parse_rfc3339("1970-01-01T00:00:01Z"), Some(1_000_000_000));
        assert_eq!(parse_rfc3339("1970-01-01T01:00:00.5+01:00"), Some(500_000_000));
        assert_eq!(parse_rfc3339("1969-12-31T23:30:00-00:30"), Some(0));
        for bad in ["", "2027-01-01", "2027-01-01T00:00:00", "2027-01-01T00:00:00+1", "2027-13-01T00:00:00Z"]
        {
            assert_eq!(parse_rfc3339(bad), None, "{bad}");
        }
    }

    #[test]
    fn windows_are_half_open() {
        let window = TimeWindow { start: Some(1), end: Some(3) };
        assert_eq!([0, 1, 2, 3].map(|t| window.contains(t)), [false, true, true, false]);
        assert!(window.overlaps(-5, 1) && !window.overlaps(3, 9) && !window.overlaps(-5, 0));
        assert!(!TimeWindow { start: Some(2), end: Some(2) }.overlaps(0, 9));
    }

    proptest! {
        #[test]
        fn utc_round_trips(ns in any::<i64>()) {
            // The first seconds of i64 underflow when the floor second is multiplied back.
            prop_assume!(ns > i64::MIN + 1_000_000_000);
            prop_assert_eq!(parse_utc(&format_utc(ns)), Some(ns));
        }
    }
}
