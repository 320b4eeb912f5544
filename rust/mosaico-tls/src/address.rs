//! Addresses of daemons, as they are in the catalog and in the lock file of a store.

use std::fmt;

/// Scheme of addresses with TLS.
pub const TLS_SCHEME: &str = "grpc+tls://";

const PLAIN_SCHEME: &str = "grpc://";

/// `host:port` for plain text, `grpc+tls://host:port` for TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Name or IP address; IPv6 without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether the port needs TLS.
    pub tls: bool,
}

impl Address {
    /// `None`: the text is not an address.
    pub fn parse(text: &str) -> Option<Self> {
        let (tls, place) = match text.strip_prefix(TLS_SCHEME) {
            Some(place) => (true, place),
            None => (false, text.strip_prefix(PLAIN_SCHEME).unwrap_or(text)),
        };
        let (host, port) = place.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = port.parse().ok()?;
        (!host.is_empty()).then(|| Self { host: host.to_owned(), port, tls })
    }

    /// The address in a URI with this scheme.
    pub fn uri(&self, scheme: &str) -> String {
        if self.host.contains(':') {
            format!("{scheme}://[{}]:{}", self.host, self.port)
        } else {
            format!("{scheme}://{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "grpc+tls" } else { "grpc" };
        f.write_str(&self.uri(scheme))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, host, port, tls) in [
            ("one:7000", "one", 7000, false),
            ("grpc://one:7000", "one", 7000, false),
            ("grpc+tls://one.example.org:6726", "one.example.org", 6726, true),
            ("[::1]:6726", "::1", 6726, false),
            ("grpc+tls://[::1]:6726", "::1", 6726, true),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.host.as_str(), address.port, address.tls), (host, port, tls), "{text}");
            assert_eq!(Address::parse(&address.to_string()), Some(address));
        }
        for text in ["", "one", ":1", "one:x", "one:70000", "grpc+tls://one"] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
        assert_eq!(Address::parse("[::1]:1").unwrap().uri("https"), "https://[::1]:1");
    }
}
