//! Encodes rows into columns: reads the fields of Python objects directly into the column builders.

use mosaico_client::Error;
use mosaico_client::columns::{Column, ColumnError, Values};
use mosaico_types::ErrorKind;
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyList, PyString, PyTuple};
use pyo3::{ffi, intern};

use crate::errors::to_py_err;

/// The interned names of a column's children, compiled once per topic.
pub(crate) struct Plan {
    name: Py<PyString>,
    children: Vec<Plan>,
}

impl Plan {
    pub(crate) fn new(py: Python<'_>, field: &arrow::datatypes::Field) -> Self {
        use arrow::datatypes::DataType;
        let children = match field.data_type() {
            DataType::Struct(fields) => fields.iter().map(|field| Self::new(py, field)).collect(),
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                vec![Self::new(py, item)]
            }
            _ => Vec::new(),
        };
        Self { name: PyString::intern(py, field.name()).unbind(), children }
    }
}

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
    fn at(mut self, name: &str) -> Self {
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
        to_py_err(Error::new(ErrorKind::InvalidInput, message))
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

/// Looks up the children of a struct: in the instance's dictionary, then among its attributes.
pub(crate) struct Fields<'a, 'py> {
    object: &'a Bound<'py, PyAny>,
    dict: Option<Bound<'py, PyDict>>,
}

impl<'a, 'py> Fields<'a, 'py> {
    pub(crate) fn of(object: &'a Bound<'py, PyAny>) -> Self {
        if let Ok(dict) = object.cast::<PyDict>() {
            return Self { object, dict: Some(dict.clone()) };
        }
        let py = object.py();
        // SAFETY: the call takes a live object and returns a new reference or null with an error set, which
        // `from_owned_ptr_or_err` handles; objects without a dictionary raise AttributeError.
        let dict = unsafe {
            Bound::from_owned_ptr_or_err(
                py,
                ffi::PyObject_GenericGetDict(object.as_ptr(), std::ptr::null_mut()),
            )
        };
        Self { object, dict: dict.ok().and_then(|dict| dict.cast_into().ok()) }
    }

    pub(crate) fn get(&self, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(dict) = &self.dict
            && let Some(value) = dict.get_item(name)?
        {
            return Ok(value);
        }
        self.object.getattr(name)
    }
}

/// Appends the children of `object` to `columns`, name by name.
pub(crate) fn append_fields(
    py: Python<'_>,
    plans: &[Plan],
    columns: &mut [Column],
    fields: &Fields<'_, '_>,
) -> Result<(), EncodeError> {
    for (plan, column) in plans.iter().zip(columns) {
        fields
            .get(plan.name.bind(py))
            .map_err(EncodeError::from)
            .and_then(|value| append(py, plan, column, &value))
            .map_err(|error| error.at(column.name()))?;
    }
    Ok(())
}

fn append(
    py: Python<'_>,
    plan: &Plan,
    column: &mut Column,
    value: &Bound<'_, PyAny>,
) -> Result<(), EncodeError> {
    if value.is_none() {
        return Ok(column.push_null()?);
    }
    match column.values_mut() {
        Values::Fixed(fixed) if fixed.kind.is_float() => fixed.push_float(value.extract::<f64>()?),
        Values::Fixed(fixed) => fixed.push_int(integer(value)?)?,
        Values::Bool(bits) => bits.append(value.extract::<bool>()?),
        Values::Bytes { .. } | Values::LargeBytes { .. } | Values::FixedBytes { .. } => {
            return append_bytes(column, value);
        }
        Values::Struct(children) => {
            append_fields(py, &plan.children, children, &Fields::of(value))?;
        }
        Values::List { items, .. } | Values::LargeList { items, .. } | Values::FixedList { items, .. } => {
            let found = append_items(py, &plan.children[0], items, value)?;
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
    plan: &Plan,
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
