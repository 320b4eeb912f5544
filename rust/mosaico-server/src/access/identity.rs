//! Who calls: the owner of an API key, another daemon of the store, or anybody.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mosaico_engine::access::keys::KeyRing;
use mosaico_engine::access::link::{IssuedLink, Link, NewLink, OpenLink};
use mosaico_storage::error::{Error, Result};
use mosaico_tls::PeerIdentity;
use mosaico_types::access::{Fingerprint, Grant, KeyLimits, MonitoringLevel, Right, Rights, Token};
use mosaico_types::{ErrorCode, now_ns};
use mosaico_wire::ticket::{Signature, signed};
use mosaico_wire::{API_KEY_HEADER, PEER_HEADER};
use tonic::codegen::http::HeaderMap;
use tonic::codegen::http::header::AUTHORIZATION;

use super::Access;

/// How often an open stream checks whether its caller may still have it.
const RECHECK: Duration = Duration::from_secs(1);

/// The one refusal of a caller who is not known: missing, malformed, unknown, wrong, expired and revoked keys
/// get the same text.
const REFUSED: &str = "this call needs a valid API key; send it in the header `mosaico-api-key-token` or as \
     `authorization: Bearer`. `mosaicod api-key` lists and creates keys";

/// The one refusal of all links: missing, altered, expired and revoked ones, and those to something else.
const REFUSED_LINK: &str = "this link is not valid, or does not open this; ask for a new one. Callers with an API key send it as \
     `authorization: Bearer`, without a link";

/// The refusal of a link.
pub(crate) fn refused_link() -> Error {
    Error::Refused(ErrorCode::PermissionDenied, REFUSED_LINK.to_owned())
}

/// The refusal of a caller who is not known.
pub(crate) fn refused() -> Error {
    Error::Refused(ErrorCode::PermissionDenied, REFUSED.to_owned())
}

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Identity {
    Anonymous,
    Key(Fingerprint),
    /// Anybody who has a link that the owner of a key created; `None`: a command with the files of the store.
    Link(Option<Fingerprint>),
    /// Another daemon of the store, or a command that has the store.
    Peer,
}

impl Identity {
    /// Who pays for its calls, besides its address: the creator of a link pays for all who use it.
    pub(crate) fn payer(&self) -> Option<Self> {
        match self {
            Self::Key(key) | Self::Link(Some(key)) => Some(Self::Key(*key)),
            Self::Anonymous | Self::Link(None) | Self::Peer => None,
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::Key(fingerprint) => write!(f, "key {fingerprint}"),
            Self::Link(Some(fingerprint)) => write!(f, "link of key {fingerprint}"),
            Self::Link(None) => f.write_str("link of the store"),
            Self::Peer => f.write_str("peer"),
        }
    }
}

/// A caller, and what it may do.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) identity: Identity,
    pub(crate) grant: Grant,
    pub(crate) limits: KeyLimits,
    access: Arc<Access>,
    /// The keys when the call began; only of a caller with credentials.
    ring: Option<Arc<KeyRing>>,
    /// The link that it used, and its text.
    pub(super) link: Option<(Link, String)>,
    /// The identity of the client certificate of its connection.
    certificate: Option<String>,
}

impl Caller {
    /// Who it is, for the audit log.
    pub(super) fn description(&self) -> String {
        match &self.certificate {
            Some(name) => format!("{}, certificate {name}", self.identity),
            None => self.identity.to_string(),
        }
    }

    /// The link that it used.
    pub(crate) fn link(&self) -> Option<&Link> {
        self.link.as_ref().map(|(link, _)| link)
    }
}

/// What a request says about its caller.
enum Credentials {
    None,
    Key(Token),
    Peer(String),
    /// They are not valid, whatever the keys are.
    Malformed,
}

impl Credentials {
    fn of(headers: &HeaderMap) -> Self {
        let values = |name: &str| headers.get_all(name).into_iter().map(|value| value.to_str().ok());
        let keys = values(API_KEY_HEADER).map(|text| Token::parse(text?));
        let bearers = values(AUTHORIZATION.as_str()).map(|text| Token::parse(bearer(text?)?));
        let mut tokens: Vec<Option<Token>> = keys.chain(bearers).collect();
        tokens.dedup();
        let mut proofs = values(PEER_HEADER);
        match (proofs.next(), tokens.pop()) {
            (None, None) => Self::None,
            (None, Some(Some(token))) if tokens.is_empty() => Self::Key(token),
            (Some(Some(proof)), None) if proofs.next().is_none() => Self::Peer(proof.to_owned()),
            _ => Self::Malformed,
        }
    }
}

/// The name of the key that a request claims to have; it may be invalid.
pub(crate) fn claimed(headers: &HeaderMap) -> Option<Fingerprint> {
    match Credentials::of(headers) {
        Credentials::Key(token) => Some(token.fingerprint()),
        _ => None,
    }
}

fn bearer(text: &str) -> Option<&str> {
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start())
}

impl Access {
    /// Finds out who sends a request to `path`, over a connection with this client certificate. Credentials in the
    /// request take precedence over the certificate.
    ///
    /// # Errors
    /// [`refused`] if its credentials are not valid: a caller whose key has a typing error must notice it,
    /// also where no key is needed.
    pub(crate) async fn caller(
        self: &Arc<Self>,
        headers: &HeaderMap,
        path: &str,
        certificate: Option<&PeerIdentity>,
    ) -> Result<Caller> {
        let caller = |identity, grant, ring| {
            let (limits, access) = (KeyLimits::default(), Arc::clone(self));
            let certificate = certificate.map(|identity| identity.name().to_owned());
            Caller { identity, grant, limits, access, ring, link: None, certificate }
        };
        match Credentials::of(headers) {
            Credentials::None => {
                let anonymous = || caller(Identity::Anonymous, self.anonymous.clone(), None);
                let Some(certificate) = certificate else { return Ok(anonymous()) };
                let ring = self.keys.ring().await?;
                match ring.find_certificate(certificate.name(), now_ns()) {
                    Some(key) => {
                        self.keys.note_use(key.fingerprint);
                        let (identity, limits) = (Identity::Key(key.fingerprint), key.limits);
                        Ok(Caller { limits, ..caller(identity, key.grant(), Some(Arc::clone(&ring))) })
                    }
                    // Its rights ended: it does not get those of everybody instead.
                    None if ring.has_certificate(certificate.name()) => Err(refused()),
                    None => Ok(anonymous()),
                }
            }
            Credentials::Malformed => Err(refused()),
            Credentials::Key(token) => {
                let ring = self.keys.ring().await?;
                let key = ring.find(&token, now_ns()).ok_or_else(refused)?;
                let (identity, grant) = (Identity::Key(key.fingerprint), key.grant());
                self.keys.note_use(key.fingerprint);
                let limits = key.limits;
                Ok(Caller { limits, ..caller(identity, grant, Some(Arc::clone(&ring))) })
            }
            Credentials::Peer(proof) => {
                let ring = self.keys.ring().await?;
                let is_peer = ring.signer().is_some_and(|signer| signer.is_peer(path, &proof, now_ns()));
                let rights = Rights::of(&[Right::Read, Right::Admin]);
                let peer = || caller(Identity::Peer, Grant::everywhere(rights), Some(Arc::clone(&ring)));
                is_peer.then(peer).ok_or_else(refused)
            }
        }
    }
}

impl Access {
    /// Finds out what a link opens now.
    ///
    /// # Errors
    /// [`refused_link`] if it is not valid.
    pub(crate) async fn link(self: &Arc<Self>, text: &str, now_ns: i64) -> Result<Caller> {
        let ring = self.keys.ring().await?;
        let OpenLink { link, limits } = ring.open_link(text, now_ns).ok_or_else(refused_link)?;
        Ok(Caller {
            identity: Identity::Link(link.creator),
            grant: link.grant(),
            limits,
            access: Arc::clone(self),
            ring: Some(ring),
            link: Some((link, text.to_owned())),
            certificate: None,
        })
    }
}

impl Caller {
    /// What a monitor without a key may see.
    pub(super) fn monitoring(&self) -> MonitoringLevel {
        self.access.monitoring
    }

    /// Whether anybody may read a sequence.
    pub(super) fn is_public(&self, name: &str) -> bool {
        self.access.anonymous.allows(Right::Read, name)
    }

    /// Adds the signature for this caller to a ticket; anonymous callers get tickets as in Mosaico 0.2.
    pub(crate) fn sign(&self, mut ticket: Vec<u8>) -> Vec<u8> {
        if let Identity::Key(key) = self.identity
            && let Some(signer) = self.ring.as_ref().and_then(|ring| ring.signer())
        {
            let signature = signer.sign_ticket(key, &ticket);
            ticket.extend(signed(&signature));
        }
        ticket
    }

    /// Whether a ticket with this signature was given to this caller.
    pub(super) fn has_ticket(&self, ticket: &[u8], signature: &Signature) -> bool {
        let signer = self.ring.as_ref().and_then(|ring| ring.signer());
        match (self.identity, signer) {
            (Identity::Key(key), Some(signer)) => signer.is_ticket_of(key, ticket, signature),
            _ => false,
        }
    }

    /// Waits until the caller's key or link is revoked or expires. Open streams end then.
    pub(crate) async fn revoked(&self) {
        let is_valid = |ring: &KeyRing| match (&self.identity, &self.link) {
            (Identity::Key(key), _) => ring.is_valid(*key, now_ns()),
            (_, Some((_, text))) => ring.open_link(text, self.access.now_ns()).is_some(),
            _ => true,
        };
        if let Identity::Anonymous | Identity::Peer = self.identity {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(RECHECK).await;
            // While the store is unavailable, streams continue.
            if self.access.keys.ring().await.is_ok_and(|ring| !is_valid(&ring)) {
                return;
            }
        }
    }

    /// Signs a link on behalf of this caller.
    ///
    /// # Errors
    /// As of [`KeyRing::issue_link`]; [`ErrorCode::FailedPrecondition`] without an API key, since a link is never more
    /// than its creator.
    pub(crate) fn issue_link(&self, new: NewLink) -> Result<IssuedLink> {
        let (Identity::Key(key), Some(ring)) = (self.identity, &self.ring) else {
            let text = "a link has the rights of the API key that creates it; send one with this call";
            return Err(Error::Refused(ErrorCode::FailedPrecondition, text.to_owned()));
        };
        ring.issue_link(NewLink { creator: Some(key), ..new }, self.access.now_ns())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "msco_vrfeceju4lqivysxgaseefa3tsxs0vrl_1b676530";

    fn of(headers: &[(&'static str, &str)]) -> &'static str {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        match Credentials::of(&map) {
            Credentials::None => "none",
            Credentials::Key(token) if token.text() == ONE => "one",
            Credentials::Key(_) => "another",
            Credentials::Peer(_) => "peer",
            Credentials::Malformed => "malformed",
        }
    }

    #[test]
    fn a_key_is_taken_from_either_header() {
        let other = Token::generate(|| 0).text();
        let bearer = format!("bearer {ONE}");
        assert_eq!(of(&[]), "none");
        assert_eq!(of(&[(API_KEY_HEADER, ONE)]), "one");
        assert_eq!(of(&[("authorization", &format!("Bearer {ONE}"))]), "one");
        assert_eq!(of(&[("authorization", &bearer)]), "one");
        assert_eq!(of(&[(API_KEY_HEADER, ONE), ("authorization", &bearer)]), "one");
        assert_eq!(of(&[(PEER_HEADER, "1.00")]), "peer");
        let bad: [&[(&str, &str)]; 9] = [
            &[(API_KEY_HEADER, "")],
            &[(API_KEY_HEADER, "x")],
            &[("authorization", ONE)],
            &[("authorization", "Basic eA==")],
            &[("authorization", "Bearer ")],
            &[(API_KEY_HEADER, &other), ("authorization", &bearer)],
            &[(API_KEY_HEADER, ONE), (API_KEY_HEADER, &other)],
            &[(API_KEY_HEADER, ONE), (PEER_HEADER, "1.00")],
            &[(PEER_HEADER, "1.00"), (PEER_HEADER, "2.00")],
        ];
        for headers in bad {
            assert_eq!(of(headers), "malformed", "{headers:?}");
        }
    }
}
