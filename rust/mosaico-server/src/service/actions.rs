//! `DoAction`: JSON in, JSON out.

use std::sync::Arc;

use mosaico_engine::lifecycle::{self, NewTopic, Subject};
use mosaico_engine::query;
use mosaico_engine::state::engine::Engine;
use mosaico_storage::error::{Error, Result};
use mosaico_types::id::NotificationId;
use mosaico_types::{LayerName, OntologyTag, SequenceName, TopicLocator, format_utc};
use mosaico_wire::action::{
    KeyResponse, LayerCreate, LayerList, LayerUpdate, NOTIFY_ERROR, Named, Nothing, Notify, NotifyCreate,
    NotifyList, SequenceCreate, SequenceKey, SequenceSystemInfo, TopicCreate, TopicSystemInfo, empty_answer,
    encode_answer, name,
};
use mosaico_wire::event::{self, KeepAlive};
use mosaico_wire::link;
use mosaico_wire::metadata::SystemInfo;
use serde::Serialize;

use super::call::parse;
use super::{events, info, links};
use crate::access::check::unknown;
use crate::access::identity::Caller;
use crate::access::table::{Source, Surface, find};
use crate::request_layer::Call;

/// Checks whether a caller may run an action. Returns the answer of an action that succeeds without effect if
/// its resource does not exist, for a caller that may not know of the resource.
pub(crate) fn check(caller: &Caller, action: &str, body: &[u8]) -> Result<Option<Vec<u8>>> {
    let checked = caller.check_action(action, body);
    if let Err(Error::SequenceNotFound(_) | Error::TopicNotFound(_)) = checked {
        match action {
            name::SEQUENCE_NOTIFY_LIST | name::TOPIC_NOTIFY_LIST => {
                return respond(action, &NotifyList { notifies: Vec::new() }).map(Some);
            }
            name::SEQUENCE_NOTIFY_PURGE | name::TOPIC_NOTIFY_PURGE => return Ok(Some(empty_answer())),
            _ => {}
        }
    }
    checked.map(|()| None)
}

/// Notes for the audit log what an action concerns.
pub(crate) fn note_subject(call: &Call, action: &str, body: &[u8]) {
    let source = find(Surface::Action, action).map(|rule| rule.source);
    if let Some(Source::Sequence | Source::NewSequence | Source::Topic(_)) = source
        && let Ok(Named { name }) = serde_json::from_slice(body)
    {
        call.trail.concerns(&name);
    }
}

/// Runs an action and returns the body of its one answer. [`check`] comes before.
pub(crate) async fn run(core: &Arc<Engine>, caller: &Caller, action: &str, body: &[u8]) -> Result<Vec<u8>> {
    match action {
        name::SEQUENCE_CREATE => {
            let SequenceCreate { name, user_metadata, on_error } = parse(action, body)?;
            let key = lifecycle::create_sequence(core, SequenceName::parse(&name)?, user_metadata, on_error)
                .await?;
            respond(action, &KeyResponse { key })
        }
        name::SEQUENCE_FINALIZE => {
            let SequenceKey { name, key } = parse(action, body)?;
            lifecycle::finalize_sequence(core, &SequenceName::parse(&name)?, &key).await?;
            Ok(empty_answer())
        }
        name::SEQUENCE_ABORT => {
            let SequenceKey { name, key } = parse(action, body)?;
            lifecycle::remove_sequence(core, &SequenceName::parse(&name)?, Some(&key)).await?;
            Ok(empty_answer())
        }
        event::name::SEQUENCE_KEEP_ALIVE => {
            let SequenceKey { name, key } = parse(action, body)?;
            let timeout = lifecycle::keep_alive(core, &SequenceName::parse(&name)?, &key).await?;
            let writer_timeout_ms = timeout.map(|timeout| timeout.as_millis() as u64);
            respond(action, &KeepAlive { writer_timeout_ms })
        }
        event::name::SEQUENCE_END => {
            let SequenceKey { name, key } = parse(action, body)?;
            lifecycle::end_sequence(core, &SequenceName::parse(&name)?, &key).await?;
            Ok(empty_answer())
        }
        event::name::EVENT_LIST => respond(action, &events::list(core, caller, parse(action, body)?).await?),
        link::name::SEQUENCE_LINK => {
            respond(action, &links::create(core, caller, parse(action, body)?).await?)
        }
        name::SEQUENCE_DELETE => {
            lifecycle::remove_sequence(core, &sequence(action, body)?, None).await?;
            Ok(empty_answer())
        }
        name::SEQUENCE_SYSTEM_INFO => respond(action, &sequence_info(core, &sequence(action, body)?).await?),
        name::TOPIC_CREATE => {
            let request: TopicCreate = parse(action, body)?;
            let topic = NewTopic {
                locator: TopicLocator::parse(&request.name)?,
                ontology_tag: OntologyTag::parse(&request.ontology_tag)?,
                serialization_format: request.serialization_format,
                user_metadata: request.user_metadata,
            };
            let key = lifecycle::create_topic(core, topic, &request.sequence_key).await?;
            respond(action, &KeyResponse { key })
        }
        name::TOPIC_DELETE => {
            lifecycle::remove_topic(core, &topic(action, body)?).await?;
            Ok(empty_answer())
        }
        name::TOPIC_SYSTEM_INFO => respond(action, &topic_info(core, &topic(action, body)?).await?),
        name::QUERY => respond(action, &query::run(core, body, caller.grant.visibility()).await?),
        name::SEQUENCE_NOTIFY_CREATE => notify(core, action, body, sequence_subject).await,
        name::TOPIC_NOTIFY_CREATE => notify(core, action, body, topic_subject).await,
        name::SEQUENCE_NOTIFY_LIST => notifications(core, action, body, sequence_subject).await,
        name::TOPIC_NOTIFY_LIST => notifications(core, action, body, topic_subject).await,
        name::SEQUENCE_NOTIFY_PURGE => purge(core, action, body, sequence_subject).await,
        name::TOPIC_NOTIFY_PURGE => purge(core, action, body, topic_subject).await,
        name::LAYER_CREATE => {
            let LayerCreate { name, description } = parse(action, body)?;
            core.layers.create(LayerName::parse(&name)?, description).await?;
            Ok(empty_answer())
        }
        name::LAYER_UPDATE => {
            let LayerUpdate { prev_name, curr_name, curr_description } = parse(action, body)?;
            let (from, to) = (LayerName::parse(&prev_name)?, LayerName::parse(&curr_name)?);
            core.layers.update(&from, to, curr_description).await?;
            Ok(empty_answer())
        }
        name::LAYER_DELETE => {
            core.layers.delete(&LayerName::parse(&parse::<Named>(action, body)?.name)?).await?;
            Ok(empty_answer())
        }
        name::LAYER_LIST => {
            parse::<Nothing>(action, body)?;
            respond(action, &LayerList { layers: core.layers.list().await? })
        }
        _ => Err(unknown(action)),
    }
}

pub(crate) fn respond<T: Serialize>(action: &str, response: &T) -> Result<Vec<u8>> {
    encode_answer(action, response).map_err(|e| Error::internal(format!("answering `{action}`"), e))
}

fn sequence(action: &str, body: &[u8]) -> Result<SequenceName> {
    Ok(SequenceName::parse(&parse::<Named>(action, body)?.name)?)
}

fn topic(action: &str, body: &[u8]) -> Result<TopicLocator> {
    Ok(TopicLocator::parse(&parse::<Named>(action, body)?.name)?)
}

fn sequence_subject(name: &str) -> Result<Subject> {
    Ok(Subject::Sequence(SequenceName::parse(name)?))
}

fn topic_subject(name: &str) -> Result<Subject> {
    Ok(Subject::Topic(TopicLocator::parse(name)?))
}

async fn sequence_info(core: &Engine, name: &SequenceName) -> Result<SequenceSystemInfo> {
    let sequence = core.catalog.sequence(name).await?;
    let topics = core.catalog.topics(sequence.id).await?;
    let SystemInfo { total_size_bytes, is_locked, created_datetime, .. } =
        info::sequence_system(&sequence, &topics);
    Ok(SequenceSystemInfo { total_size_bytes, is_locked, created_datetime })
}

async fn topic_info(core: &Engine, locator: &TopicLocator) -> Result<TopicSystemInfo> {
    let topic = core.catalog.topic(locator).await?;
    let SystemInfo { total_size_bytes, is_locked, created_datetime, .. } = info::topic_system(&topic);
    Ok(TopicSystemInfo { chunks_number: topic.chunks, total_size_bytes, is_locked, created_datetime })
}

async fn notify(
    core: &Engine,
    action: &str,
    body: &[u8],
    subject: fn(&str) -> Result<Subject>,
) -> Result<Vec<u8>> {
    let NotifyCreate { name, notify_type, msg } = parse(action, body)?;
    if notify_type != NOTIFY_ERROR {
        return Err(Error::Invalid(format!("there is no notify_type `{notify_type}`; use `{NOTIFY_ERROR}`")));
    }
    lifecycle::notify(core, &subject(&name)?, NotificationId::generate(), notify_type, msg).await?;
    Ok(empty_answer())
}

async fn notifications(
    core: &Engine,
    action: &str,
    body: &[u8],
    subject: fn(&str) -> Result<Subject>,
) -> Result<Vec<u8>> {
    let subject = subject(&parse::<Named>(action, body)?.name)?;
    let found = match lifecycle::notifications(core, &subject).await {
        // 0.2 clients send this without knowing whether the resource still exists.
        Err(Error::SequenceNotFound(_) | Error::TopicNotFound(_)) => Vec::new(),
        found => found?,
    };
    let name = match subject {
        Subject::Sequence(name) => name.to_string(),
        Subject::Topic(locator) => locator.to_string(),
    };
    let notify = |row: mosaico_catalog::NotificationRow| Notify {
        name: name.clone(),
        notify_type: row.notify_type,
        msg: row.msg,
        created_datetime: format_utc(row.created_ns),
    };
    respond(action, &NotifyList { notifies: found.into_iter().map(notify).collect() })
}

async fn purge(
    core: &Engine,
    action: &str,
    body: &[u8],
    subject: fn(&str) -> Result<Subject>,
) -> Result<Vec<u8>> {
    match lifecycle::purge_notifications(core, &subject(&parse::<Named>(action, body)?.name)?).await {
        Ok(()) | Err(Error::SequenceNotFound(_) | Error::TopicNotFound(_)) => Ok(empty_answer()),
        Err(e) => Err(e),
    }
}
