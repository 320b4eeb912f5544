//! The bytes of all responses of a server, by request.

use std::collections::BTreeMap;

use crate::common::*;
use arrow_flight::{Action, Criteria, Ticket};
use futures::{Stream, TryStreamExt};
use prost::Message;
use serde_json::{Value, json};
use tonic::{Code, Status};

pub(crate) type Answers = BTreeMap<String, Vec<u8>>;

/// The responses about sequences and topics.
pub(crate) async fn about(client: &Client, sequences: &[String], topics: &[String]) -> Answers {
    let mut found = Answers::new();
    for name in sequences {
        for action in ["sequence_system_info", "sequence_notify_list"] {
            ask(client, &mut found, action, json!({"name": name})).await;
        }
    }
    for name in topics {
        for action in ["topic_system_info", "topic_notify_list"] {
            ask(client, &mut found, action, json!({"name": name})).await;
        }
    }
    for name in sequences.iter().chain(topics) {
        let Ok(info) = info(client, json!({"resource_locator": name})).await else { continue };
        for endpoint in &info.endpoint {
            let got = rows_of(client, endpoint.ticket.clone().unwrap()).await;
            found.insert(format!("get {:?}", endpoint.ticket), got);
        }
        found.insert(format!("info {name}"), info.encode_to_vec());
    }
    found
}

/// The responses that concern no single sequence.
pub(crate) async fn overall(client: &Client) -> Answers {
    let mut found = Answers::new();
    ask(client, &mut found, "layer_list", json!({})).await;
    ask(client, &mut found, "event_list", json!({"limit": 1000})).await;
    for query in [
        json!({"topic": {"ontology_tag": {"$eq": "tag-0"}}}),
        json!({"topic": {"ontology_tag": {"$eq": "tag-1"}}}),
        json!({"topic": {"user_metadata": {"n": {"$lt": 9}}}}),
        json!({"sequence": {"user_metadata": {"number": {"$gt": 3}}}}),
        json!({"ontology": {"tag-1.value": {"$between": [4.0, 9.0]}}}),
    ] {
        ask(client, &mut found, "query", query).await;
    }
    let flights = client.clone().list_flights(Criteria::default()).await.unwrap().into_inner();
    found.insert("list_flights".into(), encoded(flights).await.unwrap());
    found
}

pub(crate) fn assert_same(found: &Answers, expected: &Answers) {
    for (question, answer) in expected {
        let found = found.get(question).map(|found| String::from_utf8_lossy(found));
        assert_eq!(found, Some(String::from_utf8_lossy(answer)), "{question}");
    }
    assert_eq!(found, expected);
}

async fn ask(client: &Client, found: &mut Answers, action: &str, body: Value) {
    let request = Action { r#type: action.to_owned(), body: body.to_string().into() };
    let answer = match client.clone().do_action(request).await {
        Ok(answers) => encoded(answers.into_inner()).await.unwrap(),
        Err(status) => refusal(&status),
    };
    found.insert(format!("{action} {body}"), answer);
}

/// A topic without a put has no rows to get.
async fn rows_of(client: &Client, ticket: Ticket) -> Vec<u8> {
    let messages = async { encoded(client.clone().do_get(ticket).await?.into_inner()).await };
    messages.await.unwrap_or_else(|status| refusal(&status))
}

async fn encoded<T: Message>(messages: impl Stream<Item = Result<T, Status>>) -> Result<Vec<u8>, Status> {
    let add = async |mut bytes: Vec<u8>, message: T| {
        bytes.extend(message.encode_length_delimited_to_vec());
        Ok(bytes)
    };
    messages.try_fold(Vec::new(), add).await
}

fn refusal(status: &Status) -> Vec<u8> {
    assert_ne!(status.code(), Code::Internal, "{status}");
    status.message().as_bytes().to_vec()
}
