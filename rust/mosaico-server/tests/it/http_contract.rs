//! The HTTP API is the one that docs/openapi.json describes.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::*;
use crate::links::Daemon;

fn document() -> Value {
    serde_json::from_str(include_str!("../../../../docs/openapi.json")).unwrap()
}

/// Why a value does not have a schema.
fn mismatch(document: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.strip_prefix("#/components/schemas/").unwrap();
        return mismatch(document, &document["components"]["schemas"][name], value, at);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let all: Vec<String> = any.iter().map_while(|one| mismatch(document, one, value, at)).collect();
        return (all.len() == any.len()).then(|| all.join(", and "));
    }
    let is_right = match schema["type"].as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the schema has the type {other}"),
    };
    if !is_right {
        return Some(format!("{at} is {value} instead of {}", schema["type"]));
    }
    if let Some(allowed) = schema["enum"].as_array().filter(|allowed| !allowed.contains(value)) {
        return Some(format!("{at} is {value}, which is none of {allowed:?}"));
    }
    if let Some(items) = value.as_array() {
        return items.iter().find_map(|item| mismatch(document, &schema["items"], item, &format!("{at}[]")));
    }
    let members = value.as_object()?;
    let required = schema["required"].as_array().into_iter().flatten();
    if let Some(missing) = required.into_iter().find(|name| !members.contains_key(name.as_str().unwrap())) {
        return Some(format!("{at} lacks {missing}"));
    }
    members.iter().find_map(|(name, member)| {
        let at = format!("{at}.{name}");
        match (&schema["properties"][name], &schema["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => Some(format!("{at} is not described")),
            (Value::Null, more) if more.is_object() => mismatch(document, more, member, &at),
            (Value::Null, _) => None,
            (known, _) => mismatch(document, known, member, &at),
        }
    })
}

async fn recorded(folder: &TempDir) -> Daemon {
    let daemon = Daemon::start(config(folder.path())).await;
    let client = &daemon.server.client;
    let key = create_sequence(client, "a").await;
    let topic = create_topic(client, "a/t", &key).await;
    create_topic(client, "a/empty", &key).await;
    put(client, "a/t", &topic, &[rows(&[1, 2, 3], 1)]).await.unwrap();
    create_sequence(client, "b").await;
    daemon
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_those_of_the_document() {
    let folder = TempDir::new().unwrap();
    let daemon = recorded(&folder).await;
    let document = document();
    let requests = [
        ("/api/v1/info", ""),
        ("/api/v1/sequences", ""),
        ("/api/v1/sequences", "?search=none"),
        ("/api/v1/sequences", "?limit=1"),
        ("/api/v1/sequences/{name}", ""),
        ("/api/v1/sequences/{name}/density", "?px=4"),
        ("/api/v1/sequences/{name}/topics/{topic}/series", "?fields=value"),
        ("/api/v1/sequences/{name}/topics/{topic}/series", "?fields=value&px=2"),
        ("/api/v1/sequences/{name}/topics/{topic}/messages", ""),
        ("/api/v1/sequences/{name}/topics/{topic}/messages", "?limit=1"),
    ];
    let of = |path: &str, method: &str, status: &str| {
        document["paths"][path][method]["responses"][status]["content"]["application/json"]["schema"].clone()
    };
    for (path, query) in requests {
        let asked = path.replace("{name}", "a").replace("{topic}", "t") + query;
        let answer = daemon.get(&asked).await;
        assert_eq!(answer.status, 200, "{asked}");
        assert_eq!(mismatch(&document, &of(path, "get", "200"), &answer.json(), &asked), None);
    }
    let found = daemon
        .post("/api/v1/query", r#"{"ontology": {"test.value": {"$gt": 1}, "include_timestamp_range": true}}"#)
        .await;
    assert_eq!(found.status, 200);
    assert_eq!(mismatch(&document, &of("/api/v1/query", "post", "200"), &found.json(), "query"), None);
    assert_eq!(
        found.json()["sequences"][0]["topics"][0],
        json!({"name": "t", "time_range": {"min_ns": 2, "max_ns": 3}})
    );
    for (path, status) in [("/api/v1/sequences/none", "404"), ("/api/v1/sequences?limit=x", "400")] {
        let answer = daemon.get(path).await;
        assert_eq!(answer.status.to_string(), status);
        assert_eq!(mismatch(&document, &of("/api/v1/sequences", "get", status), &answer.json(), path), None);
    }
    let wrong = json!({"sequences": [{"name": 1}], "next_cursor": null, "total": 0});
    assert!(mismatch(&document, &of("/api/v1/sequences", "get", "200"), &wrong, "x").is_some());
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_those_of_the_document() {
    let folder = TempDir::new().unwrap();
    let daemon = recorded(&folder).await;
    let document = document();
    let mut seen = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in
            methods.as_object().unwrap().iter().filter(|_| path.starts_with("/api/v1/"))
        {
            let asked = path.replace("{name}", "a").replace("{topic}", "t") + "?nothing=1";
            let answer =
                if method == "post" { daemon.post(&asked, "{}").await } else { daemon.get(&asked).await };
            if path == "/api/v1/sequences/{name}" {
                continue;
            }
            assert_eq!(answer.status, 400, "{method} {asked}: {answer:?}");
            let text = answer.json()["error"]["message"].as_str().unwrap().to_owned();
            let (_, found) = text.split_once("the parameters here are ").unwrap();
            let found: BTreeSet<&str> = found.split(", ").collect();
            let parameters = operation["parameters"].as_array().unwrap().iter();
            let described =
                parameters.filter(|one| one["in"] == "query").map(|one| one["name"].as_str().unwrap());
            assert_eq!(found, described.collect(), "{method} {path}");
            seen += 1;
        }
    }
    assert!(seen >= 9, "{seen}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_needs_no_key_and_runs_no_foreign_script() {
    let folder = TempDir::new().unwrap();
    let daemon = Daemon::start(crate::keyed::closed(folder.path())).await;
    let page = daemon.get("/").await;
    assert_eq!(page.status, 200);
    assert!(page.head.contains("content-type: text/html"), "{}", page.head);
    assert!(
        page.head.contains("content-security-policy: default-src 'none'; script-src 'self'"),
        "{}",
        page.head
    );
    let tricks =
        ["/assets/../../Cargo.toml", "/assets/%2e%2e/index.html", "/assets/none.js", "/assets//etc/passwd"];
    for path in tricks {
        assert_eq!(daemon.get(path).await.status, 404, "{path}");
    }
    assert_eq!(daemon.get("/api/v1/sequences").await.status, 403);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_leads_its_name_here_reads_nothing() {
    let folder = TempDir::new().unwrap();
    let daemon = recorded(&folder).await;
    let mut stream = TcpStream::connect(daemon.http).await.unwrap();
    let request = "GET /api/v1/sequences HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("--http-url"), "{answer}");
    daemon.stop().await;
}

/// The lines of server-sent events, until one contains `end`.
async fn until(stream: &mut TcpStream, end: &str) -> String {
    let (mut found, mut buffer) = (String::new(), [0; 4096]);
    while !found.contains(end) {
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "the stream ended: {found}");
        found.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_and_resume() {
    let folder = TempDir::new().unwrap();
    let daemon = recorded(&folder).await;
    let open = async |headers: &str| {
        let mut stream = TcpStream::connect(daemon.http).await.unwrap();
        let request =
            format!("GET /api/v1/events?kinds=sequence_created HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    };
    let mut stream = open("").await;
    let begin = until(&mut stream, "event: ready").await;
    assert!(begin.contains("text/event-stream"), "{begin}");
    create_sequence(&daemon.server.client, "c").await;
    let event = until(&mut stream, "\"sequence\":\"c\"").await;
    assert!(event.contains("event: sequence_created") && !event.contains("\"sequence\":\"a\""), "{event}");
    create_sequence(&daemon.server.client, "d").await;
    until(&mut stream, "\"sequence\":\"d\"").await;
    let id = event.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
    let mut resumed = open(&format!("Last-Event-ID: {id}\r\n")).await;
    let missed = until(&mut resumed, "\"sequence\":\"d\"").await;
    assert!(!missed.contains("\"sequence\":\"c\""), "{missed}");
    for query in ["kinds=none", "after=x", "sequence=a.b", "kinds=audit,x"] {
        let answer = daemon.get(&format!("/api/v1/events?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
    }
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_refused_as_over_flight() {
    let folder = TempDir::new().unwrap();
    let daemon = recorded(&folder).await;
    for (body, status) in [("", 400), ("[]", 400), (r#"{"none": 1}"#, 400), ("{}", 200)] {
        let answer = daemon.post("/api/v1/query", body).await;
        assert_eq!(answer.status, status, "{body}");
    }
    let page = daemon
        .post("/api/v1/query", r#"{"sequence": {"created_timestamp": {"$geq": 1}}, "limit": 1}"#)
        .await
        .json();
    assert!(page["next_cursor"].is_string() && page["sequences"].as_array().unwrap().len() == 1, "{page}");
    let huge = "x".repeat((4 << 20) + 1);
    assert_eq!(daemon.post("/api/v1/query", &huge).await.code(), "too_large");
    assert_eq!(daemon.get("/api/v1/query").await.status, 405);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_pages_at_once_are_served_and_leave_nothing() {
    let folder = TempDir::new().unwrap();
    let daemon = recorded(&folder).await;
    let ask = async |number: usize| {
        let path = match number % 4 {
            0 => "/api/v1/sequences/a/topics/t/series?fields=value&px=8192",
            1 => "/api/v1/sequences/a/density?px=8192",
            2 => "/api/v1/sequences/a/topics/t/messages",
            // It leaves without its answer.
            _ => {
                let mut stream = TcpStream::connect(daemon.http).await.unwrap();
                let request = "GET /api/v1/sequences/a/topics/t/data HTTP/1.1\r\nHost: localhost\r\n\r\n";
                stream.write_all(request.as_bytes()).await.unwrap();
                return 0;
            }
        };
        daemon.get(path).await.status
    };
    let answers = futures::future::join_all((0..100).map(ask)).await;
    assert!(answers.iter().all(|status| matches!(status, 0 | 200 | 429)), "{answers:?}");
    assert!(answers.contains(&200));
    eventually("no call is in progress", async || {
        let text = daemon.get("/metrics").await;
        let text = String::from_utf8(text.body).unwrap();
        let open = text.lines().filter(|line| line.starts_with("mosaico_calls_active{method=\"GET\""));
        open.into_iter().all(|line| line.ends_with(" 0"))
    })
    .await;
    daemon.stop().await;
}
