//! `mosaicod api-key`.

use mosaico_admin::{ApiKeys, KeyInfo, KeyState, NewKey};
use mosaico_server::Error;
use mosaico_types::access::{Fingerprint, KeyLimits};
use mosaico_types::format_rfc3339;
use serde::Serialize;

use super::author::author;
use super::output;
use crate::api_key_args::{ApiKeyCommand, CreateArgs, ListArgs, OneArgs, PurgeArgs, UpdateArgs};

/// A key in the form for programs. The token is there only when the key was created.
#[derive(Serialize)]
struct Shown {
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    fingerprint: Fingerprint,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    description: String,
    /// `PATTERN:right|right`.
    scopes: Vec<String>,
    /// Without those that are the daemon's.
    limits: KeyLimits,
    created: String,
    expires: Option<String>,
    revoked: Option<String>,
    last_used: Option<String>,
}

impl Shown {
    fn of(key: &KeyInfo, token: Option<String>) -> Self {
        let state = match key.state {
            KeyState::Valid => "valid",
            KeyState::Expired => "expired",
            KeyState::Revoked => "revoked",
        };
        Self {
            token,
            fingerprint: key.fingerprint,
            state,
            certificate: key.certificate.clone(),
            description: key.description.clone(),
            scopes: key.scopes.iter().map(ToString::to_string).collect(),
            limits: key.limits,
            created: rfc3339(key.created_ns),
            expires: key.expires_ns.map(rfc3339),
            revoked: key.revoked_ns.map(rfc3339),
            last_used: key.last_used_ns.map(rfc3339),
        }
    }

    fn line(&self) -> String {
        let Self { fingerprint, state, .. } = self;
        let mut line = format!("{fingerprint}  {state}  {}  created {}", self.scopes.join(" "), self.created);
        let times = [("expires", &self.expires), ("revoked", &self.revoked), ("last used", &self.last_used)];
        for (what, time) in times {
            line.extend(time.iter().flat_map(|time| ["  ", what, " ", time]));
        }
        if let Some(certificate) = &self.certificate {
            line.push_str(&format!("  certificate {certificate}"));
        }
        if !self.limits.is_empty() {
            line.push_str(&format!("  limits {}", self.limits));
        }
        if !self.description.is_empty() {
            line.extend(["  ", &self.description]);
        }
        line
    }
}

/// The time in RFC 3339, to the second.
fn rfc3339(ns: i64) -> String {
    format_rfc3339(ns - ns.rem_euclid(1_000_000_000))
}

/// Runs a command on API keys.
pub(super) async fn run(command: &ApiKeyCommand) -> Result<u8, Error> {
    match command {
        ApiKeyCommand::Create(args) => create(args).await,
        ApiKeyCommand::List(args) => list(args).await,
        ApiKeyCommand::Status(args) => one(args, false).await,
        ApiKeyCommand::Update(args) => update(args).await,
        ApiKeyCommand::Revoke(args) => one(args, true).await,
        ApiKeyCommand::Purge(args) => purge(args).await,
    }
}

async fn create(args: &CreateArgs) -> Result<u8, Error> {
    let (scopes, limits, expires_ns) = (args.scopes()?, args.limits()?, args.expires_ns());
    let (config, _) = args.store.config()?;
    let new = NewKey { description: args.description.clone(), scopes, limits, expires_ns };
    let keys = ApiKeys::create_store(&config, author())?;
    if let Some(certificate) = args.certificate.clone() {
        let shown = Shown::of(&keys.create_for_certificate(new, certificate).await?, None);
        return output::report(args.output.json, &shown, &shown.line(), &[]);
    }
    let (token, info) = keys.create(new).await?;
    // The key alone on standard output, so that a script can take it.
    let shown = Shown::of(&info, Some(token.text()));
    if !args.output.json {
        eprintln!("{}\nThe key is shown only now; the store keeps a hash of it:", shown.line());
    }
    output::report(args.output.json, &shown, &token.text(), &[])
}

async fn list(args: &ListArgs) -> Result<u8, Error> {
    let (config, shown) = args.store.config()?;
    let keys: Vec<Shown> =
        ApiKeys::open(&config, author())?.list().await?.iter().map(|key| Shown::of(key, None)).collect();
    let lines: Vec<String> = keys.iter().map(Shown::line).collect();
    let text = if lines.is_empty() { format!("{shown}: no API keys") } else { lines.join("\n") };
    output::report(args.output.json, &keys, &text, &[])
}

async fn one(args: &OneArgs, revoke: bool) -> Result<u8, Error> {
    let (config, _) = args.store.config()?;
    let keys = ApiKeys::open(&config, author())?;
    let key = match revoke {
        true => keys.revoke(args.fingerprint).await?,
        false => keys.status(args.fingerprint).await?,
    };
    let shown = Shown::of(&key, None);
    output::report(args.output.json, &shown, &shown.line(), &[])
}

async fn update(args: &UpdateArgs) -> Result<u8, Error> {
    let changes = args.update()?;
    let (config, _) = args.store.config()?;
    let key = ApiKeys::open(&config, author())?.update(args.fingerprint, changes).await?;
    let shown = Shown::of(&key, None);
    output::report(args.output.json, &shown, &shown.line(), &[])
}

async fn purge(args: &PurgeArgs) -> Result<u8, Error> {
    let (config, shown) = args.store.config()?;
    let purged = ApiKeys::open(&config, author())?.purge(args.all).await?;
    let names: Vec<String> = purged.iter().map(|key| format!(" {key}")).collect();
    let text = format!("{shown}: {} API keys removed{}", purged.len(), names.concat());
    output::report(args.output.json, &serde_json::json!({"purged": purged}), &text, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_rfc_3339() {
        assert_eq!(rfc3339(1_700_000_000_123_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(
            mosaico_types::parse_rfc3339(&rfc3339(1_700_000_000_000_000_000)),
            Some(1_700_000_000_000_000_000)
        );
    }
}
