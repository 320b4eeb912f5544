//! How a connection is secured: TLS, and the API key that its calls carry.

use std::fmt;
use std::net::IpAddr;

use mosaico_tls::{ClientFiles, ClientTls};
use mosaico_types::ErrorKind;
use tonic::codegen::http::HeaderValue;

use crate::error::{Error, Result};

/// Length of the last part of an API key, its checksum.
const CHECKSUM_LENGTH: usize = 8;

/// TLS and API key of a connection; the default is plain text without a key.
#[derive(Debug, Clone, Default)]
pub struct Security {
    tls: Option<ClientTls>,
    api_key: Option<ApiKey>,
    plain_text_key: bool,
}

impl Security {
    /// With TLS.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] with the file that cannot be used.
    pub fn with_tls(self, files: &ClientFiles) -> Result<Self> {
        let tls = ClientTls::open(files).map_err(|e| Error::new(ErrorKind::InvalidInput, e.to_string()))?;
        Ok(Self { tls: Some(tls), ..self })
    }

    /// With an API key.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if it does not have the form of one; the error does not contain it.
    pub fn with_api_key(self, key: &str) -> Result<Self> {
        Ok(Self { api_key: Some(ApiKey::parse(key)?), ..self })
    }

    /// Allows to send the API key without TLS to other machines, where everyone on the way can read it.
    #[must_use]
    pub fn with_plain_text_key(self) -> Self {
        Self { plain_text_key: true, ..self }
    }

    pub(crate) fn tls(&self) -> Option<&ClientTls> {
        self.tls.as_ref()
    }

    /// Why the server refused the last connection after its TLS handshake.
    pub(crate) fn refusal(&self) -> Option<String> {
        self.tls.as_ref()?.refusal()
    }

    /// The value of the header with the API key.
    pub(crate) fn key_header(&self) -> Option<&HeaderValue> {
        self.api_key.as_ref().map(|key| &key.0)
    }

    /// Refuses to send an API key as plain text to another machine.
    pub(crate) fn check(&self, host: &str) -> Result<()> {
        let is_safe = self.api_key.is_none() || self.tls.is_some() || self.plain_text_key;
        if is_safe || is_loopback(host) {
            return Ok(());
        }
        let message = format!(
            "an API key is not sent to `{host}` without TLS, where everyone on the way could read it; connect \
             with TLS (enable_tls or tls_cert_path, --tls), or set MOSAICO_ALLOW_PLAIN_TEXT_KEY=1 if the network \
             is trusted"
        );
        Err(Error::new(ErrorKind::FailedPrecondition, message))
    }
}

/// Whether the host is this machine, by its text: a name server must not decide.
fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

/// An API key: `msco_<letters and digits>_<8 hexadecimal digits>`.
#[derive(Clone)]
struct ApiKey(HeaderValue);

impl ApiKey {
    fn parse(text: &str) -> Result<Self> {
        let malformed = || {
            let message = "the API key does not have the form msco_<letters and digits>_<8 hexadecimal digits>; \
                           copy it again, whole";
            Error::new(ErrorKind::InvalidInput, message)
        };
        let parts = text.strip_prefix("msco_").and_then(|rest| rest.split_once('_'));
        let (secret, checksum) = parts.ok_or_else(malformed)?;
        let is_secret = !secret.is_empty() && secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let is_checksum =
            checksum.len() == CHECKSUM_LENGTH && checksum.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_secret || !is_checksum {
            return Err(malformed());
        }
        let mut header = HeaderValue::from_str(text).map_err(|_| malformed())?;
        // Neither `Debug` nor the compression of headers handles it.
        header.set_sensitive(true);
        Ok(Self(header))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "msco_vrfeceju4lqivysxgaseefa3tsxs0vrl_1b676530";

    #[test]
    fn keys_have_a_form_and_are_not_shown() {
        let security = Security::default().with_api_key(KEY).unwrap();
        assert!(!format!("{security:?}").contains("vrfe"), "{security:?}");
        assert_eq!(security.key_header().unwrap(), KEY);
        for wrong in
            ["", "secret1", "msco_secret1", "msco__1b676530", "msco_secret1_1b67653", "msco_secret1_1b67653x"]
        {
            let error = Security::default().with_api_key(wrong).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidInput);
            assert!(!error.message.contains("secret1"), "{error}");
        }
    }

    #[test]
    fn keys_stay_on_this_machine_without_tls() {
        let keyed = Security::default().with_api_key(KEY).unwrap();
        for host in ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "::ffff:127.0.0.1"] {
            assert!(keyed.check(host).is_ok(), "{host}");
        }
        for host in ["robots.example.org", "10.0.0.1", "localhost.example.org", "fe80::1"] {
            let error = keyed.check(host).unwrap_err();
            assert!(error.message.contains(host) && !error.message.contains("vrfe"), "{error}");
            assert!(keyed.clone().with_plain_text_key().check(host).is_ok());
            assert!(Security::default().check(host).is_ok());
        }
    }
}
