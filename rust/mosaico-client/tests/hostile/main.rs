//! The client against servers that lie, bomb, stall and hang up: it returns an error within its limits of time and
//! memory, loses no row without saying so, and sends its API key to nobody else.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

mod addresses;
mod calls;
mod reads;
mod server;
mod writes;
