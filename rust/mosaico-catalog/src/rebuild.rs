//! Bulk load of a new catalog from the store, many sequences in one transaction.

use std::collections::HashSet;
use std::iter;

use mosaico_storage::error::Result;
use mosaico_storage::format::state::SequenceState;
use mosaico_types::id::SequenceId;
use mosaico_wire::event::EventKind;
use serde_json::json;

use crate::catalog::Catalog;
use crate::database_error::failed;
use crate::read::ids;
use crate::rows::insert_states;
use crate::sql::query;

impl Catalog {
    /// All known sequences, in any state.
    pub async fn sequence_ids(&self) -> Result<HashSet<SequenceId>> {
        let found = query("SELECT id FROM sequence").fetch_texts(&self.readers).await;
        Ok(ids(found)?.into_iter().collect())
    }

    /// Inserts sequences from the store. Returns those that it skips because an older sequence has their
    /// name.
    pub async fn restore_sequences(&self, states: &[SequenceState]) -> Result<Vec<SequenceId>> {
        let names: Vec<&str> = states.iter().map(|state| state.record.name.as_str()).collect();
        let mut transaction = self.transaction().await?;
        let taken = query("SELECT name FROM sequence WHERE name IN (SELECT value FROM json_each(?))")
            .bind(json!(names).to_string())
            .fetch_texts(&mut transaction)
            .await
            .map_err(failed)?;
        let mut taken: HashSet<&str> = taken.iter().map(String::as_str).collect();
        let (new, left_out): (Vec<&SequenceState>, Vec<_>) =
            states.iter().partition(|state| taken.insert(state.record.name.as_str()));
        insert_states(&mut transaction, &new).await?;
        self.commit(transaction).await?;
        Ok(left_out.into_iter().map(|state| state.record.id).collect())
    }

    /// Inserts a sequence that was imported into the store as a whole, and deletes its intents.
    pub async fn adopt(&self, state: &SequenceState) -> Result<()> {
        let id = state.record.id;
        let mut transaction = self.transaction().await?;
        insert_states(&mut transaction, &[state]).await?;
        let ended = state.finalized_ns.map(|_| EventKind::SequenceFinalized);
        let ended = ended.or(state.ended_ns.map(|_| EventKind::SequenceEnded));
        for kind in iter::once(EventKind::SequenceCreated).chain(ended) {
            self.tell(&mut transaction, kind, (id, None), json!({"imported": true})).await?;
        }
        self.clear_pending(&mut transaction, id).await?;
        self.commit(transaction).await?;
        self.pending_intents.remove(id);
        Ok(())
    }

    /// Records removals that have begun in the store; the next start finishes them.
    pub async fn announce_removals(&self, sequences: &[SequenceId]) -> Result<()> {
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
