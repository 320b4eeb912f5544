//! `sequence_link`: signs a link to a sequence for its reader.

use mosaico_engine::access::link::{NewLink, page_url};
use mosaico_engine::state::engine::Engine;
use mosaico_storage::error::{Error, Result};
use mosaico_types::{ErrorCode, SequenceName, TimeWindow, TopicPath};
use mosaico_wire::link::{LinkAnswer, SequenceLink};

use crate::access::identity::Caller;

/// Creates a link that has at most the rights of the caller.
pub(crate) async fn create(core: &Engine, caller: &Caller, request: SequenceLink) -> Result<LinkAnswer> {
    let SequenceLink { name, expires_in_s, timestamp_ns_start, timestamp_ns_end, topics } = request;
    let sequence = core.catalog.sequence(&SequenceName::parse(&name)?).await?.name;
    let topics: Option<Vec<TopicPath>> = match topics {
        Some(topics) => Some(topics.iter().map(|topic| TopicPath::parse(topic)).collect::<Result<_, _>>()?),
        None => None,
    };
    let Some(base) = &core.config.http_url else {
        let text = "links are URLs of the HTTP port, and this daemon knows none; start it with --http-port and, if it \
                    listens on all addresses, with --http-url";
        return Err(Error::Refused(ErrorCode::FailedPrecondition, text.to_owned()));
    };
    let window = TimeWindow { start: timestamp_ns_start, end: timestamp_ns_end };
    let new = NewLink { sequence: sequence.clone(), creator: None, expires_in_s, window, topics };
    let issued = caller.issue_link(new)?;
    Ok(LinkAnswer { url: page_url(base, &sequence, &issued.text), expires_ns: issued.expires_ns })
}
