//! How the objects of a class are built, compiled from the plan of `mosaicolabs/models/_decode_plan.py`.

use std::ptr;
use std::sync::Arc;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PySet, PyString, PyTuple, PyType};
use pyo3::{ffi, intern};

/// How to convert the values of one field to Python objects; mirrors `_decode_plan.py`.
#[derive(Debug)]
pub(crate) enum Plan {
    Leaf,
    Model(Arc<ModelPlan>),
    Validated(Py<PyAny>),
    List(Box<Plan>),
    Convert(Py<PyAny>),
}

impl Plan {
    pub(crate) fn parse(node: &Bound<'_, PyAny>) -> PyResult<Self> {
        let node = node.cast::<PyTuple>()?;
        let kind: String = node.get_item(0)?.extract()?;
        Ok(match kind.as_str() {
            "leaf" => Self::Leaf,
            "model" => Self::Model(Arc::new(ModelPlan::parse(node)?)),
            "validated" => Self::Validated(node.get_item(1)?.getattr("model_validate")?.unbind()),
            "list" => Self::List(Box::new(Self::parse(&node.get_item(1)?)?)),
            "convert" => Self::Convert(node.get_item(1)?.unbind()),
            other => return Err(PyValueError::new_err(format!("unknown decode plan node {other:?}"))),
        })
    }
}

/// How to build the instances of a pydantic class.
#[derive(Debug)]
pub(crate) struct ModelPlan {
    class: Py<PyType>,
    pub(crate) fields: Vec<ModelField>,
    /// The fields of an instance, all None. Most fields of most messages are None, and a copy costs less than
    /// an assignment of each.
    template: Py<PyDict>,
    /// One set for all instances: it names every field, so pydantic's later additions never change it.
    fields_set: Py<PyAny>,
    slots: Slots,
}

#[derive(Debug)]
pub(crate) struct ModelField {
    key: Py<PyString>,
    pub(crate) name: String,
    pub(crate) plan: Plan,
}

impl ModelPlan {
    pub(crate) fn parse(node: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let py = node.py();
        let class = node.get_item(1)?.cast_into::<PyType>()?;
        let (mut fields, template) = (Vec::new(), PyDict::new(py));
        for entry in node.get_item(2)?.try_iter()? {
            let entry = entry?.cast_into::<PyTuple>()?;
            let name: String = entry.get_item(0)?.extract()?;
            let key = PyString::intern(py, &name);
            template.set_item(&key, py.None())?;
            fields.push(ModelField { key: key.unbind(), name, plan: Plan::parse(&entry.get_item(1)?)? });
        }
        let fields_set = PySet::new(py, fields.iter().map(|field| &field.name))?.into_any().unbind();
        let slots = Slots::of(&class)?;
        Ok(Self { class: class.unbind(), fields, template: template.unbind(), fields_set, slots })
    }

    /// The fields of a new instance, all None.
    pub(crate) fn fields<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.template.bind(py).copy()
    }

    /// Builds an instance with the fields `dict`.
    pub(crate) fn build<'py>(
        &self,
        py: Python<'py>,
        dict: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyAny>> {
        // SAFETY: pydantic models use the generic allocator and a generic instance dictionary; a null result
        // carries an error that `from_owned_ptr_or_err` raises, and so does a non-zero status of the setter.
        let instance = unsafe {
            let instance = ffi::PyType_GenericAlloc(self.class.as_ptr().cast(), 0);
            let instance = Bound::from_owned_ptr_or_err(py, instance)?;
            if ffi::PyObject_GenericSetDict(instance.as_ptr(), dict.as_ptr(), ptr::null_mut()) != 0 {
                return Err(PyErr::fetch(py));
            }
            instance
        };
        let none = py.None();
        self.slots.fields_set.set(&instance, &self.fields_set)?;
        self.slots.extra.set(&instance, &none)?;
        self.slots.private.set(&instance, &none)?;
        Ok(instance)
    }
}

impl ModelField {
    /// Sets the field in the fields of an instance.
    pub(crate) fn set(&self, dict: &Bound<'_, PyDict>, value: Bound<'_, PyAny>) -> PyResult<()> {
        dict.set_item(self.key.bind(dict.py()), value)
    }
}

/// What pydantic keeps of an instance beside its fields.
#[derive(Debug)]
struct Slots {
    fields_set: Slot,
    extra: Slot,
    private: Slot,
}

impl Slots {
    fn of(class: &Bound<'_, PyType>) -> PyResult<Self> {
        let py = class.py();
        Ok(Self {
            fields_set: Slot::new(class, intern!(py, "__pydantic_fields_set__"))?,
            extra: Slot::new(class, intern!(py, "__pydantic_extra__"))?,
            private: Slot::new(class, intern!(py, "__pydantic_private__"))?,
        })
    }
}

/// A slot of instances. Its descriptor is called directly: `setattr` would search it in all classes each time,
/// and would pass pydantic's own `__setattr__`.
#[derive(Debug)]
struct Slot {
    descriptor: Py<PyAny>,
    set: ffi::descrsetfunc,
}

impl Slot {
    fn new(class: &Bound<'_, PyType>, name: &Bound<'_, PyString>) -> PyResult<Self> {
        let descriptor = class.getattr(name)?;
        let no_slot = || PyTypeError::new_err(format!("`{name}` of {class} is no slot"));
        // SAFETY: the type of a live object; the slot of this number has this type of function or is null.
        let set = unsafe {
            let set = ffi::PyType_GetSlot(descriptor.get_type().as_type_ptr(), ffi::Py_tp_descr_set);
            std::mem::transmute::<*mut std::ffi::c_void, Option<ffi::descrsetfunc>>(set)
        };
        Ok(Self { set: set.ok_or_else(no_slot)?, descriptor: descriptor.unbind() })
    }

    fn set(&self, instance: &Bound<'_, PyAny>, value: &Py<PyAny>) -> PyResult<()> {
        // SAFETY: three live objects; a non-zero status carries an error.
        let status = unsafe { (self.set)(self.descriptor.as_ptr(), instance.as_ptr(), value.as_ptr()) };
        if status == 0 { Ok(()) } else { Err(PyErr::fetch(instance.py())) }
    }
}
