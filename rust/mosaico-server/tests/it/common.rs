//! A server on a temporary folder, and the calls of a client.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, BinaryArray, Float64Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, FieldRef, Int64Type, SchemaRef};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action, Criteria, FlightData, FlightDescriptor, FlightInfo, PutResult, Ticket};
use futures::{Stream, StreamExt, TryStreamExt};
use mosaico_server::{Config, Server, StoreLocation};
use mosaico_wire::command::PutAck;
use mosaico_wire::ipc::schema_message;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use crate::database;

pub(crate) type Client = FlightServiceClient<Channel>;

/// A server that listens on a free port.
pub(crate) struct TestServer {
    pub(crate) client: Client,
    pub(crate) address: String,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

pub(crate) fn config(folder: &Path) -> Config {
    let mut config = Config::new(StoreLocation::Local(folder.to_owned()));
    config.shutdown_grace = Duration::from_millis(500);
    if let Some(url) = database::url() {
        config.database = Some(url);
        config.database_schema = database::schema(folder);
    }
    config
}

/// Waits up to ten seconds until `check` is true.
pub(crate) async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    for _ in 0..400 {
        if check().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never: {what}");
}

impl TestServer {
    pub(crate) async fn start(config: Config) -> Self {
        Self::start_with(config, |_| ()).await
    }

    /// The same; shows the server to `seen` before it serves.
    pub(crate) async fn start_with(config: Config, seen: impl FnOnce(&Server)) -> Self {
        let server = Server::open(config).await.unwrap();
        seen(&server);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            server.serve_tcp(listener, async { drop(stopped.await) }).await.unwrap();
            server.shutdown().await;
        });
        let address = format!("http://{address}");
        Self { client: connect(&address).await, address, stop, serving }
    }

    pub(crate) async fn stop(self) {
        drop(self.client);
        self.stop.send(()).unwrap();
        self.serving.await.unwrap();
    }
}

/// Runs `work` as a client that vanishes: cuts its connection while its calls are open.
pub(crate) async fn vanishing(address: &str, work: impl AsyncFnOnce(Client) + Send + 'static) {
    let address = address.to_owned();
    let client = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { work(connect(&address).await).await });
        runtime.shutdown_background();
    };
    tokio::task::spawn_blocking(client).await.unwrap();
}

pub(crate) async fn connect(address: &str) -> Client {
    let channel = Channel::from_shared(address.to_owned()).unwrap().connect().await.unwrap();
    FlightServiceClient::new(channel)
        .max_decoding_message_size(usize::MAX)
        .max_encoding_message_size(usize::MAX)
}

/// Runs an action and returns its `response`.
pub(crate) async fn act(client: &Client, action: &str, body: Value) -> Result<Value, Status> {
    let action = Action { r#type: action.to_owned(), body: body.to_string().into() };
    let mut answers = client.clone().do_action(action).await?.into_inner();
    let answer = answers.message().await?.expect("one answer");
    assert!(answers.message().await?.is_none(), "more than one answer");
    let mut answer: Value = serde_json::from_slice(&answer.body).unwrap();
    Ok(answer["response"].take())
}

pub(crate) async fn create_sequence(client: &Client, name: &str) -> String {
    let answer =
        act(client, "sequence_create", json!({"name": name, "user_metadata": {"who": "test"}})).await;
    answer.unwrap()["key"].as_str().unwrap().to_owned()
}

pub(crate) async fn create_topic(client: &Client, locator: &str, key: &str) -> String {
    let body = json!({
        "name": locator, "sequence_key": key, "serialization_format": "default", "ontology_tag": "test",
        "user_metadata": {"unit": "m"},
    });
    act(client, "topic_create", body).await.unwrap()["key"].as_str().unwrap().to_owned()
}

/// Rows with the given times and values in the order of arrival.
pub(crate) fn rows(times: &[i64], first_value: usize) -> RecordBatch {
    let values = (first_value..first_value + times.len()).map(|value| value as f64);
    let times: ArrayRef = Arc::new(Int64Array::from(times.to_vec()));
    let values: ArrayRef = Arc::new(Float64Array::from_iter_values(values));
    RecordBatch::try_from_iter([("timestamp_ns", times), ("value", values)]).unwrap()
}

/// One row per time with a payload of `bytes`.
pub(crate) fn blobs(times: &[i64], bytes: usize) -> RecordBatch {
    let blob: Vec<u8> = (0..bytes).map(|i| (i * 7 % 251) as u8).collect();
    let blobs: ArrayRef = Arc::new(BinaryArray::from_iter_values(times.iter().map(|_| &blob)));
    let times: ArrayRef = Arc::new(Int64Array::from(times.to_vec()));
    RecordBatch::try_from_iter([("timestamp_ns", times), ("data", blobs)]).unwrap()
}

/// An open put.
pub(crate) struct Put {
    sender: Option<mpsc::Sender<FlightData>>,
    encode: mpsc::Sender<RecordBatch>,
    answers: Streaming<PutResult>,
}

pub(crate) fn put_command(locator: &str, key: &str) -> FlightDescriptor {
    FlightDescriptor::new_cmd(json!({"resource_locator": locator, "key": key}).to_string())
}

/// The messages of a put stream.
pub(crate) fn put_messages(
    descriptor: Option<FlightDescriptor>,
    schema: SchemaRef,
    batches: impl Stream<Item = RecordBatch> + Send + 'static,
) -> Pin<Box<dyn Stream<Item = FlightData> + Send>> {
    // arrow-flight declares large lists as lists.
    let large_list = |field: &FieldRef| matches!(field.data_type(), DataType::LargeList(_));
    let mut header = schema.fields().iter().any(large_list).then(|| schema_message(&schema));
    let messages = FlightDataEncoderBuilder::new()
        .with_schema(schema)
        .with_flight_descriptor(descriptor)
        .with_max_flight_data_size(usize::MAX)
        .with_dictionary_handling(arrow_flight::encode::DictionaryHandling::Resend)
        .build(batches.map(Ok));
    Box::pin(messages.map(move |message| {
        let mut message = message.unwrap();
        if let Some(header) = header.take() {
            message.data_header = header.into();
        }
        message
    }))
}

impl Put {
    pub(crate) async fn open(client: &Client, locator: &str, key: &str, schema: SchemaRef) -> Self {
        Self::describe(client, put_command(locator, key), schema).await
    }

    pub(crate) async fn describe(client: &Client, command: FlightDescriptor, schema: SchemaRef) -> Self {
        let (encode, batches) = mpsc::channel(4);
        let (sender, messages) = mpsc::channel(4);
        let mut encoded = put_messages(Some(command), schema, ReceiverStream::new(batches));
        let forward = sender.clone();
        tokio::spawn(async move {
            while let Some(message) = encoded.next().await {
                if forward.send(message).await.is_err() {
                    return;
                }
            }
        });
        let answers = client.clone().do_put(ReceiverStream::new(messages)).await.unwrap().into_inner();
        Self { sender: Some(sender), encode, answers }
    }

    pub(crate) async fn send(&mut self, batch: RecordBatch) {
        self.encode.send(batch).await.unwrap();
    }

    /// Sends a batch; the server may have ended the stream.
    pub(crate) async fn offer(&mut self, batch: RecordBatch) {
        drop(self.encode.send(batch).await);
    }

    pub(crate) async fn ack(&mut self) -> Result<Option<PutAck>, Status> {
        let answer = self.answers.message().await?;
        Ok(answer.map(|answer| serde_json::from_slice(&answer.app_metadata).unwrap()))
    }

    /// Waits until `rows` rows are durable.
    pub(crate) async fn durable(&mut self, rows: u64) {
        loop {
            let ack = self.ack().await.unwrap().expect("the stream continues");
            assert!(ack.durable_rows <= rows, "{ack:?}");
            if ack.durable_rows == rows {
                return;
            }
        }
    }

    /// Ends the stream and returns the last acknowledgement.
    pub(crate) async fn finish(mut self) -> Result<PutAck, Status> {
        drop(self.encode);
        drop(self.sender.take());
        let mut last = PutAck::default();
        while let Some(answer) = self.answers.message().await? {
            last = serde_json::from_slice(&answer.app_metadata).unwrap();
        }
        Ok(last)
    }

    /// The status of a put that the server ends with an error.
    pub(crate) async fn failed(mut self) -> Status {
        loop {
            match self.answers.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the put ended without an error"),
                Err(status) => return status,
            }
        }
    }
}

/// Puts batches and waits for the commit.
pub(crate) async fn put(
    client: &Client,
    locator: &str,
    key: &str,
    batches: &[RecordBatch],
) -> Result<PutAck, Status> {
    let mut put = Put::open(client, locator, key, batches[0].schema()).await;
    for batch in batches {
        put.send(batch.clone()).await;
    }
    put.finish().await
}

pub(crate) async fn info(client: &Client, command: Value) -> Result<FlightInfo, Status> {
    let descriptor = FlightDescriptor::new_cmd(command.to_string());
    Ok(client.clone().get_flight_info(descriptor).await?.into_inner())
}

/// The batches behind a ticket; the first message must be the schema, and no batch may be empty.
pub(crate) async fn get_ticket(
    client: &Client,
    ticket: Ticket,
) -> Result<(SchemaRef, Vec<RecordBatch>), Status> {
    let messages = client.clone().do_get(ticket).await?.into_inner();
    let messages = messages.map_err(|status| arrow_flight::error::FlightError::Tonic(Box::new(status)));
    let mut stream = arrow_flight::decode::FlightRecordBatchStream::new_from_flight_data(messages);
    let mut batches = Vec::new();
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(|e| match e {
            arrow_flight::error::FlightError::Tonic(status) => *status,
            e => panic!("{e}"),
        })?;
        assert!(batch.num_rows() > 0, "an empty batch ends the reading of 0.2 clients");
        batches.push(batch);
    }
    Ok((Arc::clone(stream.schema().expect("a schema")), batches))
}

pub(crate) async fn get_window(
    client: &Client,
    locator: &str,
    start: Option<i64>,
    end: Option<i64>,
) -> Result<Vec<RecordBatch>, Status> {
    let command = json!({"resource_locator": locator, "timestamp_ns_start": start, "timestamp_ns_end": end});
    let info = info(client, command).await?;
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    Ok(get_ticket(client, ticket).await?.1)
}

/// Times and values of a topic of [`rows`].
pub(crate) async fn get(client: &Client, locator: &str) -> Vec<(i64, i64)> {
    pairs(&get_window(client, locator, None, None).await.unwrap())
}

pub(crate) fn pairs(batches: &[RecordBatch]) -> Vec<(i64, i64)> {
    let pairs = |batch: &RecordBatch| {
        let times = batch.column(0).as_primitive::<Int64Type>().values().to_vec();
        let values = batch.column(1).as_primitive::<arrow::datatypes::Float64Type>().values().to_vec();
        times.into_iter().zip(values.into_iter().map(|value| value as i64)).collect::<Vec<_>>()
    };
    batches.iter().flat_map(pairs).collect()
}

pub(crate) async fn names(client: &Client) -> Vec<String> {
    let flights = client.clone().list_flights(Criteria::default()).await.unwrap().into_inner();
    let name = |info: FlightInfo| info.flight_descriptor.unwrap().path[0].clone();
    flights.map_ok(name).try_collect().await.unwrap()
}

/// The code and text of a call that must fail.
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, Status>, code: Code) -> String {
    let status = result.expect_err("the call has to fail");
    assert_eq!(status.code(), code, "{status}");
    assert!(status.metadata().get(mosaico_wire::status::ERROR_HEADER).is_some(), "no machine code: {status}");
    status.message().to_owned()
}

/// Files below `folder`, except those of the catalog, its link, and those of events, which may be incomplete.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().display().to_string());
            }
        }
    }
    found.retain(|name| !name.starts_with("catalog.db") && name != "mosaicod.lock" && name != "scrub.json");
    found.retain(|name| !name.starts_with("events/") && !name.starts_with("tmp/") && name != "store.json");
    found.sort();
    found
}
