//! A column under construction, and its values. Lists and structs have columns as values, so both are in one
//! file.

use std::sync::Arc;

use arrow::array::{ArrayData, ArrayDataBuilder, BooleanBufferBuilder};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::datatypes::{DataType, Field};

use super::error::ColumnError;
use super::fixed::{Fixed, FixedKind};

/// One column under construction.
///
/// Most columns of a topic are null in most rows, so a null only counts: `pending` rows at the end have no
/// slot in `values` and `validity` yet. They get one, all at once, before the next value or at the end.
#[derive(Debug)]
pub struct Column {
    field: Arc<Field>,
    /// Rows, with the pending ones.
    len: usize,
    pending: usize,
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
        Ok(Self { field: Arc::clone(field), len: 0, pending: 0, validity: None, values })
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
    #[inline]
    pub fn values_mut(&mut self) -> &mut Values {
        if self.pending > 0 {
            self.settle();
        }
        &mut self.values
    }

    /// The fields of a struct; none for other columns. As [`Self::values_mut`].
    pub fn children_mut(&mut self) -> &mut [Column] {
        match self.values_mut() {
            Values::Struct(children) => children,
            _ => &mut [],
        }
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
        match self.values_mut() {
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
        match self.values_mut() {
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
    #[inline]
    pub fn push_null(&mut self) -> Result<(), ColumnError> {
        if !self.field.is_nullable() {
            return Err(ColumnError::Null);
        }
        self.push_hidden(1);
        Ok(())
    }

    /// Appends slots that a null parent hides, or nulls where the column allows them.
    #[inline]
    fn push_hidden(&mut self, count: usize) {
        self.pending += count;
        self.len += count;
    }

    /// Gives the pending rows their slots.
    #[cold]
    fn settle(&mut self) {
        let count = std::mem::take(&mut self.pending);
        match &mut self.values {
            Values::Fixed(fixed) => fixed.push_zeros(count),
            Values::Bool(bits) => bits.append_n(count, false),
            Values::Bytes { offsets, .. } | Values::List { offsets, .. } => repeat_last(offsets, count),
            Values::LargeBytes { offsets, .. } | Values::LargeList { offsets, .. } => {
                repeat_last(offsets, count);
            }
            Values::FixedBytes { width, data } => data.resize(data.len() + count * *width, 0),
            Values::FixedList { size, items } => items.push_hidden(count * *size),
            Values::Struct(children) => children.iter_mut().for_each(|child| child.push_hidden(count)),
        }
        if self.field.is_nullable() {
            let before = self.len - count;
            let validity = self.validity.get_or_insert_with(|| {
                let mut bits = BooleanBufferBuilder::new(self.len);
                bits.append_n(before, true);
                bits
            });
            validity.append_n(count, false);
        } else if let Some(validity) = &mut self.validity {
            validity.append_n(count, true);
        }
    }

    /// Truncates the column to `len` rows, and removes half-appended values.
    pub fn truncate(&mut self, len: usize) {
        // The rows that keep slots; a value that was appended only half lies behind them.
        let settled = len.min(self.len - self.pending);
        self.pending = len - settled;
        self.len = len;
        match &mut self.values {
            Values::Fixed(fixed) => fixed.buffer.truncate(settled * fixed.kind.width()),
            Values::Bool(bits) => bits.truncate(settled),
            Values::Bytes { offsets, data } => {
                offsets.truncate(settled + 1);
                data.truncate(offsets[settled] as usize);
            }
            Values::LargeBytes { offsets, data } => {
                offsets.truncate(settled + 1);
                data.truncate(offsets[settled] as usize);
            }
            Values::FixedBytes { width, data } => data.truncate(settled * *width),
            Values::List { offsets, items } => {
                offsets.truncate(settled + 1);
                items.truncate(offsets[settled] as usize);
            }
            Values::LargeList { offsets, items } => {
                offsets.truncate(settled + 1);
                items.truncate(offsets[settled] as usize);
            }
            Values::FixedList { size, items } => items.truncate(settled * *size),
            Values::Struct(children) => children.iter_mut().for_each(|child| child.truncate(settled)),
        }
        if let Some(validity) = &mut self.validity {
            validity.truncate(settled);
        }
    }

    /// Bytes that each row takes, whatever its values; without validity.
    pub fn row_width(&self) -> usize {
        match &self.values {
            Values::Fixed(fixed) => fixed.kind.width(),
            Values::Bool(_) => 1,
            Values::Bytes { .. } | Values::List { .. } => size_of::<i32>(),
            Values::LargeBytes { .. } | Values::LargeList { .. } => size_of::<i64>(),
            Values::FixedBytes { width, .. } => *width,
            Values::FixedList { size, items } => size * items.row_width(),
            Values::Struct(children) => children.iter().map(Self::row_width).sum(),
        }
    }

    /// Adds the paths of the columns whose rows differ in size, as far as only structs lead there, to `paths`.
    /// `path` is that of this column.
    pub fn add_variable(&self, path: &mut Vec<usize>, paths: &mut Vec<Vec<usize>>) {
        match &self.values {
            Values::Fixed(_) | Values::Bool(_) | Values::FixedBytes { .. } => {}
            Values::Struct(children) => {
                for (index, child) in children.iter().enumerate() {
                    path.push(index);
                    child.add_variable(path, paths);
                    path.pop();
                }
            }
            _ => paths.push(path.clone()),
        }
    }

    /// The column at a path below this one.
    pub fn below(&self, path: &[usize]) -> &Self {
        match (&self.values, path) {
            (Values::Struct(children), [index, rest @ ..]) => children[*index].below(rest),
            _ => self,
        }
    }

    /// The bytes of all rows beyond [`Self::row_width`].
    pub fn variable_bytes(&self) -> usize {
        match &self.values {
            Values::Fixed(_) | Values::Bool(_) | Values::FixedBytes { .. } => 0,
            Values::Bytes { data, .. } | Values::LargeBytes { data, .. } => data.len(),
            Values::List { items, .. } | Values::LargeList { items, .. } => {
                items.len * items.row_width() + items.variable_bytes()
            }
            Values::FixedList { items, .. } => items.variable_bytes(),
            Values::Struct(children) => children.iter().map(Self::variable_bytes).sum(),
        }
    }

    /// Finishes the column as Arrow data.
    ///
    /// # Errors
    /// If the parts contradict each other, which only a bug can cause.
    pub fn into_data(mut self) -> Result<ArrayData, arrow::error::ArrowError> {
        if self.pending > 0 {
            self.settle();
        }
        let Self { field, len, validity, values, .. } = self;
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

/// Appends empty values.
fn repeat_last<T: Copy>(offsets: &mut Vec<T>, count: usize) {
    if let Some(&end) = offsets.last() {
        offsets.resize(offsets.len() + count, end);
    }
}
