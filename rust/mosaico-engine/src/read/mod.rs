//! Reads the rows of a topic in time order, ties in arrival order, in bounded memory.

pub mod chunk;
pub mod column_bounds;
pub mod follow;
pub mod last_before;
pub mod merge;
pub mod options;
pub mod prune;
pub mod request;
pub mod series;
mod time_pages;
pub mod topic;
