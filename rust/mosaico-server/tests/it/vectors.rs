//! Recorded exchanges (`tests/vectors`), and their comparison with this server's responses.

use std::collections::HashMap;
use std::path::PathBuf;

use arrow::array::RecordBatch;
use arrow::ipc::reader::FileReader;
use serde_json::Value;
use tonic::{Code, Status};

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(file)
}

/// The cases of a recorded file.
pub(crate) fn cases(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path(&format!("{name}.json"))).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(!cases.is_empty());
    cases
}

/// The rows that a recorded client wrote.
pub(crate) fn rows_of(name: &str) -> RecordBatch {
    let file = std::fs::File::open(path(&format!("{name}.arrow"))).unwrap();
    let mut reader = FileReader::try_new(file, None).unwrap();
    let batch = reader.next().unwrap().unwrap();
    assert!(reader.next().is_none());
    batch
}

pub(crate) fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().unwrap_or_else(|| panic!("no text `{field}` in {case}"))
}

pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// Whether `found` matches the recorded value, where `<...>` stands for parts that differ from run to run.
pub(crate) fn is_like(recorded: &Value, found: &Value) -> bool {
    match (recorded, found) {
        (Value::String(kind), Value::String(found)) if kind == "<uuid>" => {
            uuid::Uuid::parse_str(found).is_ok()
        }
        (Value::String(kind), Value::String(found)) if kind == "<datetime>" => {
            mosaico_types::parse_utc(found).is_some()
        }
        (Value::String(kind), Value::Number(found)) if kind == "<number>" => found.is_u64(),
        (Value::String(kind), Value::String(_)) if kind == "<text>" => true,
        (Value::Object(recorded), Value::Object(found)) => {
            recorded.len() == found.len()
                && recorded.iter().all(|(key, value)| found.get(key).is_some_and(|f| is_like(value, f)))
        }
        (Value::Array(recorded), Value::Array(found)) => {
            recorded.len() == found.len() && recorded.iter().zip(found).all(|(r, f)| is_like(r, f))
        }
        (recorded, found) => recorded == found,
    }
}

/// Checks the outcome of a call against `refused` of its case.
pub(crate) fn check_outcome<T: std::fmt::Debug>(case: &Value, outcome: Result<T, Status>) -> Option<T> {
    let refused = &case["refused"];
    match outcome {
        Ok(answer) => {
            assert!(refused.is_null(), "{case} was not refused: {answer:?}");
            Some(answer)
        }
        Err(status) => {
            let found = [code_name(status.code()), machine_code(&status)];
            assert!(refused == &serde_json::json!(found), "{case} was refused with {found:?}: {status}");
            check_text(status.message());
            None
        }
    }
}

/// The stable machine code of a status.
pub(crate) fn machine_code(status: &Status) -> String {
    let code = status.metadata().get(mosaico_wire::status::ERROR_HEADER);
    code.unwrap_or_else(|| panic!("no machine code: {status}")).to_str().unwrap().to_owned()
}

/// Texts are for users: they contain no SQL, no library texts, no path of the store.
pub(crate) fn check_text(message: &str) {
    assert!(!message.is_empty());
    let internals = [
        "/tmp",
        "SQL",
        "sqlite",
        "UNIQUE",
        "constraint",
        "os error",
        "Arrow",
        "arrow",
        "flatbuffer",
        "panick",
    ];
    for internal in internals {
        assert!(!message.replace("Arrow IPC", "").contains(internal), "{internal} in: {message}");
    }
}

fn code_name(code: Code) -> String {
    let mut name = String::new();
    for c in format!("{code:?}").chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}

/// Maps recorded keys to the keys of this run.
#[derive(Debug, Default)]
pub(crate) struct Keys(HashMap<String, String>);

impl Keys {
    /// Learns the key in a response.
    pub(crate) fn learn(&mut self, case: &Value, answer: &Value) {
        if let Some(recorded) = case["recorded_key"].as_str() {
            let ours = answer["response"]["key"].as_str().unwrap();
            self.0.insert(recorded.to_owned(), ours.to_owned());
        }
    }

    pub(crate) fn translate(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (recorded, ours)| text.replace(recorded, ours))
    }
}
