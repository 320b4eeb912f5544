//! Reads topics as columns: one topic as the daemon sends it, or several merged by time.

use std::ops::Range;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use futures::future::try_join_all;
use mosaico_select::{Projection, SelectError, find};
use mosaico_types::{ErrorKind, TimeWindow};
use mosaico_wire::damage::DamagedRows;
use mosaico_wire::metadata::{PROPERTIES, Properties};
use mosaico_wire::query::ValueCondition;
use mosaico_wire::select::Selection;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::info::Info;
use crate::layout::{Layout, Member, Piece, RECORDING, TIMESTAMP};
use crate::merge::{Merge, Run};
use crate::read_ahead::{ReadAhead, batch_bytes};
use crate::stream::TopicStream;

/// A merged batch is complete when it has this many rows or this many bytes.
const MERGED_ROWS: usize = 64 << 10;
const MERGED_BYTES: usize = 4 << 20;

/// Longest single wait for rows of followed topics.
const REFILL_WAIT: Duration = Duration::from_millis(200);

/// The topics to read, and how.
#[derive(Debug, Clone)]
pub struct ReadPlan {
    /// Locators of the topics, `sequence/topic`.
    pub topics: Vec<String>,
    /// The time window.
    pub window: TimeWindow,
    /// Columns and conditions. Columns of one topic have their stored names; those of merged topics have
    /// their tag as prefix.
    pub selection: Selection,
    /// Merge the topics and identify them in a column, even if there is only one topic.
    pub merged: bool,
    /// Follow topics while they are recorded; a row waits this long for earlier rows of silent topics.
    pub follow: Option<Duration>,
    /// The budget of batches that are read ahead.
    pub read_ahead: ReadAhead,
}

/// Batches of rows in time order.
pub struct Batches(Source);

enum Source {
    One(TopicStream),
    Merged(Box<Merged>),
}

impl Batches {
    /// The schema of all batches.
    pub fn schema(&self) -> &SchemaRef {
        match &self.0 {
            Source::One(stream) => stream.schema(),
            Source::Merged(merged) => merged.layout.schema(),
        }
    }

    /// The rows of damaged chunks that the daemon left out; complete at the end.
    pub fn skipped(&self) -> Vec<DamagedRows> {
        match &self.0 {
            Source::One(stream) => stream.skipped(),
            Source::Merged(merged) => merged.merge.skipped(),
        }
    }

    /// The next batch (never empty), or `None` at the end. Cancel-safe.
    ///
    /// # Errors
    /// The error that ended a stream early; every later call returns it again.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        match &mut self.0 {
            Source::One(stream) => stream.next().await,
            Source::Merged(merged) => merged.next().await,
        }
    }
}

impl Client {
    /// Opens the topics of `plan` as columns.
    ///
    /// # Errors
    /// The server's refusal, columns or conditions that fit none of the topics, or topics that cannot be
    /// merged.
    pub async fn batches(&self, plan: &ReadPlan) -> Result<Batches> {
        let infos = plan.topics.iter().map(|topic| self.info(topic, plan.window));
        let infos = try_join_all(infos).await?;
        let topics = plan.topics.iter().zip(infos).map(|(locator, info)| Topic::new(locator, info));
        let topics = topics.collect::<Result<Vec<_>>>()?;
        if plan.follow.is_some() && plan.selection.columns.is_some() {
            topics.iter().try_for_each(Topic::check_schema)?;
        }
        check_condition(&plan.selection, &topics)?;
        let selections = match (plan.merged, &plan.selection.columns) {
            (true, Some(columns)) => split(columns, &plan.selection, &topics)?,
            _ => vec![plan.selection.clone(); topics.len()],
        };
        let streams = topics.iter().zip(&selections).map(|(topic, selection)| {
            let (ticket, read_ahead) = (topic.ticket.clone(), plan.read_ahead.clone());
            self.select(ticket, &topic.tag, selection, read_ahead, plan.follow.is_some())
        });
        let mut streams = try_join_all(streams).await?;
        if !plan.merged && streams.len() == 1 {
            return Ok(Batches(Source::One(streams.remove(0))));
        }
        let member = |(topic, stream): (&Topic, &TopicStream)| Member {
            name: topic.name.clone(),
            tag: topic.tag.clone(),
            schema: std::sync::Arc::clone(stream.schema()),
        };
        let members: Vec<Member> = topics.iter().zip(&streams).map(member).collect();
        let layout = Layout::new(&members)?;
        let live = plan.follow.is_some();
        let merge = match plan.follow {
            Some(lateness) => Merge::live(streams, lateness),
            None => Merge::new(streams),
        };
        let pieces = vec![None; members.len()];
        let merged = Merged { merge, layout, live, open: pieces, gathered: Gathered::default() };
        Ok(Batches(Source::Merged(Box::new(merged))))
    }
}

/// The catalog's facts about a topic.
struct Topic {
    name: String,
    tag: String,
    schema: Schema,
    ticket: Vec<u8>,
}

impl Topic {
    fn new(locator: &str, info: Info) -> Result<Self> {
        let malformed =
            |what: &str| Error::new(ErrorKind::Internal, format!("`{locator}`: the server sent {what}"));
        let properties = info.schema.metadata().get(PROPERTIES).ok_or_else(|| malformed("no properties"))?;
        let properties: Properties =
            serde_json::from_str(properties).map_err(|_| malformed("malformed properties"))?;
        let endpoint = info.endpoints.into_iter().next().ok_or_else(|| malformed("no endpoint"))?;
        let path = locator.trim_start_matches('/').split_once('/').map_or("", |(_, path)| path);
        let (tag, ticket) = (properties.ontology_tag, endpoint.ticket);
        Ok(Self { name: format!("/{path}"), tag, schema: info.schema, ticket })
    }

    fn check_schema(&self) -> Result<()> {
        if !self.schema.fields().is_empty() {
            return Ok(());
        }
        let message = format!(
            "topic `{}` has no columns yet, since its recording has not begun; ask for its columns later",
            self.name
        );
        Err(Error::new(ErrorKind::FailedPrecondition, message))
    }

    /// The part of a merged column's path after the topic's tag.
    fn below<'a>(&self, column: &'a str) -> Option<&'a str> {
        column.strip_prefix(self.tag.as_str())?.strip_prefix('.')
    }

    /// The columns of this topic that `column` of the merged topics names.
    fn columns(&self, column: &str) -> Vec<String> {
        let fields = self.schema.fields();
        if column == self.tag {
            let payload =
                fields.iter().filter(|field| ![TIMESTAMP, RECORDING].contains(&field.name().as_str()));
            return payload.map(|field| field.name().clone()).collect();
        }
        let path = if [TIMESTAMP, RECORDING].contains(&column) { Some(column) } else { self.below(column) };
        path.filter(|path| find(&self.schema, path).is_some()).map(str::to_owned).into_iter().collect()
    }
}

/// Checks that the condition names columns of the topics.
fn check_condition(selection: &Selection, topics: &[Topic]) -> Result<()> {
    let conditions = selection.conditions().map_err(SelectError::from)?;
    let mut strange = None;
    if let Some(conditions) = &conditions {
        conditions.leaves(&mut |condition: &ValueCondition| {
            if !topics.iter().any(|topic| topic.below(&condition.key).is_some()) {
                strange = Some(condition.key.clone());
            }
        });
    }
    let Some(key) = strange else { return Ok(()) };
    let message =
        format!("the condition on `{key}` is about none of the topics, which have {}", tags(topics));
    Err(Error::new(ErrorKind::InvalidInput, message))
}

fn tags(topics: &[Topic]) -> String {
    let mut tags: Vec<String> = topics.iter().map(|topic| format!("`{}`", topic.tag)).collect();
    tags.sort();
    tags.dedup();
    format!("the tags {}", tags.join(", "))
}

/// The columns of merged topics, sorted by topic; each has to name a column of at least one topic.
fn split(columns: &[String], selection: &Selection, topics: &[Topic]) -> Result<Vec<Selection>> {
    let mut found = vec![Vec::new(); topics.len()];
    for column in columns {
        let mut known = column == RECORDING;
        for (topic, found) in topics.iter().zip(&mut found) {
            let here = topic.columns(column);
            known |= !here.is_empty();
            found.extend(here);
        }
        if !known {
            return Err(unknown(column, topics));
        }
    }
    let with = |columns| Selection { columns: Some(columns), condition: selection.condition.clone() };
    Ok(found.into_iter().map(with).collect())
}

fn unknown(column: &str, topics: &[Topic]) -> Error {
    // The topic's own error lists the fields of its class.
    if let Some((topic, path)) = topics.iter().find_map(|topic| Some((topic, topic.below(column)?)))
        && let Err(error) = Projection::new(&topic.schema, &[path.to_owned()])
    {
        return Error::new(
            ErrorKind::InvalidInput,
            format!("column `{column}` of topic `{}`: {error}", topic.name),
        );
    }
    let message = format!(
        "there is no column `{column}`; name `{RECORDING}`, or `<tag>` or `<tag>.<field>` with one of {}",
        tags(topics)
    );
    Error::new(ErrorKind::InvalidInput, message)
}

/// Topics in time order, collected into batches.
struct Merged {
    merge: Merge,
    layout: Layout,
    live: bool,
    /// Index of each topic's current batch among the collected batches.
    open: Vec<Option<usize>>,
    gathered: Gathered,
}

#[derive(Default)]
struct Gathered {
    pieces: Vec<Piece>,
    row_bytes: Vec<usize>,
    runs: Vec<(usize, Range<usize>)>,
    rows: usize,
    bytes: usize,
}

impl Merged {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let gathered = &self.gathered;
            if gathered.rows >= MERGED_ROWS || gathered.bytes >= MERGED_BYTES {
                return self.take().map(Some);
            }
            match self.merge.peek_run(MERGED_ROWS - gathered.rows) {
                Run::Rows { topic, rows } => self.gather(topic, rows),
                Run::Refill if self.live && self.gathered.rows > 0 => return self.take().map(Some),
                Run::Refill => {
                    let starved = self.merge.starved().to_vec();
                    if self.live {
                        self.merge.refill_live(REFILL_WAIT).await?;
                    } else {
                        self.merge.refill().await?;
                    }
                    starved.into_iter().for_each(|topic| self.open[topic] = None);
                }
                Run::End if self.gathered.rows > 0 => return self.take().map(Some),
                Run::End => return Ok(None),
            }
        }
    }

    fn gather(&mut self, topic: usize, rows: Range<usize>) {
        let gathered = &mut self.gathered;
        let piece = match self.open[topic] {
            Some(piece) => piece,
            None => {
                let Some(batch) = self.merge.batch(topic) else { return };
                gathered.row_bytes.push(batch_bytes(batch) / batch.num_rows().max(1));
                let times = self.merge.times(topic).clone();
                gathered.pieces.push(Piece { topic, batch: batch.clone(), times });
                *self.open[topic].insert(gathered.pieces.len() - 1)
            }
        };
        gathered.rows += rows.len();
        gathered.bytes += rows.len() * gathered.row_bytes[piece];
        self.merge.advance_by(rows.len());
        gathered.runs.push((piece, rows));
    }

    fn take(&mut self) -> Result<RecordBatch> {
        self.open.fill(None);
        let gathered = std::mem::take(&mut self.gathered);
        self.layout.batch(&gathered.pieces, &gathered.runs)
    }
}
