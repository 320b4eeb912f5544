//! Which bytes an MCAP file of a sequence has, before any of them is sent. The messages of each topic are encoded once to learn
//! their lengths; after that, every part of the file is made again when somebody asks for it.

use std::sync::Arc;

use futures::TryStreamExt;
use mosaico_catalog::TopicRow;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::trace;
use mosaico_types::TimeWindow;

use super::super::failure::Failure;
use super::super::reader::Reader;
use super::messages::{Encoder, Form};
use super::records::{self, MAGIC, Span};
use crate::service::info;

/// Message records of a chunk of the file, unless a time has more.
const CHUNK_BYTES: u64 = 1 << 20;

/// A topic of the file.
#[derive(Debug)]
struct Channel {
    row: TopicRow,
    form: Form,
}

/// The layout of a file.
#[derive(Debug)]
pub(super) struct Plan {
    channels: Vec<Channel>,
    /// The begin of the file, with the types of all channels.
    head: Vec<u8>,
    /// Each with its offset.
    spans: Vec<(Span, u64)>,
    /// The summary.
    tail: Vec<u8>,
    pub(super) length: u64,
}

/// A part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Head,
    Span(usize),
    Tail,
}

impl Plan {
    pub(super) async fn new(
        reader: &Reader,
        topics: Vec<TopicRow>,
        window: TimeWindow,
    ) -> Result<Self, Failure> {
        let count = u16::try_from(topics.len()).ok().filter(|count| *count < u16::MAX);
        let count =
            count.ok_or_else(|| Error::Invalid("an MCAP file has at most 65534 topics; name some".into()))?;
        let (mut channels, mut spans, mut counts) = (Vec::new(), Vec::new(), Vec::<u64>::new());
        let mut types = Vec::new();
        for (row, id) in topics.into_iter().zip(1_u16..) {
            let form = Form::of(&row.ontology_tag, format(reader, &row, window).await?.as_deref());
            records::schema(&mut types, id, &form.schema(&row.ontology_tag, &info::topic_schema(&row)?));
            let metadata = [
                ("ontology_tag", row.ontology_tag.clone()),
                ("user_metadata", row.user_metadata.to_string()),
            ];
            records::channel(&mut types, id, &format!("/{}", row.locator.topic), &metadata);
            let found = measure(reader, &row, form, id, window).await?;
            counts.push(found.iter().map(|span| span.messages).sum());
            spans.extend(found);
            channels.push(Channel { row, form });
        }
        spans.sort_by_key(|span: &Span| (span.start, span.channel, span.end));
        let mut head = MAGIC.to_vec();
        records::header(&mut head, concat!("mosaicod ", env!("CARGO_PKG_VERSION")));
        head.extend_from_slice(&types);
        let mut at = head.len() as u64;
        let placed = |span: Span| {
            let offset = at;
            at += span.length();
            (span, offset)
        };
        let spans: Vec<(Span, u64)> = spans.into_iter().map(placed).collect();
        let tail = records::ending(at, &types, &spans, count, &counts);
        let length = at + tail.len() as u64;
        Ok(Self { channels, head, spans, tail, length })
    }

    /// The part at an offset, and the offset of its first byte.
    fn part(&self, at: u64) -> Option<(Part, u64)> {
        if at < self.head.len() as u64 {
            return Some((Part::Head, 0));
        }
        let tail = self.length - self.tail.len() as u64;
        if at >= tail {
            return (at < self.length).then_some((Part::Tail, tail));
        }
        let span = self.spans.partition_point(|(_, offset)| *offset <= at).checked_sub(1)?;
        Some((Part::Span(span), self.spans[span].1))
    }

    /// The bytes from `at` to the end of their part; `None` at the end of the file.
    pub(super) async fn bytes(&self, reader: &Reader, at: u64) -> Result<Option<Vec<u8>>, Failure> {
        let Some((part, start)) = self.part(at) else { return Ok(None) };
        let skip = usize::try_from(at - start).unwrap_or(usize::MAX);
        Ok(Some(match part {
            Part::Head => self.head[skip..].to_vec(),
            Part::Tail => self.tail[skip..].to_vec(),
            Part::Span(index) => self.chunk(reader, &self.spans[index].0).await?.split_off(skip),
        }))
    }

    /// Makes the chunk of a span.
    async fn chunk(&self, reader: &Reader, span: &Span) -> Result<Vec<u8>, Failure> {
        let Channel { row, form } = &self.channels[usize::from(span.channel) - 1];
        let window =
            TimeWindow { start: i64::try_from(span.start).ok(), end: i64::try_from(span.end + 1).ok() };
        let mut rows = reader.rows(row.clone(), window, None).await?;
        let (mut bytes, mut index) = (Vec::new(), Vec::new());
        let encoder = Arc::new(Encoder::new(*form, span.channel));
        while let Some(batch) = rows.try_next().await? {
            let encoder = Arc::clone(&encoder);
            let work = move || {
                encoder.encode(&batch, |time, record| {
                    index.push((time, bytes.len() as u64));
                    bytes.extend_from_slice(record);
                })?;
                Ok::<_, Error>((bytes, index))
            };
            (bytes, index) =
                trace::spawn_blocking(work).await.map_err(|e| Error::internal("encoding messages", e))??;
        }
        if (bytes.len() as u64, index.len() as u64) != (span.bytes, span.messages) {
            // Not the rows of the plan: the topic was deleted, or written to.
            return Err(Error::Deleted(row.locator.to_string()).into());
        }
        Ok(records::chunk(span, &bytes, &index))
    }
}

/// The format of the first picture of a topic.
async fn format(reader: &Reader, row: &TopicRow, window: TimeWindow) -> Result<Option<String>, Failure> {
    if !matches!(row.ontology_tag.as_str(), "image" | "compressed_image") || row.schema.is_none() {
        return Ok(None);
    }
    let mut rows = reader.rows(row.clone(), window, Some(vec!["format".to_owned()])).await?;
    while let Some(batch) = rows.try_next().await? {
        let column = batch.column_by_name("format");
        let found = column.and_then(|column| arrow::array::AsArray::as_string_opt::<i32>(column));
        if let Some(found) = found.filter(|_| batch.num_rows() > 0) {
            return Ok(Some(found.value(0).to_owned()));
        }
    }
    Ok(None)
}

/// Cuts the messages of a topic into spans; messages of one time stay together, so that a window has exactly one span.
async fn measure(
    reader: &Reader,
    row: &TopicRow,
    form: Form,
    channel: u16,
    window: TimeWindow,
) -> Result<Vec<Span>, Failure> {
    let mut rows = reader.rows(row.clone(), window, None).await?;
    let mut spans: Vec<Span> = Vec::new();
    let encoder = Arc::new(Encoder::new(form, channel));
    while let Some(batch) = rows.try_next().await? {
        let encoder = Arc::clone(&encoder);
        let work = move || {
            encoder.encode(&batch, |time, record| {
                let bytes = record.len() as u64;
                match spans.last_mut().filter(|last| last.bytes < CHUNK_BYTES || last.end == time) {
                    Some(last) => {
                        last.end = time;
                        last.messages += 1;
                        last.bytes += bytes;
                    }
                    None => spans.push(Span { channel, start: time, end: time, messages: 1, bytes }),
                }
            })?;
            Ok::<_, Error>(spans)
        };
        spans = trace::spawn_blocking(work).await.map_err(|e| Error::internal("encoding messages", e))??;
    }
    Ok(spans)
}
