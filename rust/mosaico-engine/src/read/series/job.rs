//! What all parts of a series share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mosaico_select::Column;
use mosaico_storage::error::{Error, Result};

use super::buckets::Grid;
use crate::state::chunk_reader::ChunkTopic;
use crate::state::engine::Engine;

/// A series in progress.
#[derive(Debug)]
pub(super) struct Series {
    pub core: Arc<Engine>,
    pub topic: Arc<ChunkTopic>,
    pub grid: Grid,
    pub columns: Arc<Vec<Column>>,
    /// Decoded rows.
    pub rows: AtomicU64,
}

impl Series {
    /// Counts decoded rows; fails if there are too many.
    pub(super) fn count(&self, rows: u64) -> Result<()> {
        let all = self.rows.fetch_add(rows, Ordering::Relaxed).saturating_add(rows);
        let limit = self.core.config.limits.query_rows;
        if all <= limit {
            return Ok(());
        }
        let text = format!(
            "the series has to read more than {limit} rows, the limit of this server (--max-query-rows); ask for a \
             shorter window"
        );
        Err(Error::Limit("max-query-rows", text))
    }
}
