//! Hashes and signatures of API keys, tickets, and calls between daemons.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::api_keys::{ApiKeyRecord, Hidden};
use mosaico_types::access::{Fingerprint, Token};
use mosaico_wire::ticket::Signature;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const SECRET_BYTES: usize = 32;
const SALT_BYTES: usize = 16;

/// How old the proof of a peer may be, or how far ahead its clock.
const PEER_SECONDS: u64 = 120;

/// What a signature is for: a signature of one kind is never valid as another kind.
const TICKET: &[u8] = b"mosaico ticket\0";
const PEER: &[u8] = b"mosaico peer\0";
const LINK: &[u8] = b"mosaico link\0";

fn random(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|e| Error::internal("reading random bytes", std::io::Error::from(e)))
}

/// Makes a new API key.
pub fn new_token() -> Result<Token> {
    let mut failed = None;
    let token = Token::generate(|| {
        let mut byte = [0];
        if let Err(error) = random(&mut byte) {
            failed = Some(error);
        }
        byte[0]
    });
    failed.map_or(Ok(token), Err)
}

/// Makes a new secret of a store.
pub fn new_signing_secret() -> Result<Hidden> {
    let mut bytes = vec![0; SECRET_BYTES];
    random(&mut bytes)?;
    Ok(Hidden(bytes))
}

/// Makes a new salt of links.
pub fn new_link_salt() -> Result<Hidden> {
    let mut bytes = vec![0; SALT_BYTES];
    random(&mut bytes)?;
    Ok(Hidden(bytes))
}

/// The hash by which a store recognises an API key.
pub fn hash(token: &Token) -> Hidden {
    Hidden(Sha256::digest(token.secret()).to_vec())
}

/// Whether a token is the key of a record. Takes the same time for each wrong token, and without a record.
pub(super) fn is_of(token: &Token, record: Option<&ApiKeyRecord>) -> bool {
    let none = [0; SECRET_BYTES];
    let stored: &[u8] = record.map_or(&none, |record| &record.secret_sha256.0);
    bool::from(hash(token).0.ct_eq(stored)) && record.is_some()
}

/// Signs for all daemons of a store.
#[derive(Clone)]
pub struct Signer(Hmac<Sha256>);

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

impl Signer {
    /// A signer with the secret of a store; `None` if the secret is too short to be one.
    pub fn new(secret: &Hidden) -> Option<Self> {
        let Hidden(secret) = secret;
        (secret.len() >= SECRET_BYTES).then(|| Hmac::new_from_slice(secret).ok().map(Self)).flatten()
    }

    fn mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        parts.iter().fold(self.0.clone(), |mac, part| mac.chain_update(part))
    }

    fn of_ticket(&self, key: Fingerprint, ticket: &[u8]) -> Hmac<Sha256> {
        self.mac(&[TICKET, key.to_string().as_bytes(), ticket])
    }

    /// The signature of a ticket that is given to the owner of a key.
    pub fn sign_ticket(&self, key: Fingerprint, ticket: &[u8]) -> Signature {
        self.of_ticket(key, ticket).finalize().into_bytes().into()
    }

    /// Whether a ticket was given to the owner of a key.
    pub fn is_ticket_of(&self, key: Fingerprint, ticket: &[u8], signature: &Signature) -> bool {
        self.of_ticket(key, ticket).verify_slice(signature).is_ok()
    }

    fn of_link(&self, salt: &[u8], payload: &[u8]) -> Hmac<Sha256> {
        self.mac(&[LINK, &(salt.len() as u64).to_le_bytes(), salt, payload])
    }

    /// The signature of a link.
    pub fn sign_link(&self, salt: &[u8], payload: &[u8]) -> Signature {
        self.of_link(salt, payload).finalize().into_bytes().into()
    }

    /// Whether a link was signed with this salt.
    pub fn is_link(&self, salt: &[u8], payload: &[u8], signature: &[u8]) -> bool {
        self.of_link(salt, payload).verify_slice(signature).is_ok()
    }

    fn of_peer(&self, path: &str, seconds: &str) -> Hmac<Sha256> {
        self.mac(&[PEER, path.as_bytes(), b"\0", seconds.as_bytes()])
    }

    /// Proves to another daemon of the store that a call of `path` is by one who has the secret.
    pub fn peer_proof(&self, path: &str, now_ns: i64) -> String {
        let seconds = (now_ns / 1_000_000_000).to_string();
        let proof = self.of_peer(path, &seconds).finalize().into_bytes();
        let hex: String = proof.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{seconds}.{hex}")
    }

    /// Whether a proof is right, for this call, and recent.
    pub fn is_peer(&self, path: &str, proof: &str, now_ns: i64) -> bool {
        let Some((seconds, hex)) = proof.split_once('.') else { return false };
        let Ok(at) = seconds.parse::<i64>() else { return false };
        if at.abs_diff(now_ns / 1_000_000_000) > PEER_SECONDS || !hex.is_ascii() || hex.len() % 2 == 1 {
            return false;
        }
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).ok();
        let bytes: Option<Vec<u8>> = (0..hex.len()).step_by(2).map(byte).collect();
        bytes.is_some_and(|bytes| self.of_peer(path, seconds).verify_slice(&bytes).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn signer(byte: u8) -> Signer {
        Signer::new(&Hidden(vec![byte; SECRET_BYTES])).unwrap()
    }

    #[test]
    fn only_the_right_secret_is_recognised() {
        let (ours, theirs) = (new_token().unwrap(), new_token().unwrap());
        let record = ApiKeyRecord {
            fingerprint: ours.fingerprint(),
            secret_sha256: hash(&ours),
            certificate: None,
            description: String::new(),
            scopes: Vec::new(),
            limits: Default::default(),
            created_ns: 0,
            expires_ns: None,
            revoked_ns: None,
        };
        assert!(is_of(&ours, Some(&record)));
        assert!(!is_of(&theirs, Some(&record)) && !is_of(&ours, None));
        let empty = ApiKeyRecord { secret_sha256: Hidden(Vec::new()), ..record };
        assert!(!is_of(&ours, Some(&empty)));
    }

    #[test]
    fn a_signature_is_for_one_key_one_ticket_and_one_store() {
        let [a, b] = ["1b676530", "1b676531"].map(|text| text.parse().unwrap());
        let signature = signer(1).sign_ticket(a, b"ticket");
        assert!(signer(1).is_ticket_of(a, b"ticket", &signature));
        assert!(!signer(1).is_ticket_of(b, b"ticket", &signature));
        assert!(!signer(1).is_ticket_of(a, b"tickets", &signature));
        assert!(!signer(2).is_ticket_of(a, b"ticket", &signature));
        assert!(Signer::new(&Hidden(Vec::new())).is_none(), "an empty secret signs nothing");
    }

    #[test]
    fn a_proof_is_for_one_call_and_a_short_time() {
        let (now, limit) = (1_800_000_000 * SECOND, 120 * SECOND);
        let proof = signer(1).peer_proof("/a", now);
        assert!(signer(1).is_peer("/a", &proof, now) && signer(1).is_peer("/a", &proof, now + limit));
        assert!(!signer(1).is_peer("/a", &proof, now + limit + SECOND));
        assert!(!signer(1).is_peer("/a", &proof, now - limit - SECOND));
        assert!(!signer(1).is_peer("/b", &proof, now) && !signer(2).is_peer("/a", &proof, now));
        let later = proof.replace("1800000000", "1800000001");
        assert!(!signer(1).is_peer("/a", &later, now));
        for bad in ["", ".", "1800000000.", "1800000000.x", "1800000000.éé", "x.00", "1800000000.0"] {
            assert!(!signer(1).is_peer("/a", bad, now), "{bad}");
        }
    }
}
