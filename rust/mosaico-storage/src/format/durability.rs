//! What an acknowledgement guarantees. Records store it, so it is part of the format.

use serde::{Deserialize, Serialize};

/// The failures that an acknowledged row survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledge {
    /// A crash of the machine: the row was synced to the disk.
    Synced,
    /// A crash of the daemon, but not of the machine: the operating system has the row.
    Written,
}

/// Where acknowledged rows are stored until they are in chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WalPlacement {
    /// On the disk of the daemon's machine.
    #[default]
    Disk,
    /// In the bucket too (replicated WAL), so that rows survive the loss of the daemon and its disk.
    Replicated,
}
