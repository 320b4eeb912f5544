//! Projection: some columns of a schema, down to the fields of structs.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StructArray};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;

use crate::columns::{find, leaves};
use crate::names::TIMESTAMP;

/// A column that cannot be selected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ColumnError {
    /// The schema has no such column.
    #[error("there is no column `{column}`; there are {known}")]
    Unknown {
        /// The dotted path.
        column: String,
        /// The columns that exist.
        known: String,
    },
    /// A list can only be selected as a whole.
    #[error("column `{column}` lies inside the list `{list}`; select that one")]
    InList {
        /// The dotted path.
        column: String,
        /// The top-level column.
        list: String,
    },
}

/// The selected part of a field.
#[derive(Debug)]
enum Wanted {
    Whole,
    Fields(BTreeMap<String, Wanted>),
}

impl Wanted {
    fn add(&mut self, path: &[String]) {
        match (&mut *self, path.split_first()) {
            (Self::Whole, _) => {}
            (_, None) => *self = Self::Whole,
            (Self::Fields(fields), Some((first, rest))) => {
                fields.entry(first.clone()).or_insert_with(|| Self::Fields(BTreeMap::new())).add(rest);
            }
        }
    }
}

/// Some columns of a schema, in its order; the time is always included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projection {
    schema: SchemaRef,
    leaves: Vec<usize>,
}

impl Projection {
    /// All columns.
    pub fn all(schema: &Schema) -> Self {
        let count: usize = schema.fields().iter().map(|field| leaves(field.data_type())).sum();
        Self { schema: Arc::new(schema.clone()), leaves: (0..count).collect() }
    }

    /// Selects the columns and fields of structs that the dotted `paths` name.
    ///
    /// # Errors
    /// A path without a column, or one into a list.
    pub fn new(schema: &Schema, paths: &[String]) -> Result<Self, ColumnError> {
        let mut wanted = Wanted::Fields(BTreeMap::new());
        wanted.add(&[TIMESTAMP.to_owned()]);
        for path in paths {
            let column = find(schema, path).ok_or_else(|| ColumnError::Unknown {
                column: path.clone(),
                known: schema
                    .fields()
                    .iter()
                    .map(|field| format!("`{}`", field.name()))
                    .collect::<Vec<_>>()
                    .join(", "),
            })?;
            if column.repeated {
                return Err(ColumnError::InList { column: path.clone(), list: column.path[0].clone() });
            }
            wanted.add(&column.path);
        }
        let mut picked = Vec::new();
        let fields = pick(schema.fields(), &wanted, &mut 0, &mut picked);
        let schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
        Ok(Self { schema, leaves: picked })
    }

    /// The schema of what [`Self::apply`] returns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The Parquet leaves of the projection.
    pub fn leaves(&self) -> &[usize] {
        &self.leaves
    }

    /// The selected columns of a batch, which may itself be a projection that includes them.
    ///
    /// # Errors
    /// The batch lacks a column.
    pub fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let columns = picked(self.schema.fields(), |name| batch.column_by_name(name))?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
    }
}

fn pick(fields: &Fields, wanted: &Wanted, leaf: &mut usize, found: &mut Vec<usize>) -> Fields {
    let mut kept = Vec::new();
    for field in fields {
        let (first, count) = (*leaf, leaves(field.data_type()));
        let inner = match wanted {
            Wanted::Whole => Some(&Wanted::Whole),
            Wanted::Fields(wanted) => wanted.get(field.name()),
        };
        match (inner, field.data_type()) {
            (None, _) => *leaf += count,
            (Some(inner @ Wanted::Fields(_)), DataType::Struct(children)) => {
                let children = pick(children, inner, leaf, found);
                kept.push(Arc::new(Field::clone(field).with_data_type(DataType::Struct(children))));
            }
            (Some(_), _) => {
                found.extend(first..first + count);
                *leaf += count;
                kept.push(Arc::clone(field));
            }
        }
    }
    kept.into()
}

fn picked<'a>(
    fields: &Fields,
    column: impl Fn(&str) -> Option<&'a ArrayRef>,
) -> Result<Vec<ArrayRef>, ArrowError> {
    let one = |field: &Arc<Field>| {
        let missing = || ArrowError::SchemaError(format!("the rows have no column `{}`", field.name()));
        narrowed(column(field.name()).ok_or_else(missing)?, field.data_type())
    };
    fields.iter().map(one).collect()
}

fn narrowed(array: &ArrayRef, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    match (data_type, array.as_struct_opt()) {
        (DataType::Struct(fields), Some(found)) if array.data_type() != data_type => {
            let columns = picked(fields, |name| found.column_by_name(name))?;
            Ok(Arc::new(StructArray::try_new(fields.clone(), columns, found.nulls().cloned())?))
        }
        _ => Ok(Arc::clone(array)),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array, ListArray};
    use arrow::datatypes::Int64Type;

    use super::*;

    fn batch() -> RecordBatch {
        let float = |name: &str| Arc::new(Field::new(name, DataType::Float64, true));
        let values = |from: f64| -> ArrayRef { Arc::new(Float64Array::from(vec![from, from + 1.0])) };
        let point = StructArray::from(vec![(float("x"), values(1.0)), (float("y"), values(2.0))]);
        let point: ArrayRef = Arc::new(point);
        let times: ArrayRef = Arc::new(Int64Array::from(vec![5, 6]));
        let rows = [Some(vec![Some(1)]), None];
        let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(rows));
        RecordBatch::try_from_iter([("list", list), ("p", point), (TIMESTAMP, times)]).unwrap()
    }

    fn names(paths: &[&str]) -> (Vec<String>, Vec<usize>) {
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        let batch = batch();
        let projection = Projection::new(&batch.schema(), &paths).unwrap();
        let found = projection.apply(&batch).unwrap();
        assert_eq!(found.schema(), *projection.schema());
        assert_eq!(projection.apply(&found).unwrap(), found, "a projection has what it projects to");
        let schema = found.schema();
        let names = schema.fields().iter().map(|f| match f.data_type() {
            DataType::Struct(below) => {
                let below: Vec<&str> = below.iter().map(|f| f.name().as_str()).collect();
                format!("{}[{}]", f.name(), below.join(","))
            }
            _ => f.name().clone(),
        });
        (names.collect(), projection.leaves().to_vec())
    }

    #[test]
    fn columns_and_fields_of_structs_are_picked_with_the_time() {
        assert_eq!(names(&[]), (vec!["timestamp_ns".into()], vec![3]));
        assert_eq!(names(&["p.y"]), (vec!["p[y]".into(), "timestamp_ns".into()], vec![2, 3]));
        assert_eq!(names(&["p", "p.y"]).0, ["p[x,y]", "timestamp_ns"]);
        assert_eq!(names(&["p.y", "p"]).1, [1, 2, 3]);
        assert_eq!(names(&["timestamp_ns", "list"]).0, ["list", "timestamp_ns"]);
        assert_eq!(Projection::all(&batch().schema()).leaves(), [0, 1, 2, 3]);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let schema = batch().schema();
        let error = Projection::new(&schema, &["p.z".into()]).unwrap_err();
        assert_eq!(error.to_string(), "there is no column `p.z`; there are `list`, `p`, `timestamp_ns`");
    }
}
