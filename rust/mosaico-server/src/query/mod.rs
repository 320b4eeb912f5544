//! The action `query`: the catalogue proposes sequences and topics, statistics and rows decide.
//!
//! [`run`] reads the query, [`evaluate`] is its meaning for one sequence, [`scan`] searches the rows of one topic.
//! Conditions on rows are exact: [`check`] compares integers and floats without rounding.

mod check;
mod columns;
mod evaluate;
mod metadata;
mod page;
mod pattern;
mod prune;
mod rows;
mod scan;
mod tags;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::{StreamExt, stream};
use mosaico_wire::query::{Condition, Expr, Field, Query, QueryAnswer, QueryItem, QueryTopic, Sections};
use std::sync::atomic::Ordering::Relaxed;

use self::evaluate::{Batch, Candidate, Compiled, Part, address};
use self::page::Place;
use self::rows::compile;
use self::scan::{Counters, Found, Scanner, Span, TopicRows, joined};
use crate::batch::parse_schema_message;
use crate::catalog::{FoundSequence, FoundTopic};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::id::{SequenceId, TopicId};

/// Sequences whose topics and statistics are in memory at the same time.
const BATCH: usize = 512;

/// Answers a query.
pub(crate) async fn run(core: &Arc<Core>, body: &[u8]) -> Result<QueryAnswer> {
    let search = async { Search::new(core, Query::parse(body)?).await?.answer().await };
    tokio::select! {
        answer = search => answer,
        () = core.halting.cancelled() => Err(Error::ShuttingDown),
    }
}

/// A query on its way.
#[derive(Debug)]
struct Search {
    core: Arc<Core>,
    query: Query,
    select: Expr<Part>,
    tags_in_use: HashSet<String>,
    needs: Needs,
    counters: Arc<Counters>,
}

/// What has to be fetched.
#[derive(Debug, Default, Clone, Copy)]
struct Needs {
    sequence_metadata: bool,
    topic_metadata: bool,
    rows: bool,
    /// Times of whole topics.
    spans: bool,
    /// Properties of topics; without, sequences without topics are found too.
    topics: bool,
}

impl Needs {
    fn of(query: &Query) -> Self {
        let mut needs = Self::default();
        query.select.leaves(&mut |sections: &Sections| {
            needs.sequence_metadata |= looks_at_metadata(sections.sequence.as_ref());
            needs.topic_metadata |= looks_at_metadata(sections.topic.as_ref());
            needs.rows |= sections.values.is_some();
            needs.spans |= sections.ranges && sections.values.is_none();
            needs.topics |= sections.topic.is_some() || sections.values.is_some();
        });
        needs.sequence_metadata |= query.order.iter().any(|by| matches!(by.field, Field::Metadata(_)));
        needs
    }
}

fn looks_at_metadata(conditions: Option<&Expr<Condition>>) -> bool {
    let mut found = false;
    if let Some(conditions) = conditions {
        conditions.leaves(&mut |condition| found |= matches!(condition.field, Field::Metadata(_)));
    }
    found
}

impl Search {
    async fn new(core: &Arc<Core>, query: Query) -> Result<Self> {
        let mut tags = Vec::new();
        query.select.leaves(&mut |sections: &Sections| {
            if let Some(values) = &sections.values {
                values.leaves(&mut |value| tags.extend(tags::prefixes(&value.key).map(str::to_owned)));
            }
        });
        let tags_in_use = match tags.is_empty() {
            true => HashSet::new(),
            false => core.catalog.tags_in_use(&tags).await?.into_iter().collect(),
        };
        let select = parts(&query.select, &tags_in_use)?;
        let (core, needs) = (Arc::clone(core), Needs::of(&query));
        Ok(Self { core, query, select, tags_in_use, needs, counters: Arc::default() })
    }

    async fn answer(&self) -> Result<QueryAnswer> {
        let sequences = self.sequences().await?;
        let limit = self.query.limit.map_or(usize::MAX, usize::from);
        let mut items = Vec::new();
        let mut last = None;
        let mut more = false;
        let mut rest = sequences.into_iter();
        'batches: loop {
            let sequences: Vec<FoundSequence> = rest.by_ref().take(BATCH).collect();
            if sequences.is_empty() {
                break;
            }
            let (batch, candidates) = self.batch(sequences).await?;
            let width = self.core.config.query_jobs;
            let searches: Vec<_> =
                candidates.iter().map(|candidate| batch.matches(&self.select, candidate)).collect();
            let mut found = stream::iter(searches).buffered(width);
            for candidate in &candidates {
                let Some(found) = found.next().await else { break };
                let Some(item) = item(candidate, &found?) else { continue };
                if items.len() == limit {
                    more = true;
                    break 'batches;
                }
                items.push(item);
                last = Some(Place::of(&candidate.sequence, &self.query.order));
            }
        }
        let cursor = last.filter(|_| more).map(|place| place.cursor(&self.query.order));
        Ok(QueryAnswer {
            items,
            cursor: self.query.limit.map(|_| cursor),
            explain: self.query.explain.then(|| self.counters.explain()),
        })
    }

    /// Candidates of this page and all later ones, in order.
    async fn sequences(&self) -> Result<Vec<FoundSequence>> {
        let tags = |sections: &Sections| self.meant(sections);
        let catalog = &self.core.catalog;
        let found =
            catalog.candidate_sequences(&self.query.select, &tags, self.needs.sequence_metadata).await?;
        let order = &self.query.order;
        let place = |sequence: FoundSequence| (Place::of(&sequence, order), sequence);
        let mut placed: Vec<_> = found.into_iter().map(place).collect();
        placed.sort_by(|(a, _), (b, _)| a.compare(b, order));
        if let Some(cursor) = &self.query.cursor {
            let start = Place::parse(cursor, order)?;
            placed.drain(..placed.partition_point(|(place, _)| place.compare(&start, order).is_le()));
        }
        Ok(placed.into_iter().map(|(_, sequence)| sequence).collect())
    }

    fn meant(&self, sections: &Sections) -> Vec<String> {
        sections.values.as_ref().map_or_else(Vec::new, |values| tags::meant(values, &self.tags_in_use))
    }

    /// Fetches what is needed to decide about some sequences.
    async fn batch(&self, sequences: Vec<FoundSequence>) -> Result<(Batch, Vec<Candidate>)> {
        let catalog = &self.core.catalog;
        // Before the catalogue: rows move from the log to chunks, never back.
        let live = if self.needs.spans { self.core.live.spans() } else { Vec::new() };
        let ids: Vec<SequenceId> = sequences.iter().map(|sequence| sequence.id).collect();
        let tags = |sections: &Sections| self.meant(sections);
        let only = match &self.query.select {
            Expr::Is(sections) => Some((sections, &tags as &(dyn Fn(&Sections) -> Vec<String> + Sync))),
            _ => None,
        };
        let topics = catalog.candidate_topics(&ids, only, self.needs.topic_metadata).await?;
        self.counters.sequences.fetch_add(sequences.len() as u64, Relaxed);
        self.counters.topics.fetch_add(topics.len() as u64, Relaxed);
        let mut by_sequence: HashMap<SequenceId, Vec<FoundTopic>> = HashMap::new();
        for topic in topics {
            by_sequence.entry(topic.sequence).or_default().push(topic);
        }
        let candidates: Vec<Candidate> = sequences
            .into_iter()
            .map(|sequence| {
                let mut topics = by_sequence.remove(&sequence.id).unwrap_or_default();
                topics.sort_by(|a, b| a.path.cmp(&b.path));
                Candidate { sequence, topics }
            })
            .collect();
        let compiled = self.compiled(&candidates).await?;
        let rows = self.rows(&candidates, &compiled).await?;
        let mut spans: HashMap<TopicId, Span> = HashMap::new();
        let stored = candidates.iter().flat_map(|candidate| &candidate.topics);
        let stored = stored.filter_map(|topic| Some((topic.id, topic.bounds?)));
        for (topic, span) in stored.chain(live) {
            let known = spans.get(&topic).copied();
            spans.extend(joined(known, Some(span)).map(|span| (topic, span)));
        }
        let scanner = Scanner { core: Arc::clone(&self.core), counters: Arc::clone(&self.counters) };
        let bare_sequences = !self.needs.topics;
        Ok((Batch { scanner, compiled, rows, spans, bare_sequences }, candidates))
    }

    /// The conditions on rows for the schemas of all topics that they are about.
    async fn compiled(&self, candidates: &[Candidate]) -> Result<Compiled> {
        let mut conditions = Vec::new();
        self.select.leaves(&mut |part: &Part| conditions.extend(part.alternatives.iter().flatten()));
        let mut compiled = Compiled::new();
        if conditions.is_empty() {
            return Ok(compiled);
        }
        let topics = || candidates.iter().flat_map(|candidate| &candidate.topics);
        // Topics of one kind share their schema.
        let ids: HashSet<i64> = topics().filter_map(|topic| topic.schema).collect();
        let messages = self.core.catalog.schemas(&ids.into_iter().collect::<Vec<_>>()).await?;
        let mut schemas = HashMap::new();
        for (id, message) in &messages {
            schemas.insert(*id, parse_schema_message(message)?);
        }
        let mut known = HashMap::new();
        for topic in topics() {
            let Some((id, schema)) = topic.schema.and_then(|id| Some((id, schemas.get(&id)?))) else {
                continue;
            };
            for (_, fields) in conditions.iter().filter(|(tag, _)| **tag == topic.ontology_tag) {
                let condition = address(*fields);
                let expr = known.entry((condition, id)).or_insert_with(|| Arc::new(compile(schema, fields)));
                compiled.insert((condition, topic.id), Arc::clone(expr));
            }
        }
        Ok(compiled)
    }

    /// The durable rows of the topics that conditions are about.
    async fn rows(
        &self,
        candidates: &[Candidate],
        compiled: &Compiled,
    ) -> Result<HashMap<TopicId, TopicRows>> {
        let wanted: HashSet<TopicId> = compiled.keys().map(|(_, topic)| *topic).collect();
        if wanted.is_empty() {
            return Ok(HashMap::new());
        }
        let mut columns = HashSet::new();
        let distinct: HashMap<usize, _> = compiled.values().map(|expr| (address(&**expr), expr)).collect();
        for expr in distinct.values() {
            expr.leaves(&mut |test| columns.extend(test.column.iter().map(|column| column.path.clone())));
        }
        let (topics, columns) =
            (wanted.iter().copied().collect::<Vec<_>>(), columns.into_iter().collect::<Vec<_>>());
        // Before the catalogue, as above; opened, they stay readable.
        let mut segments = HashMap::new();
        for topic in &topics {
            if let Some(live) = self.core.live.get(*topic) {
                segments.insert(*topic, live.views()?);
            }
        }
        let mut chunks = self.core.catalog.chunk_stats(&topics, &columns).await?;
        let mut rows = HashMap::new();
        for candidate in candidates {
            for topic in candidate.topics.iter().filter(|topic| wanted.contains(&topic.id)) {
                let segments: Vec<_> =
                    segments.remove(&topic.id).unwrap_or_default().into_iter().map(Arc::new).collect();
                let mut chunks = chunks.remove(&topic.id).unwrap_or_default();
                chunks.retain(|chunk| segments.iter().all(|segment| segment.index != chunk.row.index));
                let found = TopicRows { sequence: topic.sequence, topic: topic.id, chunks, segments };
                rows.insert(topic.id, found);
            }
        }
        Ok(rows)
    }
}

/// Sorts the conditions on values by tag.
fn parts(select: &Expr<Sections>, in_use: &HashSet<String>) -> Result<Expr<Part>> {
    let each = |children: &[Expr<Sections>]| {
        children.iter().map(|child| parts(child, in_use)).collect::<Result<Vec<_>>>()
    };
    Ok(match select {
        Expr::All(children) => Expr::All(each(children)?),
        Expr::Any(children) => Expr::Any(each(children)?),
        Expr::Not(child) => Expr::Not(Box::new(parts(child, in_use)?)),
        Expr::Is(sections) => {
            let alternatives = match &sections.values {
                Some(values) => tags::alternatives(values, in_use)?,
                None => Vec::new(),
            };
            Expr::Is(Part { sections: sections.clone(), alternatives })
        }
    })
}

/// The answer about a sequence, if anything of it matches.
fn item(candidate: &Candidate, found: &[Found]) -> Option<QueryItem> {
    let sequence = &candidate.sequence.name;
    let topic = |(topic, found): (&FoundTopic, &Found)| {
        let timestamp_range = (*found)?;
        Some(QueryTopic { locator: format!("{sequence}/{}", topic.path), timestamp_range })
    };
    let topics = candidate.topics.iter().zip(found).filter_map(topic).collect();
    found.iter().any(Option::is_some).then(|| QueryItem { sequence: sequence.clone(), topics })
}
