//! Evaluates a query on one sequence: which of its topics match. All conditions of a query concern one
//! sequence at a time, so this module defines the complete meaning of a query.

use std::collections::HashMap;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use mosaico_catalog::{FoundSequence, FoundTopic, Kind};
use mosaico_select::RowExpr;
use mosaico_storage::error::{Error, Result};
use mosaico_types::id::TopicId;
use mosaico_wire::query::{Expr, Sections};
use tokio::task::coop::consume_budget;

use super::metadata::{sequence_holds, topic_holds};
use super::scan::{Found, Scanner, Span, TopicRows, joined};

/// One query object, with its conditions on values grouped by tag.
#[derive(Debug)]
pub(super) struct Part {
    pub sections: Sections,
    pub ways: Vec<Way>,
}

/// One way to satisfy conditions on values: all of these, within one sequence.
pub(super) type Way = Vec<OfTag>;

/// The topics of a tag that have rows for a condition.
#[derive(Debug)]
pub(super) struct OfTag {
    pub tag: String,
    /// The condition, resolved against each schema that topics of the tag have.
    pub rows: HashMap<i64, Arc<RowExpr>>,
    /// The condition as far as the catalog can evaluate it.
    pub kinds: Vec<Kind>,
}

impl OfTag {
    /// The condition on the rows of a topic; `None` if the topic is not concerned.
    pub(super) fn expr(&self, topic: &FoundTopic) -> Option<&Arc<RowExpr>> {
        self.rows.get(&topic.schema?).filter(|_| topic.ontology_tag == self.tag)
    }
}

/// A sequence with its topics.
#[derive(Debug)]
pub(super) struct Candidate {
    pub sequence: FoundSequence,
    /// Sorted by path.
    pub topics: Vec<FoundTopic>,
}

/// The facts about a batch of sequences.
#[derive(Debug)]
pub(super) struct Batch {
    pub scanner: Scanner,
    pub rows: HashMap<TopicId, TopicRows>,
    /// First and last time of topics, where the query needs them without a condition on rows.
    pub spans: HashMap<TopicId, Span>,
    /// Whether a sequence without topics counts as one topic without properties.
    pub bare_sequences: bool,
}

impl Batch {
    /// The matches, topic by topic; a sequence without topics yields one match if such sequences count.
    pub(super) fn matches<'a>(
        &'a self,
        select: &'a Expr<Part>,
        candidate: &'a Candidate,
    ) -> BoxFuture<'a, Result<Vec<Found>>> {
        async move {
            let places = match candidate.topics.len() {
                0 => usize::from(self.bare_sequences),
                topics => topics,
            };
            // Long queries yield to others, and end where their client leaves.
            consume_budget().await;
            match select {
                Expr::Is(part) => self.part(part, candidate, places).await,
                Expr::Not(child) => {
                    let found = self.matches(child, candidate).await?;
                    Ok(found.into_iter().map(|found| found.is_none().then_some(None)).collect())
                }
                Expr::Any(children) => {
                    let mut all: Vec<Found> = vec![None; places];
                    for child in children {
                        for (found, new) in all.iter_mut().zip(self.matches(child, candidate).await?) {
                            *found = either(*found, new);
                        }
                    }
                    Ok(all)
                }
                Expr::All(children) => {
                    let mut all: Vec<Found> = vec![Some(None); places];
                    // Conditions that need no rows first: they may make the others unnecessary.
                    let (rows, cheap): (Vec<_>, Vec<_>) =
                        children.iter().partition(|child| needs_rows(child));
                    for child in cheap.into_iter().chain(rows) {
                        if all.iter().all(Option::is_none) {
                            break;
                        }
                        for (found, new) in all.iter_mut().zip(self.matches(child, candidate).await?) {
                            *found = found.zip(new).map(|(a, b)| joined(a, b));
                        }
                    }
                    Ok(all)
                }
            }
        }
        .boxed()
    }

    async fn part(&self, part: &Part, candidate: &Candidate, places: usize) -> Result<Vec<Found>> {
        let Part { sections, ways } = part;
        let mut found: Vec<Found> = vec![None; places];
        if !sequence_holds(sections.sequence.as_ref(), &candidate.sequence) {
            return Ok(found);
        }
        if candidate.topics.is_empty() {
            return Ok(vec![Some(None); places]);
        }
        let chosen: Vec<usize> = (0..places)
            .filter(|&place| topic_holds(sections.topic.as_ref(), &candidate.topics[place]))
            .collect();
        if sections.values.is_none() {
            for place in chosen {
                let topic = candidate.topics[place].id;
                found[place] = Some(self.spans.get(&topic).copied().filter(|_| sections.ranges));
            }
            return Ok(found);
        }
        for way in ways {
            if let Some(matches) = self.way(way, &chosen, candidate, sections.ranges).await? {
                for (place, new) in matches {
                    found[place] = either(found[place], Some(new));
                }
            }
        }
        Ok(found)
    }

    /// The matching topics of all tags; `None` if one of the tags has none.
    async fn way(
        &self,
        way: &Way,
        chosen: &[usize],
        candidate: &Candidate,
        ranges: bool,
    ) -> Result<Option<Vec<(usize, Option<Span>)>>> {
        // Topics without rows never match.
        let places = |of_tag: &'_ OfTag| -> Vec<usize> {
            let has_rows = |place: &usize| of_tag.expr(&candidate.topics[*place]).is_some();
            chosen.iter().copied().filter(has_rows).collect()
        };
        let tags: Vec<(&OfTag, Vec<usize>)> = way.iter().map(|of_tag| (of_tag, places(of_tag))).collect();
        if tags.iter().any(|(_, places)| places.is_empty()) {
            return Ok(None);
        }
        let mut found = Vec::new();
        for (of_tag, places) in tags {
            let before = found.len();
            for place in places {
                if let Some(span) = self.topic(&candidate.topics[place], of_tag, ranges).await? {
                    found.push((place, span));
                }
            }
            if found.len() == before {
                return Ok(None);
            }
        }
        Ok(Some(found))
    }

    async fn topic(&self, topic: &FoundTopic, of_tag: &OfTag, ranges: bool) -> Result<Found> {
        let (Some(expr), Some(rows)) = (of_tag.expr(topic), self.rows.get(&topic.id)) else {
            return Ok(None);
        };
        match self.scanner.topic(rows, expr, ranges).await {
            Err(Error::Internal(failure)) => {
                // Files disappear during a search only if their topic is deleted.
                let row = self.scanner.core.catalog.topic_by_id(topic.id).await?;
                if row.is_some_and(|row| !row.deleting) { Err(Error::Internal(failure)) } else { Ok(None) }
            }
            found => found,
        }
    }
}

fn either(a: Found, b: Found) -> Found {
    match (a, b) {
        (Some(a), Some(b)) => Some(joined(a, b)),
        (a, b) => a.or(b),
    }
}

fn needs_rows(select: &Expr<Part>) -> bool {
    let mut found = false;
    select.leaves(&mut |part| found |= part.sections.values.is_some());
    found
}
