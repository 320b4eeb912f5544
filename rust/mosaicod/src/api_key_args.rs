//! The arguments of `mosaicod api-key`.

use std::time::Duration;

use clap::{Args, Subcommand};
use mosaico_admin::KeyUpdate;
use mosaico_server::Error;
use mosaico_types::access::{Fingerprint, KeyLimits, Pattern, Rights, Scope};
use mosaico_types::{now_ns, parse_rfc3339};

use crate::output_args::OutputArgs;
use crate::store::StoreArgs;
use crate::values::{bytes, duration};

#[derive(Debug, Subcommand)]
pub(crate) enum ApiKeyCommand {
    /// Create a key, and print it once: the store keeps only a hash.
    Create(CreateArgs),
    /// List all keys, oldest first.
    List(ListArgs),
    /// Show one key.
    Status(OneArgs),
    /// Change the description, the limits or the end of a key.
    Update(UpdateArgs),
    /// Revoke a key for ever.
    Revoke(OneArgs),
    /// Remove keys that are expired or revoked.
    Purge(PurgeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Rights on all sequences, such as `read|write`; of read, write, delete, admin. With --scope: the rights
    /// of the scopes that have none of their own.
    #[arg(long, value_name = "RIGHTS")]
    permissions: Option<Rights>,
    /// Rights on the sequences that a pattern covers, such as `fleet-a-*:read,write`; may be given several
    /// times.
    #[arg(long = "scope", value_name = "PATTERN[:RIGHTS]")]
    scopes: Vec<String>,
    /// Limits of the calls with this key, such as `calls=16,call-rate=100,bytes=64MiB`: calls in progress, calls
    /// that begin per second, and bytes of uploads in the daemon. The others are those of the daemon.
    #[arg(long = "limit", value_name = "NAME=VALUE", value_delimiter = ',')]
    limits: Vec<String>,
    /// Identity of a client certificate, which takes the place of the secret: the common name or, without one, the
    /// first alternative name. For daemons with --tls-client-ca.
    #[arg(long, value_name = "NAME")]
    pub(crate) certificate: Option<String>,
    /// Text for people.
    #[arg(short, long, value_name = "TEXT", default_value = "")]
    pub(crate) description: String,
    /// Time until the key expires, such as `30d`, `12h` or `P30DT12H`.
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "expires_at")]
    expires_in: Option<Duration>,
    /// Moment at which the key expires, such as `2027-01-31T12:00:00Z`.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    expires_at: Option<i64>,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct OneArgs {
    /// Fingerprint of the key: its last 8 characters.
    #[arg(value_name = "FINGERPRINT")]
    pub(crate) fingerprint: Fingerprint,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// Fingerprint of the key: its last 8 characters.
    #[arg(value_name = "FINGERPRINT")]
    pub(crate) fingerprint: Fingerprint,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Text for people.
    #[arg(short, long, value_name = "TEXT")]
    description: Option<String>,
    /// Limits of the calls with this key, as of `create`. The key keeps its other limits.
    #[arg(long = "limit", value_name = "NAME=VALUE", value_delimiter = ',')]
    limits: Vec<String>,
    /// Remove the limits that the key has, before those of --limit are set.
    #[arg(long)]
    no_limits: bool,
    /// Time until the key expires, counted from now, such as `30d`, `12h` or `P30DT12H`.
    #[arg(long, value_name = "DURATION", value_parser = duration, group = "expiry")]
    expires_in: Option<Duration>,
    /// Moment at which the key expires, such as `2027-01-31T12:00:00Z`.
    #[arg(long, value_name = "TIME", value_parser = moment, group = "expiry")]
    expires_at: Option<i64>,
    /// The key does not expire.
    #[arg(long, group = "expiry")]
    no_expiry: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PurgeArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Remove all keys, also valid ones.
    #[arg(short = 'A', long)]
    pub(crate) all: bool,
}

impl CreateArgs {
    /// The scopes of the key.
    pub(crate) fn scopes(&self) -> Result<Vec<Scope>, Error> {
        let refused = |what: String| Error::Startup(what);
        match (self.permissions, &self.scopes[..]) {
            (None, []) => Err(refused(
                "a key needs a right; add --permissions \"read|write\", or --scope 'PATTERN:read,write'".into(),
            )),
            (Some(rights), []) => Ok(vec![Scope { pattern: Pattern::any(), rights }]),
            (Some(_), scopes) if scopes.iter().all(|scope| scope.contains(':')) => Err(refused(
                "--permissions has no effect: each --scope has rights of its own; leave it out, or add --scope \
                 '*' to give these rights on all sequences"
                    .into(),
            )),
            (otherwise, scopes) => scopes
                .iter()
                .map(|text| Scope::parse(text, otherwise).map_err(|e| refused(format!("--scope {text}: {e}"))))
                .collect(),
        }
    }

    /// The limits of the key.
    pub(crate) fn limits(&self) -> Result<KeyLimits, Error> {
        limits(&self.limits)
    }

    /// The moment at which the key expires.
    pub(crate) fn expires_ns(&self) -> Option<i64> {
        expires_ns(self.expires_at, self.expires_in)
    }
}

impl UpdateArgs {
    /// The requested changes.
    pub(crate) fn update(&self) -> Result<KeyUpdate, Error> {
        let is_change = self.description.is_some()
            || !self.limits.is_empty()
            || self.no_limits
            || self.no_expiry
            || self.expires_in.is_some()
            || self.expires_at.is_some();
        if !is_change {
            return Err(Error::Startup(
                "nothing to change; add --description, --limit, --no-limits, --expires-in, --expires-at or \
                 --no-expiry"
                    .into(),
            ));
        }
        let moment = expires_ns(self.expires_at, self.expires_in).map(Some);
        Ok(KeyUpdate {
            description: self.description.clone(),
            no_limits: self.no_limits,
            limits: limits(&self.limits)?,
            expires_ns: if self.no_expiry { Some(None) } else { moment },
        })
    }
}

fn limits(texts: &[String]) -> Result<KeyLimits, Error> {
    let mut limits = KeyLimits::default();
    for text in texts {
        let set = limit(text, &mut limits);
        set.map_err(|reason| Error::Startup(format!("--limit {text}: {reason}")))?;
    }
    Ok(limits)
}

fn expires_ns(at: Option<i64>, after: Option<Duration>) -> Option<i64> {
    let from_now =
        |duration: Duration| now_ns().saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX));
    at.or_else(|| after.map(from_now))
}

/// Adds the limit `NAME=VALUE`.
fn limit(text: &str, limits: &mut KeyLimits) -> Result<(), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    let number = || match value.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("`{value}` is no number above 0")),
    };
    let earlier = match name {
        "calls" => limits.calls.replace(number()?).is_some(),
        "call-rate" => limits.call_rate.replace(number()?).is_some(),
        "bytes" => match bytes(value)? {
            0 => return Err("0 bytes allow no upload".to_owned()),
            size => limits.bytes.replace(size as u64).is_some(),
        },
        _ => return Err("there is no such limit; use calls, call-rate or bytes".to_owned()),
    };
    if earlier { Err(format!("`{name}` is given twice")) } else { Ok(()) }
}

fn moment(text: &str) -> Result<i64, String> {
    parse_rfc3339(text).ok_or_else(|| format!("`{text}` is no time; write it as 2027-01-31T12:00:00Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        let parse = |texts: &[&str]| {
            let mut limits = KeyLimits::default();
            texts.iter().try_for_each(|text| limit(text, &mut limits)).map(|()| limits.to_string())
        };
        let all = ["calls=16", "bytes=64MiB", "call-rate=100"];
        assert_eq!(parse(&all).unwrap(), "calls=16,call-rate=100,bytes=67108864");
        assert_eq!(parse(&[]).unwrap(), "");
        for bad in ["calls", "calls=0", "calls=-1", "calls=many", "bytes=0", "bytes=x", "streams=1"] {
            assert!(parse(&[bad]).is_err(), "{bad}");
        }
        assert!(parse(&["calls=1", "calls=2"]).unwrap_err().contains("twice"));
    }

    fn scopes(permissions: Option<&str>, scopes: &[&str]) -> Result<String, String> {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            create: CreateArgs,
        }
        let permissions = permissions.map(|text| format!("--permissions={text}"));
        let scopes = scopes.iter().map(|text| format!("--scope={text}"));
        let line = std::iter::once("x".to_owned()).chain(permissions).chain(scopes);
        let line = <Line as clap::Parser>::try_parse_from(line).map_err(|e| e.to_string())?;
        let scopes = line.create.scopes().map_err(|e| e.to_string())?;
        Ok(scopes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn rights_and_scopes() {
        assert_eq!(scopes(Some("read|write"), &[]).unwrap(), "*:read|write");
        assert_eq!(scopes(None, &["a-*:read,write", "b:read"]).unwrap(), "a-*:read|write b:read");
        assert_eq!(scopes(Some("read"), &["a-*", "b:delete"]).unwrap(), "a-*:read b:delete");
        assert!(scopes(None, &[]).unwrap_err().contains("--permissions"));
        assert!(scopes(None, &["a-*"]).unwrap_err().contains("a-*:read,write"));
        assert!(scopes(Some("read"), &["a:read"]).unwrap_err().contains("no effect"));
        assert!(scopes(Some("manage"), &[]).unwrap_err().contains("manage"));
        assert!(scopes(None, &["a.b:read"]).unwrap_err().contains("a.b"));
    }
}
