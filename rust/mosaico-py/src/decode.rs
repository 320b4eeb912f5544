//! Decodes rows to Python objects: one [`Reader`] per column of a batch, compiled from the class's decode
//! plan.
//!
//! Models are built without validation: the schema on the wire already guarantees its result.
//! `mosaicolabs/models/_decode_plan.py` decides for which classes that is true.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StructArray, types};
use arrow::array::{
    BinaryArray, BinaryViewArray, FixedSizeBinaryArray, Float16Array, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, Int64Array, LargeBinaryArray, LargeStringArray, StringArray, StringViewArray,
    UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field};
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString};
use std::sync::Arc;

use crate::decode_plan::{ModelPlan, Plan};

/// One column of a batch, ready to return its rows.
pub(crate) struct Reader {
    nulls: Option<NullBuffer>,
    values: Values,
}

enum Values {
    Int8(Int8Array),
    Int16(Int16Array),
    Int32(Int32Array),
    Int64(Int64Array),
    UInt8(UInt8Array),
    UInt16(UInt16Array),
    UInt32(UInt32Array),
    UInt64(UInt64Array),
    Float16(Float16Array),
    Float32(Float32Array),
    Float64(Float64Array),
    Bool(BooleanArray),
    Utf8(StringArray),
    LargeUtf8(LargeStringArray),
    Utf8View(StringViewArray),
    Binary(BinaryArray),
    LargeBinary(LargeBinaryArray),
    BinaryView(BinaryViewArray),
    FixedBinary(FixedSizeBinaryArray),
    List {
        range: Ranges,
        items: Box<Reader>,
    },
    Model {
        plan: Arc<ModelPlan>,
        /// The fields that have a value in any row, by their number.
        children: Vec<(usize, Reader)>,
    },
    Dict {
        validate: Option<Py<PyAny>>,
        children: Vec<(Py<PyString>, Reader)>,
    },
    Convert {
        inner: Box<Reader>,
        convert: Py<PyAny>,
    },
    /// Less common types are read through pyarrow, value by value.
    Other(Py<PyAny>),
}

enum Ranges {
    Small(arrow::buffer::OffsetBuffer<i32>),
    Large(arrow::buffer::OffsetBuffer<i64>),
    Fixed(usize),
}

impl Ranges {
    fn get(&self, row: usize) -> std::ops::Range<usize> {
        match self {
            Self::Small(offsets) => offsets[row] as usize..offsets[row + 1] as usize,
            Self::Large(offsets) => offsets[row] as usize..offsets[row + 1] as usize,
            Self::Fixed(size) => row * size..(row + 1) * size,
        }
    }
}

impl Reader {
    /// A reader of `array` according to `plan`.
    pub(crate) fn new(py: Python<'_>, plan: &Plan, array: &ArrayRef, field: &Arc<Field>) -> PyResult<Self> {
        if let DataType::Dictionary(_, value_type) = array.data_type() {
            let plain = arrow::compute::cast(array, value_type)
                .map_err(|cause| PyValueError::new_err(format!("column `{}`: {cause}", field.name())))?;
            let field = Arc::new(field.as_ref().clone().with_data_type(value_type.as_ref().clone()));
            return Self::new(py, plan, &plain, &field);
        }
        let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
        let values = match plan {
            Plan::Convert(convert) => Values::Convert {
                inner: Box::new(Self::new(py, &Plan::Leaf, array, field)?),
                convert: convert.clone_ref(py),
            },
            Plan::Model(model) if array.as_struct_opt().is_some() => Values::Model {
                plan: Arc::clone(model),
                children: Self::children(py, model, array.as_struct())?,
            },
            Plan::Validated(validate) if array.as_struct_opt().is_some() => {
                Self::dict(py, array.as_struct(), Some(validate.clone_ref(py)))?
            }
            Plan::List(item) => Self::plain(py, item, array, field)?,
            _ => Self::plain(py, &Plan::Leaf, array, field)?,
        };
        Ok(Self { nulls, values })
    }

    /// Readers for the fields of a model that are not None in all rows.
    fn children(py: Python<'_>, model: &ModelPlan, array: &StructArray) -> PyResult<Vec<(usize, Self)>> {
        let mut children = Vec::new();
        for (number, field) in model.fields.iter().enumerate() {
            let Some((index, column)) = array.fields().find(&field.name) else { continue };
            let values = array.column(index);
            if values.null_count() < values.len() {
                children.push((number, Self::new(py, &field.plan, values, column)?));
            }
        }
        Ok(children)
    }

    fn dict(py: Python<'_>, array: &StructArray, validate: Option<Py<PyAny>>) -> PyResult<Values> {
        let child = |(field, column): (&Arc<Field>, &ArrayRef)| {
            let reader = Self::new(py, &Plan::Leaf, column, field)?;
            Ok::<_, PyErr>((PyString::intern(py, field.name()).unbind(), reader))
        };
        let children = array.fields().iter().zip(array.columns()).map(child).collect::<PyResult<_>>()?;
        Ok(Values::Dict { validate, children })
    }

    fn plain(py: Python<'_>, item: &Plan, array: &ArrayRef, field: &Arc<Field>) -> PyResult<Values> {
        Ok(match array.data_type() {
            DataType::Int8 => Values::Int8(array.as_primitive().clone()),
            DataType::Int16 => Values::Int16(array.as_primitive().clone()),
            DataType::Int32 => Values::Int32(array.as_primitive().clone()),
            DataType::Int64 => Values::Int64(array.as_primitive().clone()),
            DataType::UInt8 => Values::UInt8(array.as_primitive().clone()),
            DataType::UInt16 => Values::UInt16(array.as_primitive().clone()),
            DataType::UInt32 => Values::UInt32(array.as_primitive().clone()),
            DataType::UInt64 => Values::UInt64(array.as_primitive().clone()),
            DataType::Float16 => Values::Float16(array.as_primitive::<types::Float16Type>().clone()),
            DataType::Float32 => Values::Float32(array.as_primitive().clone()),
            DataType::Float64 => Values::Float64(array.as_primitive().clone()),
            DataType::Boolean => Values::Bool(array.as_boolean().clone()),
            DataType::Utf8 => Values::Utf8(array.as_string().clone()),
            DataType::LargeUtf8 => Values::LargeUtf8(array.as_string().clone()),
            DataType::Utf8View => Values::Utf8View(array.as_string_view().clone()),
            DataType::Binary => Values::Binary(array.as_binary().clone()),
            DataType::LargeBinary => Values::LargeBinary(array.as_binary().clone()),
            DataType::BinaryView => Values::BinaryView(array.as_binary_view().clone()),
            DataType::FixedSizeBinary(_) => Values::FixedBinary(array.as_fixed_size_binary().clone()),
            DataType::Struct(_) => Self::dict(py, array.as_struct(), None)?,
            DataType::List(field) => {
                let list = array.as_list::<i32>();
                let items = Box::new(Self::new(py, item, list.values(), field)?);
                Values::List { range: Ranges::Small(list.offsets().clone()), items }
            }
            DataType::LargeList(field) => {
                let list = array.as_list::<i64>();
                let items = Box::new(Self::new(py, item, list.values(), field)?);
                Values::List { range: Ranges::Large(list.offsets().clone()), items }
            }
            DataType::FixedSizeList(field, size) => {
                let list = array.as_fixed_size_list();
                let items = Box::new(Self::new(py, item, list.values(), field)?);
                Values::List { range: Ranges::Fixed(usize::try_from(*size).unwrap_or(0)), items }
            }
            _ => {
                let array = pyo3_arrow::PyArray::new(Arc::clone(array), Arc::clone(field));
                Values::Other(array.to_pyarrow(py)?.unbind())
            }
        })
    }

    fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// The value of `row`; null is None.
    pub(crate) fn get<'py>(&self, py: Python<'py>, row: usize) -> PyResult<Bound<'py, PyAny>> {
        if self.is_null(row) {
            return Ok(py.None().into_bound(py));
        }
        Ok(match &self.values {
            Values::Int8(array) => PyInt::new(py, array.value(row)).into_any(),
            Values::Int16(array) => PyInt::new(py, array.value(row)).into_any(),
            Values::Int32(array) => PyInt::new(py, array.value(row)).into_any(),
            Values::Int64(array) => PyInt::new(py, array.value(row)).into_any(),
            Values::UInt8(array) => PyInt::new(py, array.value(row)).into_any(),
            Values::UInt16(array) => PyInt::new(py, array.value(row)).into_any(),
            Values::UInt32(array) => PyInt::new(py, array.value(row)).into_any(),
            Values::UInt64(array) => PyInt::new(py, array.value(row)).into_any(),
            Values::Float16(array) => PyFloat::new(py, array.value(row).to_f64()).into_any(),
            Values::Float32(array) => PyFloat::new(py, f64::from(array.value(row))).into_any(),
            Values::Float64(array) => PyFloat::new(py, array.value(row)).into_any(),
            Values::Bool(array) => PyBool::new(py, array.value(row)).to_owned().into_any(),
            Values::Utf8(array) => PyString::new(py, array.value(row)).into_any(),
            Values::LargeUtf8(array) => PyString::new(py, array.value(row)).into_any(),
            Values::Utf8View(array) => PyString::new(py, array.value(row)).into_any(),
            Values::Binary(array) => PyBytes::new(py, array.value(row)).into_any(),
            Values::LargeBinary(array) => PyBytes::new(py, array.value(row)).into_any(),
            Values::BinaryView(array) => PyBytes::new(py, array.value(row)).into_any(),
            Values::FixedBinary(array) => PyBytes::new(py, array.value(row)).into_any(),
            Values::List { range, items } => {
                let list = PyList::empty(py);
                for item in range.get(row) {
                    list.append(items.get(py, item)?)?;
                }
                list.into_any()
            }
            Values::Model { plan, children } => {
                let dict = plan.fields(py)?;
                for (number, child) in children {
                    if !child.is_null(row) {
                        plan.fields[*number].set(&dict, child.get(py, row)?)?;
                    }
                }
                plan.build(py, &dict)?
            }
            Values::Dict { validate, children } => {
                let dict = PyDict::new(py);
                for (name, child) in children {
                    dict.set_item(name.bind(py), child.get(py, row)?)?;
                }
                match validate {
                    Some(validate) => validate.bind(py).call1((dict,))?,
                    None => dict.into_any(),
                }
            }
            Values::Convert { inner, convert } => convert.bind(py).call1((inner.get(py, row)?,))?,
            Values::Other(array) => array.bind(py).get_item(row)?.call_method0(intern!(py, "as_py"))?,
        })
    }
}
