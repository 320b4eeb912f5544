//! A model of a client's calls and their responses, and of the state that a server must have after them.

use std::collections::HashMap;

use crate::common::*;
use mosaico_wire::command::PutAck;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

/// Rows per batch; the server in these tests creates a segment for each batch.
const BATCH: usize = 40;

/// The known outcome of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Call {
    #[default]
    NotMade,
    /// No response: the call was applied completely or not at all.
    Open,
    Done,
}

impl Call {
    fn agrees(self, happened: bool) -> bool {
        match self {
            Self::NotMade => !happened,
            Self::Open => true,
            Self::Done => happened,
        }
    }
}

/// Makes a call and records its known outcome.
macro_rules! call {
    ($outcome:expr, $call:expr) => {{
        $outcome = Call::Open;
        let answer = $call?;
        $outcome = Call::Done;
        answer
    }};
}

#[derive(Debug, Default)]
struct Topic {
    locator: String,
    created: Call,
    deleted: Call,
    committed: Call,
    /// In the order of arrival.
    sent: Vec<(i64, i64)>,
    acknowledged: usize,
}

#[derive(Debug, Default)]
struct Sequence {
    name: String,
    created: Call,
    finalized: Call,
    deleted: Call,
    notified: Call,
    topics: Vec<Topic>,
}

/// All calls on one store.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) about: String,
    sequences: Vec<Sequence>,
}

/// Makes every kind of change, on sequences with this prefix; ends with the first call that fails.
pub(crate) async fn work(client: &Client, model: &mut Model, prefix: &str) -> Result<(), Status> {
    let kept = model.sequence(prefix, "kept");
    let key = kept.create(client).await?;
    kept.put(client, "a", &key, 4, true).await?;
    kept.put(client, "nested/b", &key, 1, true).await?;
    let body = json!({"name": kept.name, "key": key});
    call!(kept.finalized, act(client, "sequence_finalize", body).await);

    let gone = model.sequence(prefix, "gone");
    let key = gone.create(client).await?;
    gone.put(client, "t", &key, 2, true).await?;
    gone.put(client, "open", &key, 2, false).await?;
    call!(gone.deleted, act(client, "sequence_delete", json!({"name": gone.name})).await);

    let open = model.sequence(prefix, "open");
    let key = open.create(client).await?;
    open.put(client, "dropped", &key, 1, false).await?;
    let dropped = &mut open.topics[0];
    call!(dropped.deleted, act(client, "topic_delete", json!({"name": dropped.locator})).await);
    let notice = json!({"name": open.name, "notify_type": "error", "msg": "m"});
    call!(open.notified, act(client, "sequence_notify_create", notice).await);
    open.put(client, "t", &key, 2, false).await
}

impl Sequence {
    async fn create(&mut self, client: &Client) -> Result<String, Status> {
        let body = json!({"name": self.name, "user_metadata": {}});
        let answer = call!(self.created, act(client, "sequence_create", body).await);
        Ok(answer["key"].as_str().unwrap().to_owned())
    }

    /// Puts rows, waits until they are acknowledged, then ends the upload or leaves it open.
    async fn put(
        &mut self,
        client: &Client,
        path: &str,
        key: &str,
        batches: usize,
        finish: bool,
    ) -> Result<(), Status> {
        let locator = format!("{}/{path}", self.name);
        self.topics.push(Topic { locator: locator.clone(), ..Topic::default() });
        let topic = self.topics.last_mut().unwrap();
        let body = json!({"name": locator, "sequence_key": key, "serialization_format": "default",
                          "ontology_tag": "test", "user_metadata": {}});
        let answer = call!(topic.created, act(client, "topic_create", body).await);
        let command = put_command(&locator, answer["key"].as_str().unwrap());
        let (sender, receiver) = mpsc::channel(1);
        let messages = put_messages(Some(command), rows(&[0], 0).schema(), ReceiverStream::new(receiver));
        let mut answers = client.clone().do_put(messages).await?.into_inner();
        for _ in 0..batches {
            let first = topic.sent.len();
            let times: Vec<i64> = (first..first + BATCH).map(|row| (row * 37 % 101) as i64).collect();
            topic.sent.extend(times.iter().zip(first as i64..).map(|(&time, value)| (time, value)));
            sender.send(rows(&times, first)).await.map_err(|_| Status::unavailable("the stream broke"))?;
            while topic.acknowledged < topic.sent.len() {
                let ack = answers.message().await?.ok_or_else(|| Status::unavailable("the stream ended"))?;
                let ack: PutAck = serde_json::from_slice(&ack.app_metadata).unwrap();
                topic.acknowledged = ack.durable_rows as usize;
            }
        }
        if finish {
            drop(sender);
            call!(
                topic.committed,
                async {
                    while answers.message().await?.is_some() {}
                    Ok::<(), Status>(())
                }
                .await
            );
        } else {
            tokio::spawn(async move {
                while let Ok(Some(_)) = answers.message().await {}
                drop(sender);
            });
        }
        Ok(())
    }
}

impl Topic {
    /// Compares the model with the server; returns the number of chunks if the topic exists.
    async fn check(&self, client: &Client, about: &str) -> Option<u64> {
        let about = format!("{about}: {self:?}");
        let found = match act(client, "topic_system_info", json!({"name": self.locator})).await {
            Ok(found) => found,
            Err(status) => {
                assert_eq!(status.code(), Code::NotFound, "{about}: {status}");
                assert!(self.created != Call::Done || self.deleted != Call::NotMade, "{about}: lost");
                return None;
            }
        };
        assert!(self.created != Call::NotMade && self.deleted != Call::Done, "{about}: still there");
        let rows = get(client, &self.locator).await;
        assert!((self.acknowledged..=self.sent.len()).contains(&rows.len()), "{about}: {} rows", rows.len());
        let mut expected = self.sent[..rows.len()].to_vec();
        expected.sort_by_key(|row| row.0);
        assert_eq!(rows, expected, "{about}");
        let locked = found["is_locked"].as_bool().unwrap();
        assert!(self.committed.agrees(locked), "{about}: locked {locked}");
        assert!(!locked || rows.len() == self.sent.len(), "{about}: locked with {} rows", rows.len());
        Some(found["chunks_number"].as_u64().unwrap())
    }
}

impl Model {
    pub(crate) fn new(about: &str) -> Self {
        Self { about: about.to_owned(), sequences: Vec::new() }
    }

    fn sequence(&mut self, prefix: &str, name: &str) -> &mut Sequence {
        self.sequences.push(Sequence { name: format!("{prefix}{name}"), ..Sequence::default() });
        self.sequences.last_mut().unwrap()
    }

    /// Makes the server finish open changes: every call that would change a sequence does so.
    pub(crate) async fn settle(&self, client: &Client) {
        for sequence in &self.sequences {
            let body = json!({"name": sequence.name, "key": uuid::Uuid::new_v4().to_string()});
            act(client, "sequence_finalize", body).await.unwrap_err();
        }
    }

    /// Compares the model with the server.
    pub(crate) async fn check(&self, client: &Client) {
        let names = names(client).await;
        let events = count_events(client).await;
        let count =
            |kind: &str, name: &str| events.get(&(kind.to_owned(), name.to_owned())).copied().unwrap_or(0);
        for sequence in &self.sequences {
            let (name, about) = (&sequence.name, format!("{}: {sequence:?}", self.about));
            let listed = names.contains(name);
            assert_eq!(
                count("sequence_deleted", name),
                usize::from(count("sequence_created", name) == 1 && !listed),
                "{about}"
            );
            if !listed {
                assert!(sequence.created != Call::Done || sequence.deleted != Call::NotMade, "{about}: lost");
                continue;
            }
            assert!(sequence.created != Call::NotMade && sequence.deleted != Call::Done, "{about}");
            assert_eq!(count("sequence_created", name), 1, "{about}");
            for topic in &sequence.topics {
                if let Some(chunks) = topic.check(client, &self.about).await {
                    // Background work may be in progress: the events are older than the number.
                    assert!(count("chunk_stored", &topic.locator) as u64 <= chunks, "{about}: {events:?}");
                    assert_eq!(count("topic_created", &topic.locator), 1, "{about}");
                }
            }
            let info = act(client, "sequence_system_info", json!({"name": name})).await.unwrap();
            let locked = info["is_locked"].as_bool().unwrap();
            assert!(sequence.finalized.agrees(locked), "{about}: locked {locked}");
            assert_eq!(count("sequence_finalized", name), usize::from(locked), "{about}");
            let notices = act(client, "sequence_notify_list", json!({"name": name})).await.unwrap();
            let notices = notices["notifies"].as_array().unwrap().len();
            assert!(notices <= 1 && sequence.notified.agrees(notices == 1), "{about}: {notices} notices");
            assert_eq!(count("error", name), notices, "{about}");
        }
    }

    /// Compares only the rows: the last events are only in the catalog.
    pub(crate) async fn check_rows(&self, client: &Client) {
        let names = names(client).await;
        for sequence in &self.sequences {
            let about = format!("{}: {sequence:?}", self.about);
            if names.contains(&sequence.name) {
                assert!(sequence.created != Call::NotMade && sequence.deleted != Call::Done, "{about}");
                for topic in &sequence.topics {
                    topic.check(client, &self.about).await;
                }
            } else {
                assert!(sequence.created != Call::Done || sequence.deleted != Call::NotMade, "{about}: lost");
            }
        }
    }

    /// Removes everything that can be removed, and reuses the names of absent resources.
    pub(crate) async fn remove_the_unlocked(&self, client: &Client) {
        for Sequence { name, .. } in &self.sequences {
            if !names(client).await.contains(name) {
                create_sequence(client, name).await;
            }
            let info = act(client, "sequence_system_info", json!({"name": name})).await.unwrap();
            if info["is_locked"] == false {
                act(client, "sequence_delete", json!({"name": name})).await.unwrap();
            }
        }
    }
}

/// The number of events of each kind, by sequence name or topic locator.
async fn count_events(client: &Client) -> HashMap<(String, String), usize> {
    let (mut counts, mut cursor) = (HashMap::new(), Value::Null);
    loop {
        let page = act(client, "event_list", json!({"after": cursor})).await.unwrap();
        let events = page["events"].as_array().unwrap();
        if events.is_empty() {
            return counts;
        }
        for event in events {
            let text = |field: &str| event[field].as_str().unwrap_or_default();
            let about = match text("topic") {
                "" => text("sequence").to_owned(),
                topic => format!("{}/{topic}", text("sequence")),
            };
            *counts.entry((text("kind").to_owned(), about)).or_default() += 1;
        }
        cursor = page["cursor"].clone();
    }
}
