//! The values of columns whose values all have one width.

use arrow::buffer::MutableBuffer;
use arrow::datatypes::DataType;
use half::f16;

use super::error::ColumnError;

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

    pub(super) fn push_zeros(&mut self, count: usize) {
        self.buffer.extend_zeros(count * self.kind.width());
    }
}
