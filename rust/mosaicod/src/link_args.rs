//! The arguments of `mosaicod link`.

use std::time::Duration;

use clap::{Args, Subcommand};
use mosaico_admin::NewLink;
use mosaico_types::access::Fingerprint;
use mosaico_types::{SequenceName, TimeWindow, TopicPath, parse_rfc3339};

use crate::output_args::OutputArgs;
use crate::store::StoreArgs;
use crate::values::{base_url, duration};

#[derive(Debug, Subcommand)]
pub(crate) enum LinkCommand {
    /// Create a signed link to a sequence: everybody who has it may read until it expires.
    Create(CreateLinkArgs),
    /// Make all links that were created until now invalid.
    RevokeAll(RevokeLinksArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CreateLinkArgs {
    /// The sequence that the link opens.
    #[arg(value_name = "SEQUENCE", value_parser = sequence)]
    sequence: SequenceName,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Time until the link expires, such as `1h`, `7d` or `PT30M`.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "1h")]
    expires_in: Duration,
    /// Only rows from this time on: nanoseconds, or `2027-01-31T12:00:00Z`.
    #[arg(long, value_name = "TIME", value_parser = nanoseconds)]
    from: Option<i64>,
    /// Only rows before this time.
    #[arg(long, value_name = "TIME", value_parser = nanoseconds)]
    to: Option<i64>,
    /// Only this topic; may be given several times.
    #[arg(long = "topic", value_name = "TOPIC", value_parser = topic)]
    topics: Vec<TopicPath>,
    /// Fingerprint of the API key whose rights the link has: it ends with the key. Without a key, only
    /// `revoke-all` ends the link early.
    #[arg(long, value_name = "FINGERPRINT")]
    key: Option<Fingerprint>,
    /// URL at which clients reach the HTTP port of the daemon. Without it, the link is the path on that port.
    #[arg(long, value_name = "URL", env = "MOSAICO_HTTP_URL", value_parser = base_url)]
    pub(crate) http_url: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeLinksArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

impl CreateLinkArgs {
    /// The requested link.
    pub(crate) fn link(&self) -> NewLink {
        NewLink {
            sequence: self.sequence.clone(),
            creator: self.key,
            expires_in_s: self.expires_in.as_secs(),
            window: TimeWindow { start: self.from, end: self.to },
            topics: (!self.topics.is_empty()).then(|| self.topics.clone()),
        }
    }
}

fn sequence(text: &str) -> Result<SequenceName, String> {
    SequenceName::parse(text).map_err(|e| e.to_string())
}

fn topic(text: &str) -> Result<TopicPath, String> {
    TopicPath::parse(text).map_err(|e| e.to_string())
}

fn nanoseconds(text: &str) -> Result<i64, String> {
    let number = text.parse().ok().or_else(|| parse_rfc3339(text));
    number.ok_or_else(|| format!("`{text}` is no time; write nanoseconds, or 2027-01-31T12:00:00Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_nanoseconds_or_rfc_3339() {
        assert_eq!(nanoseconds("-5"), Ok(-5));
        assert_eq!(nanoseconds("1970-01-01T00:00:01Z"), Ok(1_000_000_000));
        assert!(nanoseconds("noon").is_err());
    }
}
