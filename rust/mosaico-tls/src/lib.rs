//! TLS for both ends: certificates and keys from PEM files, their reload, the identity of a client
//! certificate, errors in words, and certificates for development.
//!
//! Owns every use of rustls and its one crypto provider (ring). May know: no crate of the workspace.
//! Never belongs here: gRPC, HTTP, settings.
//!
//! A server starts with [`ServerTls`], a client with [`ClientTls`]; both end in a [`Stream`].

mod address;
mod client;
mod development;
mod explain;
mod files;
mod identity;
mod open;
mod provider;
mod server;
mod stream;

pub use address::{Address, TLS_SCHEME};
pub use client::{ClientFiles, ClientTls};
pub use development::{Created, create_development_files};
pub use explain::explain;
pub use files::FileError;
pub use identity::PeerIdentity;
pub use open::open;
pub use server::{Listener, ServerFiles, ServerTls};
pub use stream::{Refusal, Stream};
