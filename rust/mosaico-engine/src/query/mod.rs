//! The action `query`: the catalog proposes sequences and topics, statistics and rows decide.
//!
//! [`run`] parses the query, [`evaluate`] defines its meaning for one sequence, [`scan`] searches the rows of
//! one topic. Conditions on rows are exact: [`check`] compares integers and floats without rounding.

mod evaluate;
mod metadata;
mod overlap;
mod page;
mod scan;
mod tags;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use arrow::datatypes::SchemaRef;
use futures::{StreamExt, stream};
use mosaico_catalog::{CandidateQuery, FoundSequence, FoundTopic, Kind, Overlap};
use mosaico_select::{FieldTest, RowTest, compile};
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::column_stats::bounded_columns;
use mosaico_storage::format::schema::parse_schema_message;
use mosaico_types::access::Visibility;
use mosaico_types::id::{SequenceId, TopicId};
use mosaico_wire::query::{Condition, Expr, Field, Query, QueryAnswer, QueryItem, QueryTopic, Sections};

use self::evaluate::{Batch, Candidate, OfTag, Part, Way};
use self::overlap::overlaps;
use self::page::Place;
use self::scan::{Counters, Found, Scanner, Span, TopicRows, joined};
use crate::state::chunk_reader::ChunkTopic;
use crate::state::engine::Engine;

/// Conditions on values that the catalog evaluates at most, since SQLite limits the size of a statement. The
/// rows decide on the others.
const MAX_OVERLAPS: usize = 100;
/// Conditions that the catalog evaluates at most; beyond that, the query visits all sequences.
const MAX_CONDITIONS: usize = 500;

/// Sequences whose topics and statistics are in memory at the same time.
const BATCH: usize = 512;

/// Answers a query with the sequences that the caller may read.
pub async fn run(core: &Arc<Engine>, body: &[u8], visible: Visibility) -> Result<QueryAnswer> {
    let limit = core.config.limits.query_time;
    let search = async { Search::new(core, Query::parse(body)?, visible).await?.answer().await };
    tokio::select! {
        answer = search => answer,
        () = tokio::time::sleep(limit) => Err(Error::Limit("max-query-time", format!(
            "the query was ended after {} s, the limit of this server (--max-query-time); add conditions on names, \
             metadata or times that exclude sequences, or ask for pages with `limit`",
            limit.as_secs_f64()
        ))),
        () = core.halting.cancelled() => Err(core.ended()),
    }
}

/// A query in progress.
#[derive(Debug)]
struct Search {
    core: Arc<Engine>,
    query: Query,
    select: Expr<Part>,
    needs: Needs,
    /// The other sequences do not exist for this query.
    visible: Visibility,
    counters: Arc<Counters>,
}

/// The facts that a query needs.
#[derive(Debug, Default, Clone, Copy)]
struct Needs {
    sequence_metadata: bool,
    topic_metadata: bool,
    rows: bool,
    /// First and last time of topics.
    spans: bool,
    /// Properties of topics; without this, the query finds sequences without topics too.
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
    async fn new(core: &Arc<Engine>, query: Query, visible: Visibility) -> Result<Self> {
        let mut tags = Vec::new();
        query.select.leaves(&mut |sections: &Sections| {
            if let Some(values) = &sections.values {
                values.leaves(&mut |value| tags.extend(tags::prefixes(&value.key).map(str::to_owned)));
            }
        });
        // Thousands of conditions have few tags. Each tag twice would mean each of its schemas twice.
        tags.sort_unstable();
        tags.dedup();
        let mut schemas = Schemas::new();
        if !tags.is_empty() {
            for (tag, id, message) in core.catalog.kinds(&tags).await? {
                schemas.entry(tag).or_default().push((id, parse_schema_message(&message)?));
            }
        }
        let select = parts(&query.select, &schemas)?;
        let (core, needs) = (Arc::clone(core), Needs::of(&query));
        Ok(Self { core, query, select, needs, visible, counters: Arc::default() })
    }

    async fn answer(&self) -> Result<QueryAnswer> {
        let sequences = self.sequences().await?;
        let limit = self.query.limit.map_or(usize::MAX, usize::from);
        let mut items = Vec::new();
        let mut last = None;
        let mut more = false;
        // Bounds that proposed many sequences exclude few, and searching them again for each batch costs
        // more.
        let by_bounds = sequences.len() <= BATCH;
        let mut rest = sequences.into_iter();
        'batches: loop {
            let sequences: Vec<FoundSequence> = rest.by_ref().take(BATCH).collect();
            if sequences.is_empty() {
                break;
            }
            let (batch, candidates) = self.batch(sequences, by_bounds).await?;
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
            incomplete: self.counters.incomplete(),
        })
    }

    /// Candidates of this page and all later ones, in order.
    async fn sequences(&self) -> Result<Vec<FoundSequence>> {
        let select = if self.is_long() { Expr::All(Vec::new()) } else { self.select.map(&mut wanted) };
        let found = self.core.catalog.candidate_sequences(&select, self.needs.sequence_metadata).await?;
        let order = &self.query.order;
        let place = |sequence: FoundSequence| (Place::of(&sequence, order), sequence);
        let found = found.into_iter().filter(|sequence| self.visible.shows(&sequence.name));
        let mut placed: Vec<_> = found.map(place).collect();
        placed.sort_by(|(a, _), (b, _)| a.compare(b, order));
        if let Some(cursor) = &self.query.cursor {
            let start = Place::parse(cursor, order)?;
            placed.drain(..placed.partition_point(|(place, _)| place.compare(&start, order).is_le()));
        }
        Ok(placed.into_iter().map(|(_, sequence)| sequence).collect())
    }

    /// Whether the query has too many conditions for one statement.
    fn is_long(&self) -> bool {
        let mut conditions = 0;
        self.select.leaves(&mut |Part { sections, ways }| {
            let on_properties = [&sections.sequence, &sections.topic].into_iter().flatten();
            on_properties.for_each(|expr| expr.leaves(&mut |_| conditions += 1));
            conditions += 1 + ways.iter().map(Vec::len).sum::<usize>();
        });
        conditions > MAX_CONDITIONS
    }

    /// Fetches the facts needed to evaluate some sequences.
    async fn batch(&self, sequences: Vec<FoundSequence>, by_bounds: bool) -> Result<(Batch, Vec<Candidate>)> {
        let catalog = &self.core.catalog;
        // Before the catalog: rows move from the WAL to chunks, never back.
        let live = if self.needs.spans { self.core.live.spans() } else { Vec::new() };
        let ids: Vec<SequenceId> = sequences.iter().map(|sequence| sequence.id).collect();
        let only = match &self.select {
            Expr::Is(part) if !self.is_long() => Some(wanted(part)),
            _ => None,
        };
        let topics =
            catalog.candidate_topics(&ids, only.as_ref(), by_bounds, self.needs.topic_metadata).await?;
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
        let rows = self.rows(&candidates).await?;
        let mut spans: HashMap<TopicId, Span> = HashMap::new();
        let stored = candidates.iter().flat_map(|candidate| &candidate.topics);
        let stored = stored.filter_map(|topic| Some((topic.id, topic.bounds?)));
        for (topic, span) in stored.chain(live) {
            let known = spans.get(&topic).copied();
            spans.extend(joined(known, Some(span)).map(|span| (topic, span)));
        }
        let scanner = Scanner { core: Arc::clone(&self.core), counters: Arc::clone(&self.counters) };
        let bare_sequences = !self.needs.topics;
        Ok((Batch { scanner, rows, spans, bare_sequences }, candidates))
    }

    /// The durable rows of the topics that conditions concern.
    async fn rows(&self, candidates: &[Candidate]) -> Result<HashMap<TopicId, TopicRows>> {
        let mut of_tags: Vec<&OfTag> = Vec::new();
        self.select.leaves(&mut |part: &Part| of_tags.extend(part.ways.iter().flatten()));
        let topics = candidates.iter().flat_map(|candidate| &candidate.topics);
        let wanted: HashSet<TopicId> = topics
            .filter(|topic| of_tags.iter().any(|of_tag| of_tag.expr(topic).is_some()))
            .map(|topic| topic.id)
            .collect();
        if wanted.is_empty() {
            return Ok(HashMap::new());
        }
        let mut columns = HashSet::new();
        for expr in of_tags.iter().flat_map(|of_tag| of_tag.rows.values()) {
            expr.leaves(&mut |test: &RowTest| {
                columns.extend(test.column.iter().map(|column| column.path.clone()));
            });
        }
        let (topics, columns) =
            (wanted.iter().copied().collect::<Vec<_>>(), columns.into_iter().collect::<Vec<_>>());
        // Before the catalog, as above; an opened segment stays readable.
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
                chunks.retain(|chunk| segments.iter().all(|segment| segment.index != chunk.row.id));
                let locator = format!("{}/{}", candidate.sequence.name, topic.path);
                let place = ChunkTopic { sequence: topic.sequence, topic: topic.id, locator };
                rows.insert(topic.id, TopicRows { topic: Arc::new(place), chunks, segments });
            }
        }
        Ok(rows)
    }
}

/// The schemas that topics have, by tag.
type Schemas = HashMap<String, Vec<(i64, SchemaRef)>>;

/// Groups the conditions on values by tag, and resolves them against the schemas of the tags.
fn parts(select: &Expr<Sections>, schemas: &Schemas) -> Result<Expr<Part>> {
    let in_use: HashSet<String> = schemas.keys().cloned().collect();
    let mut overlapping = 0;
    select.try_map(&mut |sections: &Sections| {
        let mut ways = Vec::new();
        if let Some(values) = &sections.values {
            for tags in tags::alternatives(values, &in_use)? {
                let of_tag = |(tag, fields)| of_tag(tag, &fields, schemas, &mut overlapping);
                ways.push(tags.into_iter().map(of_tag).collect());
            }
        }
        Ok(Part { sections: sections.clone(), ways })
    })
}

/// `overlapping` counts the conditions that the catalog evaluates.
fn of_tag(tag: String, fields: &Expr<FieldTest>, schemas: &Schemas, overlapping: &mut usize) -> OfTag {
    let (mut rows, mut kinds) = (HashMap::new(), Vec::new());
    for (id, schema) in schemas.get(&tag).into_iter().flatten() {
        let expr = Arc::new(compile(schema, fields));
        let mut overlaps = overlaps(&expr);
        overlaps.leaves(&mut |_| *overlapping += 1);
        if *overlapping > MAX_OVERLAPS {
            overlaps = Overlap::ANY;
        }
        kinds.push(Kind { tag: tag.clone(), schema: *id, bounded: bounded_columns(schema), overlaps });
        rows.insert(*id, expr);
    }
    OfTag { tag, rows, kinds }
}

/// The part of the query that the catalog evaluates.
fn wanted(part: &Part) -> CandidateQuery<'_> {
    fn kinds(way: &Way) -> Vec<&[Kind]> {
        way.iter().map(|of_tag| of_tag.kinds.as_slice()).collect()
    }
    let Part { sections, ways } = part;
    CandidateQuery {
        sequence: sections.sequence.as_ref(),
        topic: sections.topic.as_ref(),
        rows: sections.values.is_some().then(|| ways.iter().map(kinds).collect()),
    }
}

/// The answer for a sequence, if the sequence or one of its topics matches.
fn item(candidate: &Candidate, found: &[Found]) -> Option<QueryItem> {
    let sequence = &candidate.sequence.name;
    let topic = |(topic, found): (&FoundTopic, &Found)| {
        let timestamp_range = (*found)?;
        Some(QueryTopic { locator: format!("{sequence}/{}", topic.path), timestamp_range })
    };
    let topics = candidate.topics.iter().zip(found).filter_map(topic).collect();
    found.iter().any(Option::is_some).then(|| QueryItem { sequence: sequence.clone(), topics })
}
