//! Bottom layer: state that all calls of one daemon share. It keeps itself consistent, and depends on no
//! layer above.

pub mod active_topic;
pub mod active_topics;
pub mod chunk_reader;
pub mod clock;
pub mod config;
pub mod damaged_chunks;
pub mod disk;
pub mod engine;
pub mod event_archive;
pub mod footer_cache;
pub mod guards;
pub mod layers;
pub mod lease;
pub mod limits;
pub mod membership;
pub mod message_size;
pub mod metadata_limits;
pub mod metrics;
pub mod orphans;
pub mod process;
pub mod queue;
pub mod read_memory;
pub mod write_once;
pub mod writer_activity;
