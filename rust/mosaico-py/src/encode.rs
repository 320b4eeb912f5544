//! Encodes rows into columns: reads the fields of Python objects directly into the column builders.

use mosaico_client::Error;
use mosaico_client::columns::{Column, ColumnError, Values};
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyList, PyString, PyTuple};

use crate::envelope::ENVELOPE;
use crate::errors::{invalid_input, to_py_err};
use crate::fields::{Fields, FieldsPlan, Plan, Walk};

/// A value that cannot be encoded, with its path.
#[derive(Debug)]
pub(crate) struct EncodeError {
    path: String,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Column(ColumnError),
    Python(PyErr),
    Core(Error),
}

impl EncodeError {
    pub(crate) fn at(mut self, name: &str) -> Self {
        if !matches!(self.cause, Cause::Core(_)) {
            self.path = if self.path.is_empty() {
                name.to_owned()
            } else if self.path.starts_with('[') {
                format!("{name}{}", self.path)
            } else {
                format!("{name}.{}", self.path)
            };
        }
        self
    }

    pub(crate) fn into_py_err(self, py: Python<'_>, topic: &str) -> PyErr {
        let cause = match self.cause {
            Cause::Core(error) => return to_py_err(error),
            Cause::Column(error) => error.to_string(),
            // Interrupts and similar exceptions are not caused by the message.
            Cause::Python(error) if !error.is_instance_of::<pyo3::exceptions::PyException>(py) => {
                return error;
            }
            Cause::Python(error) => error.value(py).to_string(),
        };
        let message = format!("topic `{topic}`: field `{}` does not encode: {cause}", self.path);
        invalid_input(message)
    }
}

impl From<Error> for EncodeError {
    fn from(error: Error) -> Self {
        Self { path: String::new(), cause: Cause::Core(error) }
    }
}

impl From<ColumnError> for EncodeError {
    fn from(error: ColumnError) -> Self {
        Self { path: String::new(), cause: Cause::Column(error) }
    }
}

impl From<PyErr> for EncodeError {
    fn from(error: PyErr) -> Self {
        Self { path: String::new(), cause: Cause::Python(error) }
    }
}

/// Appends the fields of `object` as the row `row`, to each of `columns` that does not have that row yet.
pub(crate) fn append_fields(
    py: Python<'_>,
    plan: &mut FieldsPlan,
    columns: &mut [Column],
    row: usize,
    object: &Bound<'_, PyAny>,
) -> Result<(), EncodeError> {
    let fields = Fields::of(object);
    if let Some(dict) = fields.dict() {
        plan.expect_keys_of(dict);
        let mut walk = Walk::new(dict);
        for index in 0..plan.keys.len() {
            // Another key than expected: what follows is found by name, and the keys are learned again.
            let Some(value) = walk.next_if(&plan.keys[index].key) else {
                plan.forget_keys();
                break;
            };
            if let Some(field) = plan.keys[index].field
                && columns[field].len() == row
            {
                append_field(py, &mut plan.fields[field], &mut columns[field], &value)?;
            }
        }
    }
    for (plan, column) in plan.fields.iter_mut().zip(columns) {
        if column.len() == row {
            let value =
                fields.get(plan.name.bind(py)).map_err(|error| EncodeError::from(error).at(column.name()))?;
            append_field(py, plan, column, &value)?;
        }
    }
    Ok(())
}

/// Appends the times of a row; None and what is not given are null.
pub(crate) fn append_times(
    py: Python<'_>,
    plan: &mut FieldsPlan,
    columns: &mut [Column],
    times: [Option<&Bound<'_, PyAny>>; ENVELOPE],
) -> Result<(), EncodeError> {
    for ((plan, column), time) in plan.fields.iter_mut().zip(columns).zip(times) {
        match time {
            Some(time) => append_field(py, plan, column, time)?,
            None => column.push_null()?,
        }
    }
    Ok(())
}

#[inline]
fn append_field(
    py: Python<'_>,
    plan: &mut Plan,
    column: &mut Column,
    value: &Bound<'_, PyAny>,
) -> Result<(), EncodeError> {
    append(py, plan, column, value).map_err(|error| error.at(column.name()))
}

/// Appends a value as one row.
pub(crate) fn append(
    py: Python<'_>,
    plan: &mut Plan,
    column: &mut Column,
    value: &Bound<'_, PyAny>,
) -> Result<(), EncodeError> {
    if value.is_none() {
        return Ok(column.push_null()?);
    }
    let row = column.len();
    match column.values_mut() {
        Values::Fixed(fixed) if fixed.kind.is_float() => fixed.push_float(value.extract::<f64>()?),
        Values::Fixed(fixed) => fixed.push_int(integer(value)?)?,
        Values::Bool(bits) => bits.append(value.extract::<bool>()?),
        Values::Bytes { .. } | Values::LargeBytes { .. } | Values::FixedBytes { .. } => {
            return append_bytes(column, value);
        }
        Values::Struct(children) => {
            append_fields(py, &mut plan.inner, children, row, value)?;
        }
        Values::List { items, .. } | Values::LargeList { items, .. } | Values::FixedList { items, .. } => {
            let found = append_items(py, &mut plan.inner.fields[0], items, value)?;
            return Ok(column.close_list(found)?);
        }
    }
    column.mark_valid();
    Ok(())
}

fn integer(value: &Bound<'_, PyAny>) -> PyResult<i128> {
    match value.extract::<i64>() {
        Ok(value) => Ok(i128::from(value)),
        Err(error) if error.is_instance_of::<PyOverflowError>(value.py()) => {
            value.extract::<i128>().map_err(|_| PyOverflowError::new_err(format!("{value} is out of range")))
        }
        Err(error) => Err(error),
    }
}

fn append_bytes(column: &mut Column, value: &Bound<'_, PyAny>) -> Result<(), EncodeError> {
    use arrow::datatypes::DataType;
    if matches!(column.data_type(), DataType::Utf8 | DataType::LargeUtf8) {
        if let Ok(text) = value.cast::<PyString>() {
            return Ok(column.push_bytes(text.to_str()?.as_bytes())?);
        }
        // Enumerations that are not strings themselves are encoded as their value.
        let inner = value.getattr(intern!(value.py(), "value")).ok();
        return match inner.as_ref().and_then(|inner| inner.cast::<PyString>().ok()) {
            Some(text) => Ok(column.push_bytes(text.to_str()?.as_bytes())?),
            None => Err(wrong_type("a string", value)),
        };
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(column.push_bytes(bytes.as_bytes())?);
    }
    if let Ok(bytes) = value.cast::<PyByteArray>() {
        return Ok(column.push_bytes(&bytes.to_vec())?);
    }
    // memoryview, numpy arrays and other objects with the buffer protocol.
    if value.is_instance_of::<PyString>() || value.extract::<i64>().is_ok() {
        return Err(wrong_type("bytes", value));
    }
    let bytes = value.py().get_type::<PyBytes>().call1((value,)).map_err(|_| wrong_type("bytes", value))?;
    Ok(column.push_bytes(bytes.cast::<PyBytes>().map_err(PyErr::from)?.as_bytes())?)
}

fn wrong_type(expected: &str, value: &Bound<'_, PyAny>) -> EncodeError {
    let found = value.get_type().name().map_or_else(|_| "another type".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!("{expected} is required, not {found}")).into()
}

fn append_items(
    py: Python<'_>,
    plan: &mut Plan,
    items: &mut Column,
    value: &Bound<'_, PyAny>,
) -> Result<usize, EncodeError> {
    let mut found = 0;
    let mut one = |item: Bound<'_, PyAny>| {
        append(py, plan, items, &item).map_err(|error| error.at(&format!("[{found}]")))?;
        found += 1;
        Ok::<_, EncodeError>(())
    };
    if let Ok(list) = value.cast::<PyList>() {
        list.iter().try_for_each(&mut one)?;
    } else if let Ok(tuple) = value.cast::<PyTuple>() {
        tuple.iter().try_for_each(&mut one)?;
    } else if value.is_instance_of::<PyString>() || value.is_instance_of::<PyBytes>() {
        return Err(wrong_type("a list", value));
    } else {
        for item in value.try_iter()? {
            one(item?)?;
        }
    }
    Ok(found)
}
