//! Assigns files to topics of sequences, and finds all problems that do not require reading rows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mosaico_storage::error::{Error, Result};
use mosaico_types::{SequenceName, TopicPath};
use mosaico_wire::maintenance::Problem;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};

use super::column_mapping::Recipe;
use super::import_plan::{ImportPlan, PlannedSequence, PlannedTopic};
use super::mapping::{Mapping, SequenceMapping, TopicMapping};
use super::ontologies::Ontology;
use super::pattern::{Parts, Pattern, Template};
use crate::import::guarded::guarded;
use crate::import::source::{SourceSequence, SourceTopic, age};

type Metadata = Map<String, Value>;

/// The planned import.
#[derive(Debug)]
pub(crate) struct Plan {
    root: PathBuf,
    sequences: BTreeMap<SequenceName, Sequence>,
    left_out: Vec<String>,
    problems: Vec<Problem>,
}

#[derive(Debug)]
struct Sequence {
    /// Index of its entry in the mapping.
    entry: usize,
    metadata: Metadata,
    topics: Vec<Topic>,
}

#[derive(Debug)]
struct Topic {
    entry: usize,
    path: TopicPath,
    ontology: Ontology,
    recipe: Arc<Recipe>,
    metadata: Metadata,
    /// Paths below the root.
    files: Vec<String>,
    rows: u64,
    columns: BTreeMap<String, String>,
}

/// A topic entry of the mapping, with its patterns compiled.
struct TopicRule {
    pattern: Pattern,
    sequence: Template,
    name: Template,
    ontology: Ontology,
    recipe: Arc<Recipe>,
}

/// Makes the plan.
pub(crate) fn plan(root: &Path, mapping: &Mapping) -> Result<Plan> {
    let rules = mapping.sequences.iter().map(rules).collect::<Result<Vec<_>>>()?;
    if rules.iter().all(Vec::is_empty) {
        return Err(Error::Startup("the mapping has no topic; add [[sequence.topic]]".into()));
    }
    let paths = files_below(root)?;
    let mut found = Finding::default();
    for (index, (sequence, rules)) in mapping.sequences.iter().zip(&rules).enumerate() {
        for (number, (topic, rule)) in sequence.topics.iter().zip(rules).enumerate() {
            let like = || paths.iter().filter_map(|path| Some((path, rule.pattern.parts(path)?)));
            for (path, parts) in like() {
                found.add((index, sequence), (number, topic, rule), path, &parts)?;
            }
            if like().next().is_none() {
                let text = format!("{} has no file like `{}`", root.display(), topic.files);
                return Err(Error::Startup(text));
            }
        }
    }
    let is_parquet = |path: &&String| path.ends_with(".parquet") && !found.taken.contains(*path);
    let left_out = paths.iter().filter(is_parquet).cloned().collect();
    let mut plan = Plan { root: root.to_owned(), sequences: found.sequences, left_out, problems: Vec::new() };
    plan.look_into_files();
    Ok(plan)
}

fn rules(sequence: &SequenceMapping) -> Result<Vec<TopicRule>> {
    let rule = |topic: &TopicMapping| {
        let pattern = Pattern::parse(&topic.files)?;
        let ontology = Ontology::of(topic)?;
        let recipe = Arc::new(Recipe::new(topic, Arc::clone(&ontology.schema))?);
        let (sequence, name) =
            (Template::parse(&sequence.name, &pattern)?, Template::parse(&topic.name, &pattern)?);
        Ok(TopicRule { sequence, name, pattern, ontology, recipe })
    };
    sequence.topics.iter().map(rule).collect()
}

/// All files by their path below `root`, with slashes.
fn files_below(root: &Path) -> Result<Vec<String>> {
    let failed = |path: &Path, e| Error::Startup(format!("cannot read {}: {e}", path.display()));
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|e| failed(&folder, e))? {
            let entry = entry.map_err(|e| failed(&folder, e))?;
            let path = entry.path();
            let is_folder = entry.file_type().map_err(|e| failed(&path, e))?.is_dir();
            if is_folder {
                folders.push(path);
                continue;
            }
            let below = path.strip_prefix(root).unwrap_or(&path);
            let parts: Option<Vec<&str>> = below.iter().map(|part| part.to_str()).collect();
            let parts = parts.ok_or_else(|| {
                Error::Startup(format!("the name of {} is not UTF-8; rename the file", path.display()))
            })?;
            found.push(parts.join("/"));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The names that follow from the paths of files.
#[derive(Default)]
struct Finding {
    sequences: BTreeMap<SequenceName, Sequence>,
    taken: BTreeSet<String>,
}

impl Finding {
    fn add(
        &mut self,
        (entry, sequence): (usize, &SequenceMapping),
        (number, topic, rule): (usize, &TopicMapping, &TopicRule),
        path: &str,
        parts: &Parts,
    ) -> Result<()> {
        self.taken.insert(path.to_owned());
        let name = SequenceName::parse(&rule.sequence.fill(parts)?)?;
        let topic_path = TopicPath::parse(&rule.name.fill(parts)?)?;
        let metadata = filled(&sequence.metadata, &rule.pattern, parts)?;
        let target = self.sequences.entry(name.clone()).or_insert_with(|| Sequence {
            entry,
            metadata: metadata.clone(),
            topics: Vec::new(),
        });
        if target.entry != entry {
            return Err(refused(&format!("makes the sequence `{name}` twice")));
        }
        if target.metadata != metadata {
            return Err(refused(&format!(
                "gives `{name}` other metadata for {path} than for the files before"
            )));
        }
        let metadata = filled(&topic.metadata, &rule.pattern, parts)?;
        let known = target.topics.iter_mut().find(|topic| topic.path == topic_path);
        match known {
            Some(known) if known.entry != number => {
                Err(refused(&format!("makes the topic `{}` of `{name}` twice", topic_path.as_str())))
            }
            Some(known) if known.metadata != metadata => {
                let topic = topic_path.as_str();
                Err(refused(&format!(
                    "gives `{topic}` of `{name}` other metadata for {path} than for the files before"
                )))
            }
            Some(known) => {
                known.files.push(path.to_owned());
                Ok(())
            }
            None => {
                target.topics.push(Topic {
                    entry: number,
                    path: topic_path,
                    ontology: rule.ontology.clone(),
                    recipe: Arc::clone(&rule.recipe),
                    metadata,
                    files: vec![path.to_owned()],
                    rows: 0,
                    columns: BTreeMap::new(),
                });
                Ok(())
            }
        }
    }
}

fn refused(what: &str) -> Error {
    Error::Startup(format!("the mapping {what}"))
}

/// Metadata with the wildcards in its texts replaced.
fn filled(metadata: &Metadata, pattern: &Pattern, parts: &Parts) -> Result<Metadata> {
    let value = |(key, value): (&String, &Value)| {
        let value = match value {
            Value::String(text) => Value::String(Template::parse(text, pattern)?.fill(parts)?),
            other => other.clone(),
        };
        Ok((key.clone(), value))
    };
    metadata.iter().map(value).collect()
}

impl Plan {
    /// Drops sequences with files that cannot be imported, as far as their footers show.
    fn look_into_files(&mut self) {
        let (root, problems) = (&self.root, &mut self.problems);
        self.sequences.retain(|name, sequence| match sequence.look(root) {
            Ok(()) => true,
            Err(error) => {
                problems.push(Problem {
                    path: root.display().to_string(),
                    text: format!("sequence `{name}` is not imported: {error}"),
                    repaired: false,
                });
                false
            }
        });
    }

    /// The preview of the plan.
    pub(crate) fn preview(self) -> ImportPlan {
        let topic = |topic: Topic| PlannedTopic {
            name: topic.path.to_string(),
            ontology_tag: topic.ontology.tag.to_string(),
            metadata: topic.metadata,
            files: topic.files,
            rows: topic.rows,
            columns: topic.columns,
        };
        let sequence = |(name, sequence): (SequenceName, Sequence)| PlannedSequence {
            name: name.to_string(),
            metadata: sequence.metadata,
            topics: sequence.topics.into_iter().map(topic).collect(),
        };
        ImportPlan {
            sequences: self.sequences.into_iter().map(sequence).collect(),
            left_out: self.left_out,
            problems: self.problems,
        }
    }

    /// The sequences to write, the problems, and the files that the mapping does not match.
    pub(crate) fn into_sources(self) -> (Vec<SourceSequence>, Vec<Problem>, Vec<String>) {
        let root = self.root;
        let source = |(name, sequence): (SequenceName, Sequence)| {
            let topics: Vec<_> = sequence.topics.into_iter().map(|topic| topic.source(&root)).collect();
            SourceSequence {
                name,
                folder: root.clone(),
                user_metadata: Value::Object(sequence.metadata),
                created_ns: topics.iter().map(|topic| topic.created_ns).min().unwrap_or_default(),
                topics,
            }
        };
        (self.sequences.into_iter().map(source).collect(), self.problems, self.left_out)
    }
}

impl Sequence {
    fn look(&mut self, root: &Path) -> Result<()> {
        // A column of a file that several topics read is unmapped if none of them uses it.
        let mut unmapped: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for topic in &mut self.topics {
            for path in &topic.files {
                let failed = |e: &dyn std::fmt::Display| {
                    Error::Invalid(format!("{path} for topic `{}`: {e}", topic.path.as_str()))
                };
                let file = File::open(root.join(path)).map_err(|e| failed(&e))?;
                let builder = guarded(Path::new(path), || ParquetRecordBatchReaderBuilder::try_new(file))
                    .map_err(|e| failed(&e))?;
                let recipe = topic.recipe.for_file(builder.schema()).map_err(|e| failed(&e))?;
                let rows = builder.metadata().file_metadata().num_rows();
                topic.rows += u64::try_from(rows).map_err(|e| failed(&e))?;
                if topic.columns.is_empty() {
                    topic.columns = recipe.columns().collect();
                }
                let left: BTreeSet<String> = recipe.unmapped.into_iter().collect();
                unmapped
                    .entry(path.clone())
                    .and_modify(|others| others.retain(|column| left.contains(column)))
                    .or_insert(left);
            }
        }
        match unmapped.iter().find(|(_, columns)| !columns.is_empty()) {
            Some((path, columns)) => {
                let columns: Vec<_> = columns.iter().map(String::as_str).collect();
                Err(Error::Invalid(format!(
                    "the columns `{}` of {path} are mapped to nothing; add them to `columns`, or to `ignore`",
                    columns.join("`, `")
                )))
            }
            None => Ok(()),
        }
    }
}

impl Topic {
    fn source(self, root: &Path) -> SourceTopic {
        let files: Vec<PathBuf> = self.files.iter().map(|path| root.join(path)).collect();
        SourceTopic {
            path: self.path,
            tag: self.ontology.tag,
            format: self.ontology.format,
            user_metadata: Value::Object(self.metadata),
            created_ns: files.iter().map(|file| age(file)).min().unwrap_or_default(),
            files,
            recipe: Some(self.recipe),
            bounds: None,
        }
    }
}
