//! A column under construction, and its values. Lists and structs have columns as values, so both are in one
//! file.

use super::error::ColumnError;
use arrow::array::{ArrayData, ArrayDataBuilder, BooleanBufferBuilder};
use arrow::buffer::MutableBuffer;
use arrow::buffer::{Buffer, NullBuffer};
use arrow::datatypes::{DataType, Field};
use half::f16;
use std::sync::Arc;

/// One column under construction.
#[derive(Debug)]
pub struct Column {
    field: Arc<Field>,
    len: usize,
    /// Present from the first null on.
    validity: Option<BooleanBufferBuilder>,
    values: Values,
}

impl Column {
    /// An empty column for `field`.
    ///
    /// # Errors
    /// [`ColumnError::Unsupported`] names the column and its type.
    pub fn new(field: &Arc<Field>) -> Result<Self, ColumnError> {
        let values = match field.data_type() {
            DataType::Boolean => Values::Bool(BooleanBufferBuilder::new(0)),
            DataType::Utf8 | DataType::Binary => Values::Bytes { offsets: vec![0], data: Vec::new() },
            DataType::LargeUtf8 | DataType::LargeBinary => {
                Values::LargeBytes { offsets: vec![0], data: Vec::new() }
            }
            DataType::FixedSizeBinary(width) => {
                Values::FixedBytes { width: usize::try_from(*width).unwrap_or(0), data: Vec::new() }
            }
            DataType::List(item) => Values::List { offsets: vec![0], items: Box::new(Self::new(item)?) },
            DataType::LargeList(item) => {
                Values::LargeList { offsets: vec![0], items: Box::new(Self::new(item)?) }
            }
            DataType::FixedSizeList(item, size) => Values::FixedList {
                size: usize::try_from(*size).unwrap_or(0),
                items: Box::new(Self::new(item)?),
            },
            DataType::Struct(fields) => {
                Values::Struct(fields.iter().map(Self::new).collect::<Result<_, _>>()?)
            }
            other => match FixedKind::of(other) {
                Some(kind) => Values::Fixed(Fixed::new(kind)),
                None => {
                    return Err(ColumnError::Unsupported {
                        column: field.name().clone(),
                        data_type: other.to_string(),
                    });
                }
            },
        };
        Ok(Self { field: Arc::clone(field), len: 0, validity: None, values })
    }

    /// The column's name.
    pub fn name(&self) -> &str {
        self.field.name()
    }

    /// The column's Arrow type.
    pub fn data_type(&self) -> &DataType {
        self.field.data_type()
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no row was appended.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The values; a caller that appends a value here calls [`Column::mark_valid`] afterwards.
    pub fn values_mut(&mut self) -> &mut Values {
        &mut self.values
    }

    /// Counts the value just appended to [`Column::values_mut`] as one row.
    #[inline]
    pub fn mark_valid(&mut self) {
        if let Some(validity) = &mut self.validity {
            validity.append(true);
        }
        self.len += 1;
    }

    /// Appends a string or binary value.
    ///
    /// # Errors
    /// If the value does not fit.
    pub fn push_bytes(&mut self, value: &[u8]) -> Result<(), ColumnError> {
        match &mut self.values {
            Values::Bytes { offsets, data } => {
                let end = i32::try_from(data.len() + value.len())
                    .map_err(|_| ColumnError::TooLarge { bytes: value.len() })?;
                data.extend_from_slice(value);
                offsets.push(end);
            }
            Values::LargeBytes { offsets, data } => {
                data.extend_from_slice(value);
                offsets.push(data.len() as i64);
            }
            Values::FixedBytes { width, data } => {
                if value.len() != *width {
                    return Err(ColumnError::Length { expected: *width, found: value.len() });
                }
                data.extend_from_slice(value);
            }
            _ => unreachable!("push_bytes is called for string and binary columns only"),
        }
        self.mark_valid();
        Ok(())
    }

    /// Closes the list whose items were just appended to the item column.
    ///
    /// # Errors
    /// If a fixed-size list got another number of items, or 32-bit offsets overflow.
    pub fn close_list(&mut self, found: usize) -> Result<(), ColumnError> {
        match &mut self.values {
            Values::List { offsets, items } => offsets
                .push(i32::try_from(items.len).map_err(|_| ColumnError::TooLarge { bytes: items.len })?),
            Values::LargeList { offsets, items } => offsets.push(items.len as i64),
            Values::FixedList { size, .. } if *size != found => {
                return Err(ColumnError::Length { expected: *size, found });
            }
            _ => {}
        }
        self.mark_valid();
        Ok(())
    }

    /// Appends a null.
    ///
    /// # Errors
    /// [`ColumnError::Null`] if the column allows none.
    pub fn push_null(&mut self) -> Result<(), ColumnError> {
        if !self.field.is_nullable() {
            return Err(ColumnError::Null);
        }
        self.push_hidden();
        Ok(())
    }

    /// Appends a slot that a null parent hides, or a null where the column allows one.
    fn push_hidden(&mut self) {
        match &mut self.values {
            Values::Fixed(fixed) => fixed.push_zero(),
            Values::Bool(bits) => bits.append(false),
            Values::Bytes { offsets, data } => offsets.push(data.len() as i32),
            Values::LargeBytes { offsets, data } => offsets.push(data.len() as i64),
            Values::FixedBytes { width, data } => data.resize(data.len() + *width, 0),
            Values::List { offsets, items } => offsets.push(items.len as i32),
            Values::LargeList { offsets, items } => offsets.push(items.len as i64),
            Values::FixedList { size, items } => (0..*size).for_each(|_| items.push_hidden()),
            Values::Struct(children) => children.iter_mut().for_each(Self::push_hidden),
        }
        if self.field.is_nullable() {
            let len = self.len;
            let validity = self.validity.get_or_insert_with(|| {
                let mut bits = BooleanBufferBuilder::new(len + 1);
                bits.append_n(len, true);
                bits
            });
            validity.append(false);
        } else if let Some(validity) = &mut self.validity {
            validity.append(true);
        }
        self.len += 1;
    }

    /// Truncates the column to `len` rows, and removes half-appended values.
    pub fn truncate(&mut self, len: usize) {
        match &mut self.values {
            Values::Fixed(fixed) => fixed.buffer.truncate(len * fixed.kind.width()),
            Values::Bool(bits) => bits.truncate(len),
            Values::Bytes { offsets, data } => {
                offsets.truncate(len + 1);
                data.truncate(offsets[len] as usize);
            }
            Values::LargeBytes { offsets, data } => {
                offsets.truncate(len + 1);
                data.truncate(offsets[len] as usize);
            }
            Values::FixedBytes { width, data } => data.truncate(len * *width),
            Values::List { offsets, items } => {
                offsets.truncate(len + 1);
                items.truncate(offsets[len] as usize);
            }
            Values::LargeList { offsets, items } => {
                offsets.truncate(len + 1);
                items.truncate(offsets[len] as usize);
            }
            Values::FixedList { size, items } => items.truncate(len * *size),
            Values::Struct(children) => children.iter_mut().for_each(|child| child.truncate(len)),
        }
        if let Some(validity) = &mut self.validity {
            validity.truncate(len);
        }
        self.len = len;
    }

    /// Bytes of the values, without validity.
    pub fn bytes(&self) -> usize {
        match &self.values {
            Values::Fixed(fixed) => fixed.buffer.len(),
            Values::Bool(bits) => bits.len() / 8,
            Values::Bytes { offsets, data } => offsets.len() * 4 + data.len(),
            Values::LargeBytes { offsets, data } => offsets.len() * 8 + data.len(),
            Values::FixedBytes { data, .. } => data.len(),
            Values::List { offsets, items } => offsets.len() * 4 + items.bytes(),
            Values::LargeList { offsets, items } => offsets.len() * 8 + items.bytes(),
            Values::FixedList { items, .. } => items.bytes(),
            Values::Struct(children) => children.iter().map(Self::bytes).sum(),
        }
    }

    /// Finishes the column as Arrow data.
    ///
    /// # Errors
    /// If the parts contradict each other, which only a bug can cause.
    pub fn into_data(self) -> Result<ArrayData, arrow::error::ArrowError> {
        let Self { field, len, validity, values } = self;
        let nulls = validity.map(|mut bits| NullBuffer::new(bits.finish()));
        let builder = ArrayDataBuilder::new(field.data_type().clone()).len(len).nulls(nulls);
        let builder = match values {
            Values::Fixed(fixed) => builder.add_buffer(fixed.buffer.into()),
            Values::Bool(mut bits) => builder.add_buffer(bits.finish().into_inner()),
            Values::Bytes { offsets, data } => {
                builder.add_buffer(Buffer::from_vec(offsets)).add_buffer(Buffer::from_vec(data))
            }
            Values::LargeBytes { offsets, data } => {
                builder.add_buffer(Buffer::from_vec(offsets)).add_buffer(Buffer::from_vec(data))
            }
            Values::FixedBytes { data, .. } => builder.add_buffer(Buffer::from_vec(data)),
            Values::List { offsets, items } => {
                builder.add_buffer(Buffer::from_vec(offsets)).add_child_data(items.into_data()?)
            }
            Values::LargeList { offsets, items } => {
                builder.add_buffer(Buffer::from_vec(offsets)).add_child_data(items.into_data()?)
            }
            Values::FixedList { items, .. } => builder.add_child_data(items.into_data()?),
            Values::Struct(children) => {
                let children = children.into_iter().map(Self::into_data).collect::<Result<_, _>>()?;
                builder.child_data(children)
            }
        };
        builder.build()
    }
}

/// Width and meaning of a fixed-width column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FixedKind {
    /// Signed 8-bit.
    I8,
    /// Signed 16-bit.
    I16,
    /// Signed 32-bit.
    I32,
    /// Signed 64-bit.
    I64,
    /// Unsigned 8-bit.
    U8,
    /// Unsigned 16-bit.
    U16,
    /// Unsigned 32-bit.
    U32,
    /// Unsigned 64-bit.
    U64,
    /// Half precision.
    F16,
    /// Single precision.
    F32,
    /// Double precision.
    F64,
}

impl FixedKind {
    /// The kind of an Arrow type; `None` for other types.
    pub fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Int8 => Self::I8,
            DataType::Int16 => Self::I16,
            DataType::Int32 => Self::I32,
            DataType::Int64 => Self::I64,
            DataType::UInt8 => Self::U8,
            DataType::UInt16 => Self::U16,
            DataType::UInt32 => Self::U32,
            DataType::UInt64 => Self::U64,
            DataType::Float16 => Self::F16,
            DataType::Float32 => Self::F32,
            DataType::Float64 => Self::F64,
            _ => return None,
        })
    }

    /// Bytes per value.
    pub fn width(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 | Self::F16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }

    /// Whether values are floats.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::F32 | Self::F64)
    }

    fn name(self) -> &'static str {
        match self {
            Self::I8 => "int8",
            Self::I16 => "int16",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::U8 => "uint8",
            Self::U16 => "uint16",
            Self::U32 => "uint32",
            Self::U64 => "uint64",
            Self::F16 => "float16",
            Self::F32 => "float32",
            Self::F64 => "float64",
        }
    }
}

/// Values of one fixed-width column.
#[derive(Debug)]
pub struct Fixed {
    /// Width and meaning.
    pub kind: FixedKind,
    pub(super) buffer: MutableBuffer,
}

impl Fixed {
    pub(super) fn new(kind: FixedKind) -> Self {
        Self { kind, buffer: MutableBuffer::new(0) }
    }

    /// Appends an integer.
    ///
    /// # Errors
    /// [`ColumnError::OutOfRange`] if the column is narrower.
    #[inline]
    pub fn push_int(&mut self, value: i128) -> Result<(), ColumnError> {
        let kind = self.kind;
        let out_of_range = || ColumnError::OutOfRange { value, data_type: kind.name() };
        macro_rules! push {
            ($type:ty) => {
                self.buffer.push(<$type>::try_from(value).map_err(|_| out_of_range())?)
            };
        }
        match kind {
            FixedKind::I8 => push!(i8),
            FixedKind::I16 => push!(i16),
            FixedKind::I32 => push!(i32),
            FixedKind::I64 => push!(i64),
            FixedKind::U8 => push!(u8),
            FixedKind::U16 => push!(u16),
            FixedKind::U32 => push!(u32),
            FixedKind::U64 => push!(u64),
            FixedKind::F16 | FixedKind::F32 | FixedKind::F64 => self.push_float(value as f64),
        }
        Ok(())
    }

    /// Appends a float, rounded to the column's precision.
    #[inline]
    pub fn push_float(&mut self, value: f64) {
        match self.kind {
            FixedKind::F16 => self.buffer.push(f16::from_f64(value)),
            FixedKind::F32 => self.buffer.push(value as f32),
            _ => self.buffer.push(value),
        }
    }

    pub(super) fn push_zero(&mut self) {
        self.buffer.extend_zeros(self.kind.width());
    }
}

/// The values of a column, by layout.
#[derive(Debug)]
pub enum Values {
    /// Integers and floats.
    Fixed(Fixed),
    /// Booleans.
    Bool(BooleanBufferBuilder),
    /// Strings and binaries with 32-bit offsets.
    Bytes {
        /// End of each value.
        offsets: Vec<i32>,
        /// All values, one after the other.
        data: Vec<u8>,
    },
    /// Strings and binaries with 64-bit offsets.
    LargeBytes {
        /// End of each value.
        offsets: Vec<i64>,
        /// All values, one after the other.
        data: Vec<u8>,
    },
    /// Binaries of one length.
    FixedBytes {
        /// Bytes per value.
        width: usize,
        /// All values, one after the other.
        data: Vec<u8>,
    },
    /// Lists with 32-bit offsets.
    List {
        /// End of each list.
        offsets: Vec<i32>,
        /// Items of all lists.
        items: Box<Column>,
    },
    /// Lists with 64-bit offsets.
    LargeList {
        /// End of each list.
        offsets: Vec<i64>,
        /// Items of all lists.
        items: Box<Column>,
    },
    /// Lists of one length.
    FixedList {
        /// Items per list.
        size: usize,
        /// Items of all lists.
        items: Box<Column>,
    },
    /// Structs.
    Struct(Vec<Column>),
}
