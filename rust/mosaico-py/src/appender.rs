//! Appends rows of plain values: no object for each row.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use mosaico_client::columns::Column;
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::PyTuple;

use crate::encode::{EncodeError, append, append_times};
use crate::envelope::{ENVELOPE, append_header};
use crate::errors::invalid_input;
use crate::fields::{FieldsPlan, Plan};
use crate::lane::PyLane;

/// The column of the envelope that may be appended beside the data.
const RECORDING: &str = "recording_timestamp_ns";

/// Where the values of a row belong.
struct RowLayout {
    envelope: FieldsPlan,
    /// The number of the time of recording.
    recording: Option<usize>,
    /// One for each column of the data class.
    slots: Vec<Slot>,
}

/// What a column of a row gets.
enum Slot {
    /// A null.
    Absent,
    /// The value with this number.
    Value(usize, Plan),
    /// A header of the time of the row.
    Header,
    /// The values of its fields; a null if all of them are null.
    Struct(Vec<Slot>),
}

impl RowLayout {
    /// The layout of rows with the values `columns`, dotted paths below `fields`, the columns of the topic.
    ///
    /// # Errors
    /// Says which column is unknown, given twice or missing.
    pub(crate) fn new(
        py: Python<'_>,
        fields: &[Arc<Field>],
        columns: &[String],
        has_header: bool,
    ) -> Result<Self, String> {
        let (envelope, data) = fields.split_at(ENVELOPE.min(fields.len()));
        if columns.iter().any(|column| Some(column) == envelope.first().map(|time| time.name())) {
            return Err("the time is the first argument of each call, not a column".to_owned());
        }
        for (index, column) in columns.iter().enumerate() {
            if columns[..index].contains(column) {
                return Err(format!("column `{column}` is given twice"));
            }
        }
        let recording = columns.iter().position(|column| column == RECORDING);
        let mut wanted = Vec::with_capacity(columns.len());
        for (number, column) in columns.iter().enumerate().filter(|(number, _)| Some(*number) != recording) {
            if !exists(data, column) {
                return Err(unknown(column, data));
            }
            wanted.push((number, column.as_str()));
        }
        let mut slots = Vec::with_capacity(data.len());
        for field in data {
            let slot = Slot::new(py, field, field.name(), &mut wanted)?;
            let fill = has_header && field.name() == "header" && matches!(slot, Slot::Absent);
            slots.push(if fill { Slot::Header } else { slot });
        }
        Ok(Self { envelope: FieldsPlan::new(py, envelope.iter().map(AsRef::as_ref)), recording, slots })
    }

    fn append(
        &mut self,
        py: Python<'_>,
        (head, tail): (&mut [Column], &mut [Column]),
        timestamp_ns: &Bound<'_, PyAny>,
        values: &Bound<'_, PyTuple>,
    ) -> Result<(), EncodeError> {
        let recording = self.recording.map(|number| values.get_item(number)).transpose()?;
        append_times(py, &mut self.envelope, head, [Some(timestamp_ns), recording.as_ref()])?;
        for (slot, column) in self.slots.iter_mut().zip(tail) {
            slot.append(py, column, timestamp_ns, values).map_err(|error| error.at(column.name()))?;
        }
        Ok(())
    }
}

impl Slot {
    /// The slot of `field` at `path`; takes its columns from `wanted`.
    fn new(
        py: Python<'_>,
        field: &Field,
        path: &str,
        wanted: &mut Vec<(usize, &str)>,
    ) -> Result<Self, String> {
        let below = |column: &str| column.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
        if let Some(index) = wanted.iter().position(|(_, column)| *column == path) {
            let (number, _) = wanted.swap_remove(index);
            if let Some((_, other)) = wanted.iter().find(|(_, column)| below(column)) {
                return Err(format!("column `{other}` is part of column `{path}`, which is also given"));
            }
            return Ok(Self::Value(number, Plan::new(py, field)));
        }
        if !wanted.iter().any(|(_, column)| below(column)) {
            return match field.is_nullable() {
                true => Ok(Self::Absent),
                false => Err(format!("column `{path}` is required")),
            };
        }
        let DataType::Struct(fields) = field.data_type() else { return Ok(Self::Absent) };
        let child = |field: &Arc<Field>| Self::new(py, field, &format!("{path}.{}", field.name()), wanted);
        fields.iter().map(child).collect::<Result<_, _>>().map(Self::Struct)
    }

    fn append(
        &mut self,
        py: Python<'_>,
        column: &mut Column,
        timestamp_ns: &Bound<'_, PyAny>,
        values: &Bound<'_, PyTuple>,
    ) -> Result<(), EncodeError> {
        match self {
            Self::Value(number, plan) => append(py, plan, column, &values.get_item(*number)?)?,
            Self::Header => append_header(column, timestamp_ns.extract()?)?,
            Self::Struct(slots) if slots.iter().any(|slot| slot.has_value(values)) => {
                for (slot, child) in slots.iter_mut().zip(column.children_mut()) {
                    slot.append(py, child, timestamp_ns, values).map_err(|error| error.at(child.name()))?;
                }
                column.mark_valid();
            }
            Self::Absent | Self::Struct(_) => column.push_null()?,
        }
        Ok(())
    }

    fn has_value(&self, values: &Bound<'_, PyTuple>) -> bool {
        match self {
            Self::Value(number, _) => values.get_borrowed_item(*number).is_ok_and(|value| !value.is_none()),
            Self::Struct(slots) => slots.iter().any(|slot| slot.has_value(values)),
            Self::Absent | Self::Header => false,
        }
    }
}

/// Whether a dotted path leads to a field, through structs only.
fn exists(fields: &[Arc<Field>], path: &str) -> bool {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let found = fields.iter().find(|field| field.name() == name);
    found.is_some_and(|field| match (rest, field.data_type()) {
        (None, _) => true,
        (Some(rest), DataType::Struct(fields)) => exists(fields, rest),
        (Some(_), _) => false,
    })
}

fn unknown(column: &str, fields: &[Arc<Field>]) -> String {
    let mut leaves = Vec::new();
    fields.iter().for_each(|field| add_leaves(field, field.name(), &mut leaves));
    format!("there is no column `{column}`; the topic has `{RECORDING}`, `{}`", leaves.join("`, `"))
}

fn add_leaves(field: &Field, path: &str, leaves: &mut Vec<String>) {
    match field.data_type() {
        DataType::Struct(fields) => {
            fields.iter().for_each(|field| add_leaves(field, &format!("{path}.{}", field.name()), leaves));
        }
        _ => leaves.push(path.to_owned()),
    }
}

/// Appends rows of plain values to one topic.
#[pyclass(frozen, name = "Appender", module = "mosaicolabs._native")]
pub(crate) struct PyAppender {
    lane: Py<PyLane>,
    /// Locked before the lane, without the GIL: see the plans of the lane.
    layout: Mutex<RowLayout>,
    columns: Vec<String>,
    notice: Py<PyAny>,
    failed: Py<PyAny>,
}

impl PyAppender {
    fn append(
        &self,
        py: Python<'_>,
        timestamp_ns: &Bound<'_, PyAny>,
        values: &Bound<'_, PyTuple>,
    ) -> PyResult<bool> {
        let lane = self.lane.get();
        if values.len() != self.columns.len() {
            let (topic, found, expected) = (lane.topic(), values.len(), self.columns.len());
            return Err(invalid_input(format!(
                "topic `{topic}`: {found} values are given for the {expected} columns `{}`",
                self.columns.join("`, `")
            )));
        }
        let mut layout = self.layout.lock_py_attached(py);
        lane.append(py, |head, tail| layout.append(py, (head, tail), timestamp_ns, values))
    }
}

#[pymethods]
impl PyAppender {
    /// Appends rows of one value for each of `columns`. Calls `notice` when there are notices to take, and `failed`
    /// with each exception that it raises.
    #[new]
    fn new(
        lane: Py<PyLane>,
        columns: Vec<String>,
        has_header: bool,
        notice: Py<PyAny>,
        failed: Py<PyAny>,
        py: Python<'_>,
    ) -> PyResult<Self> {
        let schema = lane.get().schema();
        let layout = RowLayout::new(py, schema.fields(), &columns, has_header)
            .map_err(|message| invalid_input(format!("topic `{}`: {message}", lane.get().topic())))?;
        Ok(Self { lane, layout: Mutex::new(layout), columns, notice, failed })
    }

    #[pyo3(signature = (timestamp_ns, /, *values))]
    fn __call__(
        &self,
        py: Python<'_>,
        timestamp_ns: &Bound<'_, PyAny>,
        values: &Bound<'_, PyTuple>,
    ) -> PyResult<()> {
        match self.append(py, timestamp_ns, values) {
            Ok(false) => Ok(()),
            Ok(true) => self.notice.call0(py).map(drop),
            Err(error) => {
                self.failed.call1(py, (error.value(py),))?;
                Err(error)
            }
        }
    }

    /// The columns, in the order of the values.
    #[getter]
    fn columns(&self) -> Vec<String> {
        self.columns.clone()
    }

    fn __repr__(&self) -> String {
        format!("<Appender {}: {}>", self.lane.get().topic(), self.columns.join(", "))
    }
}
