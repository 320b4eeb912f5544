//! Where to look for the last row that is not after a time.

use std::sync::Arc;

use mosaico_catalog::TopicRow;
use mosaico_storage::error::Result;

use super::time_pages::{group_span, time_leaf, time_pages};
use super::topic::segments_and_chunks;
use crate::state::chunk_reader::{ChunkTopic, ParquetFile};
use crate::state::engine::Engine;

/// A time between which and `at` the topic has a row, by statistics; `None` if no row is that early. The rows from
/// there on are about one page.
pub async fn last_before(core: &Arc<Engine>, topic: &TopicRow, at: i64) -> Result<Option<i64>> {
    let (views, chunks) = segments_and_chunks(core, topic).await?;
    let mut found: Option<i64> = None;
    // A span that begins before `at` has a row at its start and at its end.
    let mut add = |span: Option<(i64, i64)>| {
        let in_time = span.map(|(first, last)| if last <= at { last } else { first });
        found = found.max(in_time.filter(|time| *time <= at));
    };
    for view in &views {
        let rows = view.segment.rows;
        if rows.row_end() <= view.row_end {
            add(Some((rows.times.min, rows.times.max)));
        }
    }
    let chunk_topic = Arc::new(ChunkTopic::from(topic));
    for chunk in chunks {
        add(Some((chunk.ts_min, chunk.ts_max)));
        if chunk.ts_min > at || chunk.ts_max <= at {
            continue;
        }
        let mut file =
            ParquetFile::new(core.store.chunks(), Arc::clone(&core.damaged), Arc::clone(&chunk_topic), chunk);
        let footer = core.footers.load(&mut file).await?;
        let (metadata, Some(leaf)) = (footer.metadata(), time_leaf(&footer)) else { continue };
        for group in 0..metadata.num_row_groups() {
            let may_be_last = group_span(metadata, group, leaf).is_none_or(|(first, _)| first <= at);
            if may_be_last {
                time_pages(metadata, group, leaf).into_iter().for_each(|page| add(page.span));
            }
        }
    }
    Ok(found)
}
