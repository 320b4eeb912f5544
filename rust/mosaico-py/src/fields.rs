//! How the values of a Python object are found: in the order of its dictionary, or by name.

use std::ptr;

use arrow::datatypes::{DataType, Field};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

/// How often the keys of a class are learned. Objects of classes that take turns are read by name after that.
const MOST_LEARNED: u8 = 8;

/// One field: its interned name, and the fields of its value. The items of a list are the only field of it.
pub(crate) struct Plan {
    pub(crate) name: Py<PyString>,
    text: String,
    pub(crate) inner: FieldsPlan,
}

/// The fields of an object.
///
/// Objects of one class have the same keys in the same order, and share the key objects. The order is learned
/// from one object; the dictionaries of all others are then read from front to back, and each key is compared
/// by its address. A look-up by name costs three times as much.
pub(crate) struct FieldsPlan {
    pub(crate) fields: Vec<Plan>,
    /// Empty until learned.
    pub(crate) keys: Vec<Key>,
    learned: u8,
}

/// A key that is expected in a dictionary.
pub(crate) struct Key {
    pub(crate) key: Py<PyAny>,
    /// The field of this name; `None` if there is none.
    pub(crate) field: Option<usize>,
}

impl FieldsPlan {
    pub(crate) fn new<'a>(py: Python<'_>, fields: impl IntoIterator<Item = &'a Field>) -> Self {
        let fields = fields.into_iter().map(|field| Plan::new(py, field)).collect();
        Self { fields, keys: Vec::new(), learned: 0 }
    }

    /// The number of the field `name`.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.text == name)
    }

    /// Learns the keys of `dict` if none are known.
    pub(crate) fn expect_keys_of(&mut self, dict: &Bound<'_, PyDict>) {
        if !self.keys.is_empty() || self.learned == MOST_LEARNED {
            return;
        }
        self.learned += 1;
        let py = dict.py();
        let names = || self.fields.iter().map(|field| field.name.bind(py));
        self.keys = dict
            .keys()
            .iter()
            .map(|key| {
                let field = names().position(|name| key.eq(name).unwrap_or(false));
                Key { key: key.unbind(), field }
            })
            .collect();
    }

    /// Forgets the keys: the next object teaches its own.
    #[cold]
    pub(crate) fn forget_keys(&mut self) {
        self.keys.clear();
    }
}

impl Plan {
    pub(crate) fn new(py: Python<'_>, field: &Field) -> Self {
        let inner = match field.data_type() {
            DataType::Struct(fields) => FieldsPlan::new(py, fields.iter().map(AsRef::as_ref)),
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                FieldsPlan::new(py, [item.as_ref()])
            }
            _ => FieldsPlan::new(py, []),
        };
        Self { name: PyString::intern(py, field.name()).unbind(), text: field.name().clone(), inner }
    }
}

/// The values of an object by name: those of its dictionary, then its attributes.
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
            Bound::from_owned_ptr_or_err(py, ffi::PyObject_GenericGetDict(object.as_ptr(), ptr::null_mut()))
        };
        Self { object, dict: dict.ok().and_then(|dict| dict.cast_into().ok()) }
    }

    pub(crate) fn dict(&self) -> Option<&Bound<'py, PyDict>> {
        self.dict.as_ref()
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

/// The entries of a dictionary from front to back. Unlike PyO3's iterator it accepts that a value runs Python
/// code while it is encoded, and that this code changes the dictionary: the position is a number, and each
/// value is held while it is in use.
pub(crate) struct Walk<'a, 'py> {
    dict: &'a Bound<'py, PyDict>,
    position: ffi::Py_ssize_t,
}

impl<'a, 'py> Walk<'a, 'py> {
    pub(crate) fn new(dict: &'a Bound<'py, PyDict>) -> Self {
        Self { dict, position: 0 }
    }

    /// The value of the next entry if its key is the object `key`.
    #[inline]
    pub(crate) fn next_if(&mut self, key: &Py<PyAny>) -> Option<Bound<'py, PyAny>> {
        let (mut found, mut value) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the dictionary lives, and the interpreter is attached. The key is only compared, and is never
        // freed before, since `key` holds the one that it equals; the borrowed value becomes an owned
        // reference before anything else runs.
        unsafe {
            let more =
                ffi::PyDict_Next(self.dict.as_ptr(), &raw mut self.position, &raw mut found, &raw mut value);
            (more != 0 && found == key.as_ptr()).then(|| Bound::from_borrowed_ptr(self.dict.py(), value))
        }
    }
}
