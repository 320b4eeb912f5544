//! The gate that every call passes before a service sees it. It counts what a peer makes the server hold, before
//! memory for it is allocated, and ends what makes no progress. The limits are in
//! [`mosaico_engine::state::limits::Limits`]; `docs/reliability.md` describes them.

mod account;
mod answer;
mod gate;
mod request;

pub(crate) use gate::{Gate, GateLayer, MAX_BODY_BYTES};
pub(crate) use request::Receipts;
