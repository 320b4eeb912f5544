//! States of resources: the permitted operations in each state, and what they leave behind.

use crate::common::*;
use serde_json::json;
use tempfile::TempDir;
use tonic::Code;

async fn started() -> (TempDir, TestServer) {
    let folder = TempDir::new().unwrap();
    let server = TestServer::start(config(folder.path())).await;
    (folder, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_keys_are_checked() {
    let (_folder, server) = started().await;
    let client = server.client.clone();
    let key = create_sequence(&client, "p3").await;
    let other = create_sequence(&client, "p30").await;
    let create = |name: &str, key: &str| {
        let body = json!({"name": name, "sequence_key": key, "serialization_format": "ragged",
                          "ontology_tag": "t", "user_metadata": {}});
        let client = client.clone();
        async move { act(&client, "topic_create", body).await }
    };
    refused(
        act(&client, "sequence_create", json!({"name": "p3", "user_metadata": {}})).await,
        Code::AlreadyExists,
    );
    refused(create("p30/x", &key).await, Code::PermissionDenied);
    refused(create("none/x", &key).await, Code::NotFound);
    refused(create("p3", &key).await, Code::InvalidArgument);
    refused(create("p3/..", &key).await, Code::InvalidArgument);
    create("p3/a", &key).await.unwrap();
    // Any spelling of the UUID, and nested names side by side.
    create("p3/a/b", &format!("urn:uuid:{}", key.to_uppercase())).await.unwrap();
    refused(create("p3//a/", &key).await, Code::AlreadyExists);
    refused(
        act(&client, "sequence_finalize", json!({"name": "p3", "key": other})).await,
        Code::PermissionDenied,
    );
    refused(
        act(&client, "sequence_abort", json!({"name": "p3", "key": other})).await,
        Code::PermissionDenied,
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_means_locked_for_everyone() {
    let (folder, server) = started().await;
    let client = server.client.clone();
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    let finalize = json!({"name": "run", "key": key});
    let message =
        refused(act(&client, "sequence_finalize", finalize.clone()).await, Code::FailedPrecondition);
    assert!(message.contains("run/t"), "{message}");
    put(&client, "run/t", &topic, &[rows(&[1, 2], 1)]).await.unwrap();
    refused(put(&client, "run/t", &topic, &[rows(&[3], 3)]).await, Code::FailedPrecondition);
    refused(act(&client, "topic_delete", json!({"name": "run/t"})).await, Code::FailedPrecondition);
    act(&client, "sequence_finalize", finalize.clone()).await.unwrap();
    let before = files(folder.path());
    refused(act(&client, "sequence_finalize", finalize.clone()).await, Code::FailedPrecondition);
    refused(act(&client, "sequence_abort", finalize).await, Code::FailedPrecondition);
    refused(act(&client, "sequence_delete", json!({"name": "run"})).await, Code::FailedPrecondition);
    refused(put(&client, "run/t", &topic, &[rows(&[3], 3)]).await, Code::FailedPrecondition);
    let body = json!({"name": "run/u", "sequence_key": key, "serialization_format": "default",
                      "ontology_tag": "t", "user_metadata": {}});
    refused(act(&client, "topic_create", body).await, Code::FailedPrecondition);
    assert_eq!(files(folder.path()), before);
    assert_eq!(get(&client, "run/t").await, [(1, 1), (2, 2)]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_writer_per_topic() {
    let (_folder, server) = started().await;
    let client = server.client.clone();
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    let mut first = Put::open(&client, "run/t", &topic, rows(&[0], 0).schema()).await;
    first.send(rows(&[1], 1)).await;
    first.durable(1).await;
    let second = Put::open(&client, "run/t", &topic, rows(&[0], 0).schema()).await.failed().await;
    assert_eq!(second.code(), Code::FailedPrecondition);
    assert!(second.message().contains("another stream"), "{second}");
    first.send(rows(&[2], 2)).await;
    assert_eq!(first.finish().await.unwrap().durable_rows, 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_stream_is_resumed() {
    let (_folder, server) = started().await;
    let client = server.client.clone();
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    let same_topic = topic.clone();
    vanishing(&server.address, async move |client| {
        let mut first = Put::open(&client, "run/t", &same_topic, rows(&[0], 0).schema()).await;
        first.send(rows(&[10, 30], 0)).await;
        first.durable(2).await;
        std::mem::forget(first);
    })
    .await;
    // The server notices after some time.
    let mut second = loop {
        let mut put = Put::open(&client, "run/t", &topic, rows(&[0], 0).schema()).await;
        match put.ack().await {
            Ok(ack) => {
                assert_eq!(ack.unwrap().durable_rows, 2);
                break put;
            }
            Err(status) => assert!(status.message().contains("another stream"), "{status}"),
        }
    };
    let found = act(&client, "topic_system_info", json!({"name": "run/t"})).await.unwrap();
    assert_eq!(found["is_locked"], false);
    second.send(rows(&[20, 40], 2)).await;
    assert_eq!(second.finish().await.unwrap().durable_rows, 4);
    assert_eq!(get(&client, "run/t").await, [(10, 0), (20, 2), (30, 1), (40, 3)]);
    act(&client, "sequence_finalize", json!({"name": "run", "key": key})).await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn removal_leaves_nothing_and_ends_open_puts() {
    let (folder, server) = started().await;
    let client = server.client.clone();
    for (action, with_key) in [("sequence_abort", true), ("sequence_delete", false)] {
        let key = create_sequence(&client, "run").await;
        let done = create_topic(&client, "run/done", &key).await;
        put(&client, "run/done", &done, &[rows(&[1], 1)]).await.unwrap();
        let open = create_topic(&client, "run/open", &key).await;
        let mut writer = Put::open(&client, "run/open", &open, rows(&[0], 0).schema()).await;
        writer.send(rows(&[1], 1)).await;
        writer.durable(1).await;
        act(&client, "topic_notify_create", json!({"name": "run/open", "notify_type": "error", "msg": "m"}))
            .await
            .unwrap();
        let body = if with_key { json!({"name": "run", "key": key}) } else { json!({"name": "run"}) };
        act(&client, action, body).await.unwrap();
        let status = writer.failed().await;
        assert_eq!(status.code(), Code::Cancelled, "{status}");
        assert!(names(&client).await.is_empty());
        assert_eq!(files(folder.path()), Vec::<String>::new());
    }
    // A reused name has nothing of the earlier sequence.
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/done", &key).await;
    put(&client, "run/done", &topic, &[rows(&[7], 7)]).await.unwrap();
    assert_eq!(get(&client, "run/done").await, [(7, 7)]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_topic_touches_only_that_topic() {
    let (_folder, server) = started().await;
    let client = server.client.clone();
    let key = create_sequence(&client, "run").await;
    create_topic(&client, "run/a", &key).await;
    let nested = create_topic(&client, "run/a/b", &key).await;
    put(&client, "run/a/b", &nested, &[rows(&[1], 1)]).await.unwrap();
    act(&client, "topic_delete", json!({"name": "run/a"})).await.unwrap();
    refused(act(&client, "topic_system_info", json!({"name": "run/a"})).await, Code::NotFound);
    refused(act(&client, "topic_delete", json!({"name": "run/a"})).await, Code::NotFound);
    assert_eq!(get(&client, "run/a/b").await, [(1, 1)]);
    act(&client, "sequence_finalize", json!({"name": "run", "key": key})).await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications() {
    let (_folder, server) = started().await;
    let client = server.client.clone();
    let key = create_sequence(&client, "run").await;
    create_topic(&client, "run/t", &key).await;
    for (kind, name) in [("sequence", "run"), ("topic", "run/t")] {
        let call = |verb: &str| format!("{kind}_notify_{verb}");
        for msg in ["first", "second"] {
            let body = json!({"name": name, "notify_type": "error", "msg": msg});
            act(&client, &call("create"), body).await.unwrap();
        }
        let bad = json!({"name": name, "notify_type": "joke", "msg": "x"});
        refused(act(&client, &call("create"), bad).await, Code::InvalidArgument);
    }
    for (kind, name) in [("sequence", "run"), ("topic", "run/t")] {
        let call = |verb: &str| format!("{kind}_notify_{verb}");
        let found = act(&client, &call("list"), json!({"name": name})).await.unwrap();
        let found = found["notifies"].as_array().unwrap().clone();
        let texts: Vec<_> =
            found.iter().map(|n| (n["name"].as_str().unwrap(), n["msg"].as_str().unwrap())).collect();
        assert_eq!(texts, [(name, "first"), (name, "second")]);
        assert!(found.iter().all(|n| n["created_datetime"].as_str().unwrap().ends_with(" UTC")));
        act(&client, &call("purge"), json!({"name": name})).await.unwrap();
        let found = act(&client, &call("list"), json!({"name": name})).await.unwrap();
        assert_eq!(found, json!({"notifies": []}));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once() {
    let (folder, server) = started().await;
    let client = server.client.clone();
    let creations = (0..14).map(|i| {
        let client = client.clone();
        async move {
            let name = format!("s{i}");
            let key = create_sequence(&client, &name).await;
            let topic = create_topic(&client, &format!("{name}/t"), &key).await;
            put(&client, &format!("{name}/t"), &topic, &[rows(&[i], 0)]).await.unwrap();
            name
        }
    });
    let created = futures::future::join_all(creations).await;
    let same = (0..8).map(|_| act(&client, "sequence_create", json!({"name": "same", "user_metadata": {}})));
    let won = futures::future::join_all(same).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(won, 1);
    let removals = created.iter().map(|name| act(&client, "sequence_delete", json!({"name": name})));
    assert!(futures::future::join_all(removals).await.iter().all(Result::is_ok));
    assert_eq!(names(&client).await, ["same"]);
    assert_eq!(files(folder.path()).len(), 1);
    server.stop().await;
}
