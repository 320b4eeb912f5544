//! No library: see `benches/`.
