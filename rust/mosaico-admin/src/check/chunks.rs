//! Checks the Parquet files of a topic against their records.

use std::collections::BTreeMap;
use std::ops::Range;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_file::check_chunk_version;
use mosaico_storage::format::column_stats::StatsBuilder;
use mosaico_storage::format::damage::{lost_of, without};
use mosaico_storage::format::paths::SequencePaths;
use mosaico_storage::format::records::ChunkRecord;
use mosaico_storage::format::schema::{TimeSpan, parse_schema_message, same_shape, times};
use mosaico_storage::format::state::{SequenceState, TopicState};
use object_store::path::Path;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::report::Check;
use crate::check::records::Wrong;

/// Checks all chunks of a topic.
pub(super) async fn check(
    check: &mut Check<'_>,
    paths: &SequencePaths,
    topic: &TopicState,
    sizes: &BTreeMap<Path, u64>,
    sequence: &SequenceState,
) -> Result<()> {
    let paths = paths.topic(topic.record.id);
    let locator = format!("{}/{}", sequence.record.name, topic.record.path.as_str());
    let schema = topic.schema.as_deref().map(parse_schema_message).transpose()?;
    let lost: Vec<Range<u64>> = topic.damage.iter().flat_map(|segment| segment.lost.clone()).collect();
    let mut row_start = 0;
    let mut current = None;
    for chunk in &topic.chunks {
        // Another daemon's WAL may have the earlier rows.
        if let Some(epoch) = topic.epochs.iter().find(|epoch| epoch.epoch == chunk.epoch)
            && current != Some(epoch.epoch)
        {
            (current, row_start) = (Some(epoch.epoch), epoch.row_start);
        }
        check.found.chunks += 1;
        let rows = format!("rows {}..{} of `{locator}`", chunk.row_start, chunk.row_start + chunk.rows);
        let is_lost =
            |rows: Range<u64>| rows.start < rows.end && without(&[rows], lost.iter().cloned()).is_empty();
        if chunk.row_start != row_start && !is_lost(row_start..chunk.row_start) {
            let text = format!("{rows} follow row {row_start}: a record of a chunk between them is missing");
            check.found.add(paths.chunk_record(chunk.id()), text);
        }
        row_start = chunk.row_start + chunk.rows + lost_of(&topic.damage, chunk.id());
        let path = paths.chunk(chunk.id());
        let wrong = match sizes.get(&path) {
            None => Some(Wrong::Damaged("the file is missing".to_owned())),
            Some(&size) if size != chunk.bytes => {
                Some(Wrong::Damaged(format!("the file has {size} of {} bytes", chunk.bytes)))
            }
            Some(_) if check.options.deep => {
                let bytes = check.store.get(&path).await?.unwrap_or_default();
                let (chunk, schema) = (chunk.clone(), schema.clone());
                let checked = tokio::task::spawn_blocking(move || read(bytes, &chunk, schema.as_ref()));
                checked.await.map_err(|e| Error::internal("reading a chunk", e))?.err()
            }
            Some(_) => None,
        };
        match wrong {
            None | Some(Wrong::NoChecksum) => check.found.rows += chunk.rows,
            Some(Wrong::Newer { found, known }) => {
                check.found.newer(path, Error::newer("the chunk", found, known).to_string());
            }
            Some(Wrong::Damaged(text)) => {
                check.found.lost_rows += chunk.rows;
                let meaning = "the other chunks of the topic are not touched by this";
                check
                    .found
                    .add(path, format!("{text}; {rows} are lost unless a backup has the file; {meaning}"));
            }
        }
    }
    Ok(())
}

/// Reads a whole chunk.
fn read(bytes: Bytes, record: &ChunkRecord, schema: Option<&SchemaRef>) -> Result<(), Wrong> {
    if crc32fast::hash(&bytes) != record.crc32 {
        return Err(Wrong::Damaged("the file does not have its checksum".to_owned()));
    }
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)
        .map_err(|e| Wrong::Damaged(format!("the file cannot be read: {e}")))?;
    check_chunk_version(builder.metadata())?;
    read_rows(builder, record, schema).map_err(Wrong::Damaged)
}

/// The error text describes the problem of the rows.
fn read_rows(
    builder: ParquetRecordBatchReaderBuilder<Bytes>,
    record: &ChunkRecord,
    schema: Option<&SchemaRef>,
) -> Result<(), String> {
    let failed = |e: &dyn std::fmt::Display| format!("the file cannot be read: {e}");
    if schema.is_none_or(|schema| !same_shape(schema, builder.schema())) {
        return Err("the columns of the file are not those of the topic".to_owned());
    }
    let mut stats = StatsBuilder::new(builder.schema());
    let (mut rows, mut span) = (0, None::<TimeSpan>);
    for batch in builder.build().map_err(|e| failed(&e))? {
        let batch = batch.map_err(|e| failed(&e))?;
        stats.update(&batch);
        rows += batch.num_rows() as u64;
        let found = times(&batch).map_err(|e| failed(&e))?.values().to_vec();
        span = match (span, TimeSpan::of(&found)) {
            (Some(span), Some(next)) => Some(span.then(next)),
            (span, next) => span.or(next),
        };
    }
    let Some(span) = span else { return Err("the file has no rows".to_owned()) };
    if rows != record.rows || (span.min, span.max) != (record.ts_min, record.ts_max) {
        return Err(format!(
            "the file has {rows} rows from {} to {}, its record says otherwise",
            span.min, span.max
        ));
    }
    if !span.sorted {
        return Err("the rows of the file are not in the order of time".to_owned());
    }
    // A rewritten record may list the columns in another order.
    let (mut found, mut recorded) = (stats.finish(), record.columns.clone());
    found.sort_by(|a, b| a.path.cmp(&b.path));
    recorded.sort_by(|a, b| a.path.cmp(&b.path));
    if found != recorded {
        return Err("the statistics of the record are not those of the file".to_owned());
    }
    Ok(())
}
