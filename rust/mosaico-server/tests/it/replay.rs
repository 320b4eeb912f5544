//! Replays recorded requests of a Mosaico 0.2.4 daemon and compares this server's responses.

use arrow::array::RecordBatch;
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::{Action, Criteria, FlightDescriptor, FlightInfo, IpcMessage, Ticket};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::Status;

use crate::common::*;
use crate::vectors::*;

/// A client that maps the recorded keys to its own.
struct Session {
    client: Client,
    keys: Keys,
}

impl Session {
    /// Runs a recorded action and compares the whole response.
    async fn act(&mut self, case: &Value) {
        let action = Action {
            r#type: text(case, "action").to_owned(),
            body: self.keys.translate(text(case, "body")).into(),
        };
        let answers = async {
            let answers = self.client.clone().do_action(action).await?.into_inner();
            answers.map_ok(|answer| answer.body).try_collect::<Vec<_>>().await
        };
        let Some(bodies) = check_outcome(case, answers.await) else { return };
        assert_eq!(bodies.len(), 1, "{case}");
        let answer: Value = serde_json::from_slice(&bodies[0]).unwrap();
        let (recorded, found) = match text(case, "action") {
            "query" => (in_order(&case["answer"]), in_order(&answer)),
            _ => (case["answer"].clone(), answer.clone()),
        };
        assert!(is_like(&recorded, &found), "{case} was answered {answer}");
        self.keys.learn(case, &answer);
    }

    /// Puts rows under a recorded command, beginning with the recorded schema message where there is one.
    async fn put(&self, case: &Value, schema: SchemaRef, batches: Vec<RecordBatch>) -> Result<(), Status> {
        let descriptor = match case["cmd"].as_str() {
            Some(command) => FlightDescriptor::new_cmd(self.keys.translate(command)),
            None => FlightDescriptor::new_path(vec![case["path"][0].as_str().unwrap().to_owned()]),
        };
        let mut messages: Vec<_> =
            put_messages(Some(descriptor), schema, stream::iter(batches)).collect().await;
        if let Some(header) = case["schema_header_base64"].as_str() {
            messages[0].data_header = STANDARD.decode(header).unwrap().into();
        }
        let answers = self.client.clone().do_put(stream::iter(messages)).await?.into_inner();
        answers.try_collect::<Vec<_>>().await.map(drop)
    }

    /// Requests a flight info and compares every field that 0.2 clients read.
    async fn info(&self, case: &Value) {
        let descriptor = match case["cmd"].as_str() {
            Some(command) => FlightDescriptor::new_cmd(command.to_owned()),
            None => FlightDescriptor::new_path(vec![case["path"][0].as_str().unwrap().to_owned()]),
        };
        let found = self.client.clone().get_flight_info(descriptor.clone()).await;
        let Some(found) = check_outcome(case, found.map(|found| found.into_inner())) else { return };
        assert_eq!(found.flight_descriptor.as_ref(), Some(&descriptor));
        check_info(&case["infos"][0], &found);
    }

    async fn list(&self, criteria: Vec<u8>) -> Result<Vec<FlightInfo>, Status> {
        let criteria = Criteria { expression: criteria.into() };
        self.client.clone().list_flights(criteria).await?.into_inner().try_collect().await
    }

    /// Reads a recorded ticket and expects the rows of `put` inside the ticket's window.
    async fn get(&self, case: &Value, put: Option<&RecordBatch>) {
        let ticket = bytes(text(case, "ticket_hex"));
        let window = mosaico_wire::ticket::Ticket::decode(&ticket).map(|ticket| ticket.window);
        let found = get_ticket(&self.client, Ticket::new(ticket)).await;
        let Some((schema, batches)) = check_outcome(case, found) else { return };
        assert!(schema.metadata().contains_key("mosaico:properties"));
        if let Some(header) = case["schema_header_base64"].as_str() {
            let recorded = STANDARD.decode(header).unwrap();
            let recorded = arrow::ipc::convert::try_schema_from_flatbuffer_bytes(&recorded).unwrap();
            assert_eq!(bare(&schema), bare(&recorded), "{case}");
            assert_eq!(parsed(schema.metadata()), parsed(recorded.metadata()), "{case}");
        }
        assert_eq!(batches.is_empty(), case["batches"] == 0, "{case}");
        let Some(put) = put else { return };
        let times = mosaico_times(put);
        let window = window.unwrap();
        let inside = times.iter().map(|time| time.map(|time| window.contains(time))).collect();
        let expected = filter_record_batch(put, &inside).unwrap();
        let found = concat_batches(&schema, &batches).unwrap();
        assert_eq!(found.columns(), expected.columns(), "{case}");
    }
}

fn mosaico_times(batch: &RecordBatch) -> arrow::array::Int64Array {
    batch.column_by_name("timestamp_ns").unwrap().as_any().downcast_ref().cloned().unwrap()
}

fn parsed(metadata: &std::collections::HashMap<String, String>) -> Value {
    let value = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| json!(text));
    metadata.iter().map(|(key, text)| (key.clone(), value(text))).collect()
}

/// Names and types; the recorded daemon drops field metadata and turns top-level text and bytes into views.
fn bare(schema: &Schema) -> Vec<(String, DataType, bool)> {
    fn plain(data_type: &DataType) -> DataType {
        let field = |field: &Field| Field::new(field.name(), plain(field.data_type()), field.is_nullable());
        match data_type {
            DataType::Utf8View => DataType::Utf8,
            DataType::BinaryView => DataType::Binary,
            DataType::Struct(fields) => DataType::Struct(fields.iter().map(|f| field(f)).collect()),
            DataType::List(item) => DataType::List(field(item).into()),
            other => other.clone(),
        }
    }
    let row =
        |field: &std::sync::Arc<Field>| (field.name().clone(), plain(field.data_type()), field.is_nullable());
    schema.fields().iter().map(row).collect()
}

fn check_info(recorded: &Value, found: &FlightInfo) {
    assert_eq!(recorded["total_records"], found.total_records);
    assert_eq!(recorded["total_bytes"], found.total_bytes);
    assert_eq!(recorded["ordered"], found.ordered);
    assert!(found.app_metadata.is_empty());
    let ipc = STANDARD.decode(text(recorded, "schema_ipc_base64")).unwrap();
    if ipc.is_empty() {
        assert!(found.schema.is_empty());
    } else {
        let recorded = Schema::try_from(IpcMessage(ipc.into())).unwrap();
        let found = found.clone().try_decode_schema().unwrap();
        // The recorded daemon loses the schema of an upload without rows.
        let lost = recorded.fields().is_empty() && recorded.metadata()["mosaico:context"] == "topic";
        assert!(lost || found.fields() == recorded.fields(), "{found:?}");
        assert_eq!(parsed(found.metadata()), parsed(recorded.metadata()));
    }
    let endpoints = recorded["endpoints"].as_array().unwrap();
    assert_eq!(endpoints.len(), found.endpoint.len());
    for (recorded, found) in endpoints.iter().zip(&found.endpoint) {
        let locations: Vec<&str> = found.location.iter().map(|location| location.uri.as_str()).collect();
        assert_eq!(recorded["locations"], json!(locations));
        assert_eq!(bytes(text(recorded, "ticket_hex")), found.ticket.as_ref().unwrap().ticket);
        assert!(found.expiration_time.is_none());
        if let Some(metadata) = recorded.get("app_metadata") {
            let mut found: Value = serde_json::from_slice(&found.app_metadata).unwrap();
            // An extension of this server, which 0.2 clients ignore.
            found.as_object_mut().unwrap().remove("rows").unwrap();
            assert_eq!(*metadata, found);
        } else {
            assert!(found.app_metadata.is_empty());
        }
    }
}

async fn started() -> (TempDir, TestServer, Session) {
    let folder = TempDir::new().unwrap();
    let server = TestServer::start(config(folder.path())).await;
    let session = Session { client: server.client.clone(), keys: Keys::default() };
    (folder, server, session)
}

/// A query response with its items and topics sorted: the recorded daemon returns them in no particular
/// order.
fn in_order(answer: &Value) -> Value {
    let mut answer = answer.clone();
    for item in answer["response"]["items"].as_array_mut().unwrap() {
        item["topics"].as_array_mut().unwrap().sort_by_key(Value::to_string);
    }
    answer["response"]["items"].as_array_mut().unwrap().sort_by_key(Value::to_string);
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_are_answered_as_recorded() {
    let (_folder, server, mut session) = started().await;
    let (actions, uploads) = (cases("actions"), cases("do_put"));
    for case in &actions {
        if case["case"] == "topic sysinfo locked" {
            upload_raw(&session, &uploads).await;
        }
        session.act(case).await;
    }
    server.stop().await;
}

/// The recorded uploads to `raw-seq`: the refused uploads change nothing; then eight rows, and a schema
/// without rows.
async fn upload_raw(session: &Session, uploads: &[Value]) {
    let rows = rows_of("put_mock");
    let mut seen = 0;
    for case in uploads.iter().filter(|case| case["case"] != "sdk writer") {
        let schema = match case["schema"].as_str() {
            Some("no time") => Schema::new(vec![Field::new("v", DataType::Float64, true)]),
            Some(_) => {
                let unit = DataType::Timestamp(arrow::datatypes::TimeUnit::Nanosecond, None);
                Schema::new(vec![Field::new("timestamp_ns", unit, true)])
            }
            None => rows.schema().as_ref().clone(),
        };
        let batches = match case["batches"].as_u64().unwrap() {
            0 => vec![],
            1 => vec![rows.slice(0, 1)],
            _ => vec![rows.slice(0, 4), rows.slice(4, 4)],
        };
        check_outcome(case, session.put(case, schema.into(), batches).await);
        seen += 1;
    }
    assert_eq!(seen, 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn infos_and_reads_are_answered_as_recorded() {
    let (_folder, server, mut session) = started().await;
    let demo = json!({"action": "sequence_create", "body": r#"{"name": "wire-demo", "user_metadata": {}}"#,
                      "answer": {"action": "sequence_create", "response": {"key": "<uuid>"}}});
    session.act(&demo).await;
    let actions = cases("actions");
    for case in actions.iter().take(3) {
        session.act(case).await;
    }
    upload_raw(&session, &cases("do_put")).await;
    for case in cases("flight_info").iter().filter(|case| case["source"] == "raw") {
        if case["rpc"] == "GetFlightInfo" {
            session.info(case).await;
            continue;
        }
        // The recorded bytes are the protobuf message: a tag and a length before the expression.
        let criteria = bytes(text(case, "criteria")).into_iter().skip(2).collect();
        let Some(listed) = check_outcome(case, session.list(criteria).await) else { continue };
        check_listing(case, &listed);
    }
    let rows = rows_of("put_mock");
    for case in cases("do_get").iter().filter(|case| case["case"] != "sdk streamer") {
        session.get(case, Some(&rows).filter(|_| case["batches"] != 0)).await;
    }
    server.stop().await;
}

fn check_listing(case: &Value, listed: &[FlightInfo]) {
    let recorded = case["infos"].as_array().unwrap();
    assert_eq!(recorded.len(), listed.len(), "{case}");
    for recorded in recorded {
        let path = recorded["path"].clone();
        let ours = listed.iter().find(|info| json!(info.flight_descriptor.as_ref().unwrap().path) == path);
        check_info(recorded, ours.unwrap_or_else(|| panic!("{path} is not listed")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_the_sdk_goes_as_recorded() {
    let (_folder, server, mut session) = started().await;
    let rows = |locator: &str| match locator {
        "wire-demo/sensors/imu" => rows_of("put_imu"),
        "wire-demo/gps" => rows_of("put_gps"),
        "wire-demo/cam/front" => rows_of("put_image"),
        "wire-demo/lidar" => rows_of("put_ragged"),
        _ => rows_of("put_imu").slice(0, 0),
    };
    let headers = cases("do_put");
    let infos = cases("flight_info");
    let mut infos = infos.iter().filter(|case| case["source"] == "sdk" && case["rpc"] == "GetFlightInfo");
    let mut seen = Vec::new();
    for call in cases("sdk_trace").iter() {
        let rpc = text(call, "rpc");
        match rpc {
            "ListFlights" => {
                let listed = session.list(vec![]).await.unwrap();
                assert_eq!(call["received"], listed.len(), "{call}");
            }
            "DoAction" => session.act(call).await,
            "DoPut" => {
                let command: Value = serde_json::from_str(text(call, "cmd")).unwrap();
                let rows = rows(text(&command, "resource_locator"));
                let recorded = headers.iter().find(|case| case["cmd"] == call["cmd"]);
                let batches = if rows.num_rows() == 0 { vec![] } else { vec![rows.clone()] };
                session.put(recorded.unwrap_or(call), rows.schema(), batches).await.unwrap();
            }
            "GetFlightInfo" => {
                let recorded = infos.clone().find(|case| case["cmd"] == call["cmd"]);
                session.info(recorded.unwrap_or_else(|| panic!("no answer to {call}"))).await;
            }
            _ => {
                let ticket = bytes(text(call, "ticket_hex"));
                let locator = mosaico_wire::ticket::Ticket::decode(&ticket).unwrap().locator;
                let recorded = cases("do_get");
                let recorded = recorded.iter().find(|case| case["ticket_hex"] == call["ticket_hex"]);
                let recorded = recorded.unwrap_or_else(|| panic!("no answer to {call}"));
                session.get(recorded, Some(&rows(&locator))).await;
            }
        }
        seen.push(rpc.to_owned());
    }
    assert!(infos.next().is_some());
    for rpc in ["ListFlights", "DoAction", "DoPut", "GetFlightInfo", "DoGet"] {
        assert!(seen.iter().any(|seen| seen == rpc), "no {rpc} in the recording");
    }
    server.stop().await;
}
