//! Malformed input, names, limits, layers, health and reflection.

use arrow::array::RecordBatch;
use arrow_flight::{Action, Criteria, FlightData, FlightDescriptor, Ticket};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::common::*;
use crate::database;
use crate::vectors::*;

const FLIGHT: &str = "arrow.flight.protocol.FlightService";

async fn started() -> (TempDir, TestServer, Client) {
    let folder = TempDir::new().unwrap();
    let server = TestServer::start(config(folder.path())).await;
    let client = server.client.clone();
    (folder, server, client)
}

/// The outcome of a put stream of hand-made messages.
async fn put_raw(client: &Client, messages: Vec<FlightData>, encoding: &'static str) -> Result<(), Status> {
    let mut request = tonic::Request::new(stream::iter(messages));
    request.metadata_mut().insert("grpc-encoding", MetadataValue::from_static(encoding));
    let answers = client.clone().do_put(request).await?.into_inner();
    answers.try_collect::<Vec<_>>().await.map(drop)
}

async fn encoded(descriptor: Option<FlightDescriptor>, batches: Vec<RecordBatch>) -> Vec<FlightData> {
    put_messages(descriptor, rows(&[], 0).schema(), stream::iter(batches)).collect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_put_streams_are_answered_as_listed() {
    let (folder, server, client) = started().await;
    let key = create_sequence(&client, "run").await;
    for (at, case) in cases("do_put_malformed").iter().enumerate() {
        let locator = format!("run/t{at}");
        let topic = create_topic(&client, &locator, &key).await;
        let command = put_command(&locator, &topic);
        let good = encoded(Some(command.clone()), vec![rows(&[1, 2], 0)]).await;
        let [schema, batch] = good.clone().try_into().unwrap();
        let before = files(folder.path());
        let mut encoding = "identity";
        let messages = match text(case, "case") {
            "empty stream" => vec![],
            "first message without descriptor" => encoded(None, vec![rows(&[1], 0)]).await,
            "first message descriptor but no schema (only descriptor)" => {
                vec![FlightData { flight_descriptor: Some(command), ..Default::default() }]
            }
            "first message is a record batch with descriptor" => {
                vec![FlightData { flight_descriptor: Some(command), ..batch }]
            }
            "second schema message in the stream" => {
                vec![schema.clone(), batch, FlightData { flight_descriptor: None, ..schema }]
            }
            "message with app_metadata only" => {
                vec![schema, batch, FlightData { app_metadata: "m".into(), ..Default::default() }]
            }
            "batch carries app_metadata (ignored)" => {
                vec![schema, FlightData { app_metadata: "m".into(), ..batch }]
            }
            "extra unknown json fields in cmd" => {
                let mut fields: Value = serde_json::from_slice(&command.cmd).unwrap();
                fields["more"] = json!([1]);
                let command = FlightDescriptor::new_cmd(fields.to_string());
                vec![FlightData { flight_descriptor: Some(command), ..schema }, batch]
            }
            "descriptor repeated on every message (ignored)" => {
                vec![schema, FlightData { flight_descriptor: Some(command), ..batch }]
            }
            "gzip compressed request" => {
                encoding = "gzip";
                good
            }
            "garbage header" => {
                vec![schema, FlightData { data_header: vec![1, 2, 3, 4, 5].into(), ..Default::default() }]
            }
            unknown => panic!("an unknown case: {unknown}"),
        };
        check_outcome(case, put_raw(&client, messages, encoding).await);
        if case["refused"].is_null() {
            assert_eq!(get(&client, &locator).await, [(1, 0), (2, 1)], "{case}");
        } else if text(case, "case").starts_with("first") {
            assert_eq!(files(folder.path()), before, "{case} changed something");
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_stored_or_refused_as_documented() {
    let (folder, server, client) = started().await;
    let key = create_sequence(&client, "p6").await;
    for case in cases("locators") {
        let name = text(&case, "name");
        let before = files(folder.path());
        let is_topic = case["kind"] == "topic";
        let (action, body) = if is_topic {
            let body = json!({"name": format!("p6/{name}"), "sequence_key": key, "user_metadata": {},
                              "serialization_format": "default", "ontology_tag": "t"});
            ("topic_create", body)
        } else {
            ("sequence_create", json!({"name": name, "user_metadata": {}}))
        };
        if check_outcome(&case, act(&client, action, body).await).is_none() {
            assert_eq!(files(folder.path()), before, "{case} changed something");
            continue;
        }
        let stored = text(&case, "stored");
        if is_topic {
            let found = info(&client, json!({"resource_locator": format!("p6/{stored}")})).await.unwrap();
            assert_eq!(found.endpoint[0].location[0].uri, format!("mosaico:/p6/{stored}"));
        } else {
            assert!(names(&client).await.contains(&stored.to_owned()), "{case}");
        }
    }
    for path in files(folder.path()) {
        assert!(!path.contains("UPPER") && !path.contains("slash"), "a name became a path: {path}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_not_served_say_so() {
    let (_folder, server, mut client) = started().await;
    let mut seen = 0;
    for case in cases("unimplemented") {
        let outcome = match text(&case, "rpc") {
            "ListActions" => client.list_actions(arrow_flight::Empty {}).await.map(drop),
            "GetSchema" => client.get_schema(FlightDescriptor::new_cmd("{}")).await.map(drop),
            "DoExchange" => client.do_exchange(stream::empty()).await.map(drop),
            "Handshake" => client.handshake(stream::empty()).await.map(drop),
            "PollFlightInfo" => client.poll_flight_info(FlightDescriptor::new_cmd("{}")).await.map(drop),
            unknown => panic!("an unknown call: {unknown}"),
        };
        refused(outcome, Code::Unimplemented);
        seen += 1;
    }
    assert_eq!(seen, 5);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_are_kept_in_the_store() {
    let (folder, server, client) = started().await;
    let create = |name: &str| json!({"name": name, "description": format!("about {name}")});
    let listed = |list: Value| {
        let layers = list["layers"].as_array().unwrap().clone();
        layers.iter().map(|layer| text(layer, "name").to_owned()).collect::<Vec<_>>()
    };
    act(&client, "layer_create", create("raw")).await.unwrap();
    act(&client, "layer_create", create("clean")).await.unwrap();
    let rename = json!({"prev_name": "raw", "curr_name": "bronze", "curr_description": "renamed"});
    act(&client, "layer_update", rename.clone()).await.unwrap();
    refused(act(&client, "layer_update", rename).await, Code::NotFound);
    let taken = json!({"prev_name": "bronze", "curr_name": "clean", "curr_description": ""});
    refused(act(&client, "layer_update", taken).await, Code::AlreadyExists);
    act(&client, "layer_delete", json!({"name": "default"})).await.unwrap();
    for bad in ["", "/x", "a b", "ä"] {
        refused(act(&client, "layer_create", create(bad)).await, Code::InvalidArgument);
    }
    let long = json!({"name": "x", "description": "d".repeat(5000)});
    refused(act(&client, "layer_create", long).await, Code::ResourceExhausted);
    assert_eq!(listed(act(&client, "layer_list", json!({})).await.unwrap()), ["bronze", "clean"]);
    server.stop().await;

    // Only the record in the store counts: after the loss of the catalog, nothing changes, and a start
    // restores the default.
    database::remove(folder.path());
    let server = TestServer::start(config(folder.path())).await;
    let list = act(&server.client, "layer_list", json!({})).await.unwrap();
    assert_eq!(list["layers"][0], json!({"name": "bronze", "description": "renamed"}));
    assert_eq!(listed(list), ["bronze", "clean", "default"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_served_and_ends_with_the_server() {
    let (_folder, server, client) = started().await;
    let channel = tonic::transport::Endpoint::from_shared(server.address.clone()).unwrap();
    let mut health = HealthClient::new(channel.connect().await.unwrap());
    let of = |service: &str| HealthCheckRequest { service: service.to_owned() };
    for service in ["", FLIGHT] {
        let answer = health.check(of(service)).await.unwrap().into_inner();
        assert_eq!(answer.status(), tonic_health::ServingStatus::Serving.into(), "{service:?}");
    }
    assert_eq!(health.check(of("no.such.Service")).await.unwrap_err().code(), Code::NotFound);
    let mut watched = health.watch(of(FLIGHT)).await.unwrap().into_inner();
    let serving = watched.message().await.unwrap().unwrap();
    assert_eq!(serving.status(), tonic_health::ServingStatus::Serving.into());
    drop(client);
    server.stop().await;
    // A watcher gets a notification, or its stream at least ends.
    let rest: Vec<_> = watched.take_while(|answer| std::future::ready(answer.is_ok())).collect().await;
    assert!(rest.len() <= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_describes_the_flight_service() {
    let (_folder, server, _client) = started().await;
    let channel = tonic::transport::Endpoint::from_shared(server.address.clone()).unwrap();
    let mut reflection = ServerReflectionClient::new(channel.connect().await.unwrap());
    let ask = |question: MessageRequest| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(question),
    };
    let questions = [
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol(format!("{FLIGHT}.DoPut"))),
    ];
    let answers = reflection.server_reflection_info(stream::iter(questions)).await.unwrap().into_inner();
    let answers: Vec<_> = answers.map_ok(|a| a.message_response.unwrap()).try_collect().await.unwrap();
    let [MessageResponse::ListServicesResponse(services), MessageResponse::FileDescriptorResponse(files)] =
        &answers[..]
    else {
        panic!("{answers:?}")
    };
    let services: Vec<&str> = services.service.iter().map(|service| service.name.as_str()).collect();
    assert!(services.contains(&FLIGHT) && services.contains(&"grpc.health.v1.Health"), "{services:?}");
    assert!(!files.file_descriptor_proto.is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_have_a_limit() {
    let (_folder, server, mut client) = started().await;
    let large = " ".repeat(5 << 20);
    let body = format!("{{\"name\": \"a\", \"user_metadata\": null}}{large}");
    let action = Action { r#type: "sequence_create".into(), body: body.into() };
    let text = refused(client.do_action(action).await.map(drop), Code::ResourceExhausted);
    assert!(text.contains("4194304"), "{text}");
    let info = client.get_flight_info(FlightDescriptor::new_cmd(large.clone())).await;
    refused(info, Code::ResourceExhausted);
    refused(get_ticket(&client, Ticket::new(large)).await, Code::ResourceExhausted);
    assert_eq!(names(&client).await, Vec::<String>::new());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_above_the_limit_are_refused_with_the_limit() {
    let folder = TempDir::new().unwrap();
    let mut config = config(folder.path());
    config.max_message_bytes = 100_000;
    let server = TestServer::start(config).await;
    let mut client = server.client.clone();
    let action = Action { r#type: "sequence_create".into(), body: " ".repeat(200_000).into() };
    let text = refused(client.do_action(action).await.map(drop), Code::ResourceExhausted);
    assert!(text.contains("100000"), "{text}");
    let key = create_sequence(&client, "run").await;
    let topic = create_topic(&client, "run/t", &key).await;
    let mut open = Put::open(&client, "run/t", &topic, blobs(&[], 0).schema()).await;
    open.send(blobs(&[1], 10)).await;
    open.durable(1).await;
    open.send(blobs(&[2], 200_000)).await;
    let status = open.failed().await;
    assert_eq!((status.code(), machine_code(&status).as_str()), (Code::ResourceExhausted, "too_large"));
    assert!(status.message().contains("100000"), "{status}");
    // Durable rows stay, and the topic accepts further rows.
    put(&client, "run/t", &topic, &[blobs(&[3], 10)]).await.unwrap();
    assert_eq!(get_window(&client, "run/t", None, None).await.unwrap()[0].num_rows(), 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_values_are_shortened_in_messages() {
    let (_folder, server, client) = started().await;
    let name = "ü".repeat(1 << 20);
    let text = refused(
        act(&client, "sequence_create", json!({"name": name, "user_metadata": null})).await,
        Code::InvalidArgument,
    );
    assert!(text.len() < 4096, "{} bytes", text.len());
    server.stop().await;
}

/// gRPC frames whose content is not protobuf, and invalid frames.
#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_the_wire_is_refused_and_nothing_more() {
    let (folder, server, client) = started().await;
    let before = files(folder.path());
    for method in ["ListFlights", "GetFlightInfo", "DoGet", "DoAction", "NoSuchCall"] {
        for garbage in
            [&b"\xff\xff\xff\xff\xff"[..], b"\x0a\xff\xff\xff\xff\x0f", b"\x00\x01\x02", &[0x12; 299]]
        {
            let status = raw_call(&server.address, method, garbage).await;
            let code = if method == "NoSuchCall" { Code::Unimplemented } else { Code::InvalidArgument };
            assert_eq!(status.code(), code, "{method} {garbage:?}: {status}");
            machine_code(&status);
            check_text(status.message());
        }
    }
    assert_eq!(files(folder.path()), before);
    assert!(client.clone().list_flights(Criteria::default()).await.is_ok(), "the server lives");
    server.stop().await;
}

/// Sends bytes as the only message of a call.
async fn raw_call(address: &str, method: &str, bytes: &[u8]) -> Status {
    let channel = tonic::transport::Endpoint::from_shared(address.to_owned()).unwrap();
    let mut grpc = tonic::client::Grpc::new(channel.connect().await.unwrap());
    grpc.ready().await.unwrap();
    let path = format!("/{FLIGHT}/{method}").parse().unwrap();
    let request = tonic::Request::new(bytes.to_vec());
    grpc.server_streaming(request, path, raw::Codec).await.map(drop).unwrap_err()
}

/// A codec that passes bytes through.
mod raw {
    use bytes::{Buf, BufMut};
    use tonic::Status;
    use tonic::codec::{DecodeBuf, Decoder, EncodeBuf, Encoder};

    #[derive(Debug, Clone, Copy, Default)]
    pub(super) struct Codec;

    impl tonic::codec::Codec for Codec {
        type Encode = Vec<u8>;
        type Decode = Vec<u8>;
        type Encoder = Self;
        type Decoder = Self;
        fn encoder(&mut self) -> Self {
            Self
        }
        fn decoder(&mut self) -> Self {
            Self
        }
    }

    impl Encoder for Codec {
        type Item = Vec<u8>;
        type Error = Status;
        fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
            buffer.put_slice(&item);
            Ok(())
        }
    }

    impl Decoder for Codec {
        type Item = Vec<u8>;
        type Error = Status;
        fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
            let mut item = vec![0; buffer.remaining()];
            buffer.copy_to_slice(&mut item);
            Ok(Some(item))
        }
    }
}
