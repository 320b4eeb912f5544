//! Filling a new catalogue from the store, many sequences in one transaction.

use std::collections::HashSet;
use std::iter;

use mosaico_wire::event::EventKind;
use serde_json::json;

use super::read::ids;
use super::sql::query;
use super::write::{clear_pending, insert_state};
use super::{Catalog, SequenceState, failed};
use crate::error::Result;
use crate::id::SequenceId;

impl Catalog {
    /// All sequences that are known, whatever their state.
    pub(crate) async fn sequence_ids(&self) -> Result<HashSet<SequenceId>> {
        let found = query("SELECT id FROM sequence").fetch_texts(&self.readers).await;
        Ok(ids(found)?.into_iter().collect())
    }

    /// Takes sequences of the store over. Returns those that are left out, since an older one has their name.
    pub(crate) async fn restore_sequences(&self, states: &[SequenceState]) -> Result<Vec<SequenceId>> {
        let mut left_out = Vec::new();
        let mut transaction = self.transaction().await?;
        for state in states {
            let taken = query("SELECT id FROM sequence WHERE name = ?")
                .bind(state.record.name.as_str())
                .fetch_optional(&mut transaction)
                .await
                .map_err(failed)?;
            match taken {
                Some(_) => left_out.push(state.record.id),
                None => insert_state(&mut transaction, state).await?,
            }
        }
        self.commit(transaction).await?;
        Ok(left_out)
    }

    /// Takes a sequence over that came into the store as a whole, and forgets the changes that were announced for it.
    pub(crate) async fn adopt(&self, state: &SequenceState) -> Result<()> {
        let id = state.record.id;
        let mut transaction = self.transaction().await?;
        insert_state(&mut transaction, state).await?;
        let ended = state.finalized_ns.map(|_| EventKind::SequenceFinalized);
        let ended = ended.or(state.ended_ns.map(|_| EventKind::SequenceEnded));
        for kind in iter::once(EventKind::SequenceCreated).chain(ended) {
            self.tell(&mut transaction, kind, (id, None), json!({"imported": true})).await?;
        }
        clear_pending(&mut transaction, id).await?;
        self.commit(transaction).await?;
        self.unsettled.remove(id);
        Ok(())
    }

    /// Notes removals that the store has begun; the next start finishes them.
    pub(crate) async fn announce_removals(&self, sequences: &[SequenceId]) -> Result<()> {
        if sequences.is_empty() {
            return Ok(());
        }
        let mut transaction = self.transaction().await?;
        for id in sequences {
            query("INSERT INTO pending (sequence_id) VALUES (?)")
                .bind(id.to_string())
                .execute(&mut transaction)
                .await
                .map_err(failed)?;
        }
        self.commit(transaction).await
    }
}
