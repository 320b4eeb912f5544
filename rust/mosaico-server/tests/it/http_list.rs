//! The list of sequences over HTTP.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::*;
use crate::keyed::*;
use crate::links::{Daemon, reader};

fn names(page: &Value) -> Vec<&str> {
    page["sequences"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

/// All pages of a list; checks that each says how long the list is.
async fn pages(daemon: &Daemon, query: &str) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = daemon.get(&format!("/api/v1/sequences?limit=2&{query}{cursor}")).await.json();
        found.extend(names(&page).into_iter().map(str::to_owned));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => {
                assert_eq!(page["total"], found.len());
                return found;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_sorted_searched_and_cut_into_pages() {
    let folder = TempDir::new().unwrap();
    let daemon = Daemon::start(config(folder.path())).await;
    let client = &daemon.server.client;
    let all: [(&str, &[i64]); 5] =
        [("Run-b", &[5, 6]), ("run-a", &[10, 30]), ("run_c", &[1, 2, 9]), ("other", &[]), ("run-d", &[7, 8])];
    for (name, times) in all {
        let key = create_sequence(client, name).await;
        if times.is_empty() {
            continue;
        }
        for topic in ["t", "u"] {
            let locator = format!("{name}/{topic}");
            let topic_key = create_topic(client, &locator, &key).await;
            put(client, &locator, &topic_key, &[rows(times, 1)]).await.unwrap();
        }
        let end = if name == "run-d" { "sequence_end" } else { "sequence_finalize" };
        act(client, end, json!({"name": name, "key": key})).await.unwrap();
    }
    assert_eq!(pages(&daemon, "sort=created").await, ["Run-b", "run-a", "run_c", "other", "run-d"]);
    assert_eq!(
        pages(&daemon, "sort=created&order=desc").await,
        ["run-d", "other", "run_c", "run-a", "Run-b"]
    );
    assert_eq!(pages(&daemon, "sort=start").await, ["run_c", "Run-b", "run-d", "run-a", "other"]);
    assert_eq!(pages(&daemon, "sort=start&order=desc").await, ["run-a", "run-d", "Run-b", "run_c", "other"]);
    assert_eq!(pages(&daemon, "sort=duration&order=desc").await[..2], ["run-a", "run_c"]);
    assert_eq!(pages(&daemon, "sort=bytes").await[0], "other");
    let mut by_name = pages(&daemon, "order=desc").await;
    by_name.reverse();
    assert_eq!(pages(&daemon, "").await, by_name);
    assert_eq!(pages(&daemon, "sort=created&search=RUN-").await, ["Run-b", "run-a", "run-d"]);
    assert_eq!(pages(&daemon, "search=_").await, ["run_c"], "no pattern");
    assert!(pages(&daemon, "search=%25").await.is_empty());
    assert!(pages(&daemon, "search=%00").await.is_empty());
    let long = "%7B%22ontology%22%3A%7B%22test.value%22%3A%7B%22%24geq%22%3A3%7D%7D%7D";
    assert_eq!(pages(&daemon, &format!("where={long}")).await, ["run_c"]);

    let page = daemon.get("/api/v1/sequences?search=run_c").await.json();
    let run = &page["sequences"][0];
    assert_eq!((&run["topics"], &run["rows"], &run["state"]), (&json!(2), &json!(6), &json!("finalized")));
    assert_eq!(run["time_range"], json!({"min_ns": 1, "max_ns": 9}));
    assert_eq!(run["user_metadata"], json!({"who": "test"}));
    assert!(run["bytes"].as_u64().unwrap() > 0);
    let detail = daemon.get("/api/v1/sequences/run_c").await.json();
    assert_eq!(
        (&detail["rows"], &detail["bytes"], &detail["state"]),
        (&run["rows"], &run["bytes"], &run["state"])
    );
    let topic = &detail["topics"][0];
    assert_eq!(topic["fields"][1], json!({"path": "value", "type": "Float64", "kind": "number"}));
    assert_eq!(topic["rate_hz"], json!(2e9 / 8.0));
    let state = |name: &str| {
        let path = format!("/api/v1/sequences?search={name}");
        let daemon = &daemon;
        async move { daemon.get(&path).await.json()["sequences"][0].clone() }
    };
    assert_eq!(state("run-d").await["state"], "interrupted");
    let empty = state("other").await;
    assert_eq!((&empty["state"], &empty["time_range"]), (&json!("recording"), &Value::Null));
    assert_eq!((&empty["rows"], &empty["topics"]), (&json!(0), &json!(0)));

    let bad = [
        "limit=0",
        "limit=1001",
        "limit=x",
        "sort=size",
        "order=up",
        "cursor=x",
        "cursor=name.asc.0",
        "cursor=name.desc.0.a",
        "cursor=name.asc.0.%00",
        "where=x",
        "where=%7B%22limit%22%3A1%7D",
        "where=%7B%22nothing%22%3A1%7D",
        "page=1",
        &format!("search={}", "x".repeat(257)),
    ];
    for query in bad {
        let answer = daemon.get(&format!("/api/v1/sequences?{query}")).await;
        let is_known = ["invalid_input", "bad_query"].contains(&answer.code().as_str());
        assert!(answer.status == 400 && is_known, "{query}: {answer:?}");
    }
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_recording_count_before_they_are_in_chunks() {
    let folder = TempDir::new().unwrap();
    let daemon = Daemon::start(config(folder.path())).await;
    let client = &daemon.server.client;
    let key = create_sequence(client, "live").await;
    let topic = create_topic(client, "live/t", &key).await;
    let mut put = Put::open(client, "live/t", &topic, rows(&[], 0).schema()).await;
    put.send(rows(&[4, 5, 9], 0)).await;
    put.durable(3).await;
    let page = daemon.get("/api/v1/sequences").await.json();
    let live = &page["sequences"][0];
    assert_eq!((&live["rows"], &live["state"]), (&json!(3), &json!("recording")));
    assert_eq!(live["time_range"], json!({"min_ns": 4, "max_ns": 9}));
    assert_eq!(daemon.get("/api/v1/sequences/live").await.json()["rows"], 3);
    put.finish().await.unwrap();
    assert_eq!(daemon.get("/api/v1/sequences").await.json()["sequences"][0]["rows"], 3);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_see_their_sequences_only() {
    let folder = TempDir::new().unwrap();
    record(folder.path(), &["a-1", "a-2", "b-1"]).await;
    let daemon = Daemon::start(closed(folder.path())).await;
    let session = reader(folder.path(), &daemon).await;
    let token = key(folder.path(), &["a-*:read"]).await;
    let header = format!("authorization: Bearer {}\r\n", token.text());
    let ask = |path: &'static str| daemon.ask("GET", path, &header);
    until(async || ask("/api/v1/sequences").await.status == 200).await;
    let page = ask("/api/v1/sequences").await.json();
    assert_eq!((names(&page), &page["total"]), (vec!["a-1", "a-2"], &json!(2)));
    // {"sequence": {"name": {"$match": "1"}}}
    let of_one =
        "/api/v1/sequences?where=%7B%22sequence%22%3A%7B%22name%22%3A%7B%22%24match%22%3A%221%22%7D%7D%7D";
    assert_eq!(names(&ask(of_one).await.json()), ["a-1"], "and not b-1");
    let page = ask("/api/v1/sequences?sort=created").await.json();
    assert_eq!(names(&page), ["a-1", "a-2"]);
    let info = ask("/api/v1/info").await.json();
    assert_eq!((&info["store"], &info["read"], &info["write"]), (&Value::Null, &json!(true), &json!(false)));
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));

    let link = daemon.link(&session, json!({"name": "a-1", "expires_in_s": 60})).await.unwrap();
    let (_, text) = link.split_once('?').unwrap();
    assert_eq!(
        daemon.get(&format!("/api/v1/sequences?{text}")).await.status,
        403,
        "a link opens one sequence"
    );
    assert_eq!(daemon.get(&format!("/api/v1/info?{text}")).await.status, 200);
    assert_eq!(daemon.get("/api/v1/sequences").await.status, 403);
    daemon.stop().await;
}
