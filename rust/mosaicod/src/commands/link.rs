//! `mosaicod link`.

use mosaico_admin::{ApiKeys, page_url};
use mosaico_server::Error;
use mosaico_types::format_rfc3339;
use serde_json::json;

use super::author::author;
use super::output;
use crate::link_args::{CreateLinkArgs, LinkCommand, RevokeLinksArgs};

/// Runs a command on links.
pub(super) async fn run(command: &LinkCommand) -> Result<u8, Error> {
    match command {
        LinkCommand::Create(args) => create(args).await,
        LinkCommand::RevokeAll(args) => revoke_all(args).await,
    }
}

async fn create(args: &CreateLinkArgs) -> Result<u8, Error> {
    let (config, _) = args.store.config()?;
    let link = args.link();
    let sequence = link.sequence.clone();
    let issued = ApiKeys::open(&config, author())?.create_link(link).await?;
    let url = page_url(args.http_url.as_deref().unwrap_or_default(), &sequence, &issued.text);
    let expires = format_rfc3339(issued.expires_ns - issued.expires_ns.rem_euclid(1_000_000_000));
    // The link alone on standard output, so that a script can take it.
    if !args.output.json {
        eprintln!("valid until {expires}:");
    }
    output::report(args.output.json, &json!({"url": url, "expires": expires}), &url, &[])
}

async fn revoke_all(args: &RevokeLinksArgs) -> Result<u8, Error> {
    let (config, shown) = args.store.config()?;
    ApiKeys::open(&config, author())?.revoke_links().await?;
    let text = format!("{shown}: all links that were created until now are invalid");
    output::report(args.output.json, &json!({"revoked": true}), &text, &[])
}
