//! The columns of merged topics: the time, the topic, and one struct for each ontology class.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, DictionaryArray, Int32Array, Int64Array, MutableArrayData, RecordBatch, StringArray,
    StructArray, make_array, new_null_array,
};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::compute::interleave;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use mosaico_types::ErrorKind;

use crate::error::{Error, Result};
pub(crate) use mosaico_select::{RECORDING, TIMESTAMP};

const TOPIC: &str = "topic";

/// Runs below this average length are gathered row by row.
const SHORT_RUN: usize = 8;

/// A topic to be merged.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub name: String,
    pub tag: String,
    pub schema: SchemaRef,
}

/// The columns of a class.
#[derive(Debug)]
struct Class {
    tag: String,
    fields: Fields,
}

/// The schema of merged batches, and how to build them.
#[derive(Debug)]
pub(crate) struct Layout {
    schema: SchemaRef,
    names: ArrayRef,
    classes: Vec<Class>,
    /// The class of each topic; `None` if only its times are requested.
    class_of: Vec<Option<usize>>,
    recording: bool,
}

/// Rows of a topic's batch.
#[derive(Debug)]
pub(crate) struct Piece {
    pub topic: usize,
    pub batch: RecordBatch,
    /// The time of each row. A piece may be many runs of one row, too many to look the column up for each.
    pub times: ScalarBuffer<i64>,
}

impl Layout {
    pub(crate) fn new(members: &[Member]) -> Result<Self> {
        let mut classes: Vec<Class> = Vec::new();
        let mut class_of = Vec::with_capacity(members.len());
        for member in members {
            let fields = payload(&member.schema);
            if fields.is_empty() {
                class_of.push(None);
                continue;
            }
            let known = classes.iter().position(|class| class.tag == member.tag);
            class_of.push(Some(known.unwrap_or(classes.len())));
            match known {
                Some(known) => classes[known].unite(&fields, member)?,
                None => classes.push(Class::new(fields, member)?),
            }
        }
        let recording = members.iter().any(|member| member.schema.field_with_name(RECORDING).is_ok());
        let keys = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let mut fields = vec![Field::new(TIMESTAMP, DataType::Int64, false), Field::new(TOPIC, keys, false)];
        if recording {
            fields.push(Field::new(RECORDING, DataType::Int64, true));
        }
        for (index, class) in classes.iter().enumerate() {
            let always = class_of.iter().all(|of| *of == Some(index));
            fields.push(Field::new(&class.tag, DataType::Struct(class.fields.clone()), !always));
        }
        let names = Arc::new(StringArray::from_iter_values(members.iter().map(|member| &member.name)));
        Ok(Self { schema: Arc::new(Schema::new(fields)), names, classes, class_of, recording })
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// One batch of `runs`, each a range of rows of a piece.
    pub(crate) fn batch(&self, pieces: &[Piece], runs: &[(usize, Range<usize>)]) -> Result<RecordBatch> {
        let rows = runs.iter().map(|(_, rows)| rows.len()).sum();
        let mut times: Vec<i64> = Vec::with_capacity(rows);
        let mut topics: Vec<i32> = Vec::with_capacity(rows);
        for (piece, rows) in runs {
            let piece = &pieces[*piece];
            times.extend_from_slice(&piece.times[rows.clone()]);
            topics.resize(times.len(), i32::try_from(piece.topic).unwrap_or(i32::MAX));
        }
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(times)),
            Arc::new(DictionaryArray::try_new(Int32Array::from(topics), Arc::clone(&self.names))?),
        ];
        if self.recording {
            let column = |piece: &Piece| Ok(piece.batch.column_by_name(RECORDING).map(Arc::clone));
            columns.push(gather(pieces, runs, rows, column, || new_null_array(&DataType::Int64, 1))?);
        }
        for (index, class) in self.classes.iter().enumerate() {
            let column = |piece: &Piece| match self.class_of[piece.topic] {
                Some(of) if of == index => class.column(&piece.batch).map(Some),
                _ => Ok(None),
            };
            columns.push(gather(pieces, runs, rows, column, || class.absent())?);
        }
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

/// The columns of a topic's class.
fn payload(schema: &Schema) -> Fields {
    let envelope = |field: &&Arc<Field>| ![TIMESTAMP, RECORDING].contains(&field.name().as_str());
    schema.fields().iter().filter(envelope).cloned().collect()
}

impl Class {
    fn new(fields: Fields, member: &Member) -> Result<Self> {
        if [TIMESTAMP, RECORDING, TOPIC].contains(&member.tag.as_str()) {
            let Member { name, tag, .. } = member;
            let message = format!(
                "topic `{name}` has the ontology tag `{tag}`, a column of all merged topics; read it alone"
            );
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        Ok(Self { tag: member.tag.clone(), fields })
    }

    /// Adds the columns of another topic of the class.
    fn unite(&mut self, other: &Fields, member: &Member) -> Result<()> {
        if self.fields == *other {
            return Ok(());
        }
        let optional = |field: &Field| Arc::new(field.clone().with_nullable(true));
        let mut all: Vec<Arc<Field>> = Vec::new();
        for field in &self.fields {
            let same = other.iter().find(|candidate| candidate.name() == field.name());
            all.push(match same {
                Some(same) if same.data_type() != field.data_type() => {
                    let Member { name, tag, .. } = member;
                    let message = format!(
                        "column `{tag}.{}` is {} in topic `{name}` and {} in one before it; select other columns or \
                         read the topics apart",
                        field.name(),
                        same.data_type(),
                        field.data_type()
                    );
                    return Err(Error::new(ErrorKind::InvalidInput, message));
                }
                Some(same) if same.is_nullable() == field.is_nullable() => Arc::clone(field),
                _ => optional(field),
            });
        }
        let known = |field: &&Arc<Field>| !self.fields.iter().any(|known| known.name() == field.name());
        all.extend(other.iter().filter(known).map(|field| optional(field)));
        self.fields = all.into();
        Ok(())
    }

    fn column(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        let column = |field: &Arc<Field>| match batch.column_by_name(field.name()) {
            Some(column) => Arc::clone(column),
            None => new_null_array(field.data_type(), batch.num_rows()),
        };
        let columns = self.fields.iter().map(column).collect();
        Ok(Arc::new(StructArray::try_new(self.fields.clone(), columns, None)?))
    }

    /// One row without the class. Non-nullable fields get a filler value below the null, so only the struct
    /// has a validity bitmap.
    fn absent(&self) -> ArrayRef {
        let columns = self.fields.iter().map(|field| filler(field)).collect();
        let nulls = Some(NullBuffer::new_null(1));
        match StructArray::try_new(self.fields.clone(), columns, nulls) {
            Ok(absent) => Arc::new(absent),
            Err(_) => new_null_array(&DataType::Struct(self.fields.clone()), 1),
        }
    }
}

/// A value that no reader sees.
fn filler(field: &Field) -> ArrayRef {
    match field.data_type() {
        DataType::Struct(fields) if !field.is_nullable() => {
            let columns = fields.iter().map(|field| filler(field)).collect();
            let all = StructArray::try_new(fields.clone(), columns, None);
            all.map_or_else(|_| new_null_array(field.data_type(), 1), |all| Arc::new(all))
        }
        data_type if data_type.is_primitive() => {
            let zero = new_null_array(data_type, 1).to_data().into_builder().nulls(None);
            zero.build().map_or_else(|_| new_null_array(data_type, 1), make_array)
        }
        data_type => new_null_array(data_type, 1),
    }
}

/// Gathers the rows of `runs` from the columns that `column` returns; uses `absent`, one row, where it
/// returns none.
fn gather(
    pieces: &[Piece],
    runs: &[(usize, Range<usize>)],
    rows: usize,
    column: impl Fn(&Piece) -> Result<Option<ArrayRef>>,
    absent: impl FnOnce() -> ArrayRef,
) -> Result<ArrayRef> {
    let mut arrays = Vec::with_capacity(pieces.len() + 1);
    let mut place = Vec::with_capacity(pieces.len());
    for piece in pieces {
        place.push(match column(piece)? {
            Some(array) => {
                arrays.push(array);
                Some(arrays.len() - 1)
            }
            None => None,
        });
    }
    if let ([(piece, rows)], [array], Some(_)) = (runs, &arrays[..], place[runs[0].0]) {
        debug_assert!(*piece < pieces.len());
        return Ok(array.slice(rows.start, rows.len()));
    }
    let missing = arrays.len();
    if place.iter().any(Option::is_none) {
        arrays.push(absent());
    }
    if rows / runs.len().max(1) < SHORT_RUN {
        let mut indices = Vec::with_capacity(rows);
        for (piece, rows) in runs {
            match place[*piece] {
                Some(array) => indices.extend(rows.clone().map(|row| (array, row))),
                None => indices.extend(rows.clone().map(|_| (missing, 0))),
            }
        }
        let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
        return Ok(interleave(&arrays, &indices)?);
    }
    let data: Vec<_> = arrays.iter().map(|array| array.to_data()).collect();
    let mut out = MutableArrayData::new(data.iter().collect(), missing < data.len(), rows);
    for (piece, rows) in runs {
        match place[*piece] {
            Some(array) => out.try_extend(array, rows.start, rows.end)?,
            None => rows.clone().try_for_each(|_| out.try_extend(missing, 0, 1))?,
        }
    }
    Ok(make_array(out.freeze()))
}

#[cfg(test)]
mod tests;
