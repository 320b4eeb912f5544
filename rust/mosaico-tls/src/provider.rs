//! The one crypto provider.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

/// Ring, which the object store needs anyway.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
