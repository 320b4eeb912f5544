//! The store: the source of truth about sequences, as immutable objects under ids. Start with [`Store`].

mod barriers;
mod bucket;
mod cache;
mod deadline;
pub mod durable;
#[cfg(feature = "faults")]
pub mod faults;
pub mod fence;
mod folder;
mod links;
mod load;
mod local_folder;
pub mod location;
mod measured;
mod options;
mod sequence_files;
mod staging;
mod store;
mod upload;
pub mod versions;

pub use barriers::Barrier;
pub use bucket::{Bucket, Provider, Secret};
pub use load::Loaded;
pub use options::{StoreMetrics, StoreOptions};
pub use staging::StagingFile;
pub use store::{Chunks, Store, blocking};
