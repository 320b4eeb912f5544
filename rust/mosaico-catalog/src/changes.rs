//! The intents of changes in the database: inserted before a change, removed after it. [`crate::intents`] describes
//! the protocol.

use std::sync::Arc;

use mosaico_storage::crash_points;
use mosaico_storage::error::{Error, Result};
use mosaico_types::id::SequenceId;

use crate::catalog::Catalog;
use crate::database_error::failed;
use crate::intents::{Change, ChangeIntent};
use crate::sql::{Transaction, query};
use crate::standing::StandingIntents;

/// A sequence to which changes of its writer are still to come.
const IS_OPEN: &str = "finalized_ns IS NULL AND ended_ns IS NULL AND deleting = 0";

impl Catalog {
    pub(crate) async fn finish(&self, mut transaction: Transaction, change: Change) -> Result<()> {
        if let Some(ChangeIntent::Row(row)) = &change.intent {
            let announced = query("DELETE FROM pending WHERE id = ?")
                .bind(*row)
                .execute(&mut transaction)
                .await
                .map_err(failed)?;
            if announced == 0 && self.session.is_some() {
                // Another daemon considered this one dead and reconciled the sequence. The store is read once
                // more.
                return Err(Error::StoreUnavailable("changing a sequence".into()));
            }
        }
        self.commit(transaction).await?;
        if let (Some((sequence, user)), Some(standing)) = (change.done(), &self.standing)
            && let Some(row) = standing.leave(user)
            && let Err(error) = self.retire(&[(sequence, row)]).await
        {
            tracing::warn!(%sequence, error = %error.detail(), "an intent is left to the next start");
        }
        Ok(())
    }

    /// Records the intent of a change of a sequence's records. `record`: the path of the one that decides, if it is
    /// written once ([`Self::pending_records`]); only a bucket needs it, which has no standing intents.
    pub async fn begin(&self, sequence: SequenceId, record: Option<&str>) -> Result<Change> {
        if let Some(standing) = &self.standing {
            return self.stand(standing, sequence).await;
        }
        crash_points::point();
        let rows = match &self.session {
            Some(session) => session.announce(sequence, record).await?,
            None => query("INSERT INTO pending (sequence_id, record) VALUES (?, ?) RETURNING id")
                .bind(sequence.to_string())
                .bind(record)
                .fetch_all(&self.writer)
                .await
                .map_err(failed)?,
        };
        crash_points::point();
        let row =
            rows.first().ok_or(sqlx::Error::RowNotFound).and_then(|row| row.try_get("id")).map_err(failed)?;
        Ok(Change::new(ChangeIntent::Row(row), sequence, &self.pending_intents))
    }

    /// Fails if another daemon may have reconciled the change, or does so now.
    pub async fn check_intent(&self, change: &Change) -> Result<()> {
        match (&self.session, &change.intent) {
            (Some(session), Some(ChangeIntent::Row(row)))
                if !session.has_intent(change.sequence, *row).await? =>
            {
                Err(Error::StoreUnavailable("changing a sequence".into()))
            }
            _ => Ok(()),
        }
    }

    /// The intent of a chunk, which its job records again if that fails; `None` where the WAL segment serves as
    /// one.
    pub async fn begin_chunk(&self, sequence: SequenceId) -> Result<Option<Change>> {
        match self.standing {
            Some(_) => self.begin(sequence, None).await.map(|change| Some(change.repeated())),
            None => Ok(None),
        }
    }

    /// A change under the standing intent of its sequence.
    async fn stand(&self, standing: &Arc<StandingIntents>, sequence: SequenceId) -> Result<Change> {
        let (user, row) = standing.enter(sequence);
        let insert = async || {
            crash_points::point();
            let mut transaction = self.transaction().await?;
            let rows = query("INSERT INTO pending (sequence_id) VALUES (?) RETURNING id")
                .bind(sequence.to_string())
                .fetch_all(&mut transaction)
                .await
                .map_err(failed)?;
            let open = format!("SELECT id FROM sequence WHERE id = ? AND {IS_OPEN}");
            let open = query(open).bind(sequence.to_string()).fetch_optional(&mut transaction);
            standing.set_open(sequence, open.await.map_err(failed)?.is_some());
            transaction.commit().await.map_err(failed)?;
            crash_points::point();
            rows.first().ok_or(sqlx::Error::RowNotFound).and_then(|row| row.try_get("id")).map_err(failed)
        };
        row.get_or_try_init(insert).await?;
        Ok(Change::new(ChangeIntent::Standing(user), sequence, &self.pending_intents))
    }

    /// Removes intents that nothing needs any more, with rows of earlier processes.
    async fn retire(&self, intents: &[(SequenceId, i64)]) -> Result<()> {
        let mut transaction = self.covered_transaction().await?;
        for (sequence, row) in intents {
            query("DELETE FROM pending WHERE sequence_id = ? AND id <= ?")
                .bind(sequence.to_string())
                .bind(*row)
                .execute(&mut transaction)
                .await
                .map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    /// The end of a daemon: the sequences that it leaves open need no reconciliation.
    pub(crate) async fn retire_idle(&self) -> Result<()> {
        let Some(standing) = &self.standing else { return Ok(()) };
        let idle = standing.take_idle(&self.pending_intents.all());
        if idle.is_empty() { Ok(()) } else { self.retire(&idle).await }
    }

    /// No more changes of the sequence are expected.
    pub(crate) fn close_intent(&self, sequence: SequenceId) {
        if let Some(standing) = &self.standing {
            standing.set_open(sequence, false);
        }
    }

    /// Removes the intents of a reconciled sequence, except one that other changes use. The transaction excludes
    /// the insertion of another one meanwhile.
    pub(crate) async fn clear_pending(&self, db: &mut Transaction, id: SequenceId) -> Result<()> {
        if self.standing.as_ref().is_some_and(|standing| standing.take_unneeded(id).is_none()) {
            return Ok(());
        }
        query("DELETE FROM pending WHERE sequence_id = ?")
            .bind(id.to_string())
            .execute(db)
            .await
            .map_err(failed)?;
        Ok(())
    }
}
