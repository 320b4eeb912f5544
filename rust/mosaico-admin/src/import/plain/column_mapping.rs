//! Maps the columns of files to those of a topic.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use mosaico_select::{Mismatch, Projection, conform, find};
use mosaico_storage::error::{Error, Result};

use super::mapping::{Change, Source, TopicMapping};
use super::pattern::Pattern;
use super::values::{changed, constant, repeated, values};

/// The mapping for all files of a topic.
#[derive(Debug)]
pub(crate) struct Recipe {
    schema: SchemaRef,
    columns: Vec<(String, Source)>,
    ignored: Vec<Pattern>,
}

impl Recipe {
    pub(crate) fn new(topic: &TopicMapping, schema: SchemaRef) -> Result<Self> {
        let columns = topic.columns.iter().map(|(target, source)| (target.clone(), source.clone())).collect();
        let ignored = topic.ignore.iter().map(|text| Pattern::parse(text)).collect::<Result<_>>()?;
        Ok(Self { schema, columns, ignored })
    }

    /// The mapping for a file with these columns.
    pub(crate) fn for_file(&self, file: &Schema) -> Result<FileRecipe> {
        let mut taken: Vec<(String, Source)> = self.columns.clone();
        let named = self.columns.iter().filter_map(|(_, source)| match source {
            // The projection reports missing columns.
            Source::Column(source) => find(file, &source.column).map(|column| column.path),
            Source::Constant(_) => None,
        });
        let used: Vec<Vec<String>> = named.collect();
        let mut unmapped = Vec::new();
        for root in file.fields() {
            let leaves = leaves_of(root, &[]);
            let is_ignored = |name: &str| self.ignored.iter().any(|p| p.parts(name).is_some());
            let is_left = |leaf: &&Vec<String>| {
                let is_used = used.iter().any(|used| leaf.starts_with(used));
                !is_used && !is_ignored(&leaf.join(".")) && !is_ignored(root.name())
            };
            let left: Vec<String> = leaves.iter().filter(is_left).map(|leaf| leaf.join(".")).collect();
            if left.len() == leaves.len() && self.has_room_for(root.name()) {
                taken.push(by_name(root.name()));
                continue;
            }
            for path in left {
                if path != *root.name() && self.has_room_for(&path) {
                    taken.push(by_name(&path));
                } else {
                    unmapped.push(path);
                }
            }
        }
        self.checked(file, taken, unmapped)
    }

    /// Whether the topic has such a column and nothing else is mapped to it.
    fn has_room_for(&self, name: &str) -> bool {
        find(&self.schema, name).is_some()
            && !self.columns.iter().any(|(target, _)| lies_in(target, name) || lies_in(name, target))
    }

    fn checked(
        &self,
        file: &Schema,
        taken: Vec<(String, Source)>,
        unmapped: Vec<String>,
    ) -> Result<FileRecipe> {
        let named = |(_, source): &(String, Source)| match source {
            Source::Column(source) => Some(source.column.clone()),
            Source::Constant(_) => None,
        };
        let paths: Vec<String> = taken.iter().filter_map(named).collect();
        let projection = Projection::new(file, &paths).map_err(|e| Error::Invalid(e.to_string()))?;
        let mut steps = Vec::with_capacity(taken.len());
        for (target, source) in taken {
            let data_type = find(&self.schema, &target).map_or(DataType::Null, |column| column.data_type);
            let from = match &source {
                Source::Column(source) => {
                    let path = find(file, &source.column).map(|column| column.path).unwrap_or_default();
                    From::Column { path, change: source.change }
                }
                Source::Constant(value) => From::Constant(
                    constant(value, &data_type).map_err(|e| Error::Invalid(e.below(&target).to_string()))?,
                ),
            };
            steps.push(Step { target, source, from, data_type });
        }
        let recipe = FileRecipe { schema: Arc::clone(&self.schema), projection, steps, unmapped };
        // An empty batch reveals all errors that do not depend on values.
        recipe.rows(&RecordBatch::new_empty(Arc::clone(recipe.projection.schema())), 0)?;
        Ok(recipe)
    }
}

fn by_name(name: &str) -> (String, Source) {
    let source = super::mapping::ColumnSource { column: name.to_owned(), change: Change::None };
    (name.to_owned(), Source::Column(source))
}

/// Whether the dotted name is `outer` or a field inside it.
fn lies_in(inner: &str, outer: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Paths of the leaves of a column; a list is one leaf, whatever its items are.
fn leaves_of(field: &Field, outer: &[String]) -> Vec<Vec<String>> {
    let path = [outer, &[field.name().clone()]].concat();
    match field.data_type() {
        DataType::Struct(fields) => fields.iter().flat_map(|inner| leaves_of(inner, &path)).collect(),
        _ => vec![path],
    }
}

/// The mapping for one file.
#[derive(Debug)]
pub(crate) struct FileRecipe {
    schema: SchemaRef,
    projection: Projection,
    steps: Vec<Step>,
    /// Columns of the file that the topic does not use.
    pub unmapped: Vec<String>,
}

#[derive(Debug)]
struct Step {
    target: String,
    source: Source,
    from: From,
    /// Type of the target column.
    data_type: DataType,
}

#[derive(Debug)]
enum From {
    Column { path: Vec<String>, change: Change },
    Constant(ArrayRef),
}

impl FileRecipe {
    /// The schema of the topic.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The Parquet leaves that the mapping reads.
    pub(crate) fn leaves(&self) -> &[usize] {
        self.projection.leaves()
    }

    /// The target columns with a description of their sources.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.steps.iter().map(|step| (step.target.clone(), step.source.to_string()))
    }

    /// Converts rows of the file to rows of the topic; `first_row` is the number of the batch's first row.
    pub(crate) fn rows(&self, batch: &RecordBatch, first_row: u64) -> Result<RecordBatch> {
        self.converted(batch).map_err(|mismatch| {
            let column = mismatch.column();
            let step = self.steps.iter().find(|step| lies_in(&column, &step.target));
            let from = match step {
                Some(Step { target, source: Source::Column(source), .. }) if *target != source.column => {
                    format!(" (from `{}`)", source.column)
                }
                _ => String::new(),
            };
            let first = usize::try_from(first_row).unwrap_or(usize::MAX);
            Error::Invalid(format!("{}{from}", mismatch.map_row(|row| first.saturating_add(row))))
        })
    }

    fn converted(&self, batch: &RecordBatch) -> std::result::Result<RecordBatch, Mismatch> {
        let mut fields = Vec::with_capacity(self.steps.len());
        let mut columns = Vec::with_capacity(self.steps.len());
        for Step { target, from, data_type, .. } in &self.steps {
            let array = match from {
                From::Column { path, change } => {
                    values(batch, path).and_then(|array| changed(array, *change, data_type))
                }
                From::Constant(one) => repeated(one, batch.num_rows()),
            };
            let array = array.map_err(|mismatch| mismatch.below(target))?;
            fields.push(Field::new(target, array.data_type().clone(), true));
            columns.push(array);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let named = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?;
        conform(&self.schema, &named)
    }
}
