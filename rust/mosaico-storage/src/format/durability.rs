//! What an acknowledgement stands for. Records name it, so it is part of the format.

use serde::{Deserialize, Serialize};

/// What an acknowledged row survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledge {
    /// A crash of the machine: it was synced to the disk.
    Synced,
    /// A crash of the daemon, but not of the machine: the operating system has it.
    Written,
}

/// Where acknowledged rows are until they are in chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WalPlacement {
    /// On the disk of the server's machine.
    #[default]
    Disk,
    /// In the bucket too, so that they survive the loss of the daemon and its disk.
    Replicated,
}
