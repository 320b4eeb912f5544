//! Signed links: everybody who has a link may read one sequence, or a part of it, until it expires.
//!
//! ```text
//! link      := payload "." signature          both base64url without padding
//! payload   := JSON of a Link
//! signature := HMAC-SHA-256 with the secret of the store, of the links' salt and the text of the payload
//! ```
//!
//! A link is as good as its creator: the API key in it must be valid and may read the sequence when the link is used.
//! A new salt makes all earlier links invalid. Daemons keep no list of links.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mosaico_storage::error::{Error, Result};
use mosaico_types::access::{Fingerprint, Grant, KeyLimits, Pattern, Right, Rights, Scope};
use mosaico_types::{ErrorCode, SequenceName, TimeWindow, TopicPath};
use serde::{Deserialize, Serialize};

use super::keys::KeyRing;

/// The longest life of a link.
const MAX_LIFE_S: u64 = 366 * 86_400;

/// Topics that a link may name.
const MAX_TOPICS: usize = 100;

const NS: i64 = 1_000_000_000;

/// What a link opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    pub sequence: String,
    /// The API key of its creator; `None`: a command with the files of the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creator: Option<Fingerprint>,
    pub expires_ns: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<i64>,
    /// `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topics: Option<Vec<String>>,
}

/// A request for a link.
#[derive(Debug, Clone)]
pub struct NewLink {
    pub sequence: SequenceName,
    pub creator: Option<Fingerprint>,
    pub expires_in_s: u64,
    pub window: TimeWindow,
    /// `None`: all.
    pub topics: Option<Vec<TopicPath>>,
}

/// A link as text.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuedLink {
    /// A secret.
    pub text: String,
    pub expires_ns: i64,
}

/// The URL of a sequence, with a link.
pub fn page_url(base: &str, sequence: &SequenceName, link: &str) -> String {
    format!("{}/api/v1/sequences/{sequence}?link={link}", base.trim_end_matches('/'))
}

/// A valid link, and what the calls with it may take.
#[derive(Debug, Clone)]
pub struct OpenLink {
    pub link: Link,
    pub limits: KeyLimits,
}

impl Link {
    /// Whether it opens a topic.
    pub fn has_topic(&self, path: &TopicPath) -> bool {
        self.topics.as_ref().is_none_or(|topics| topics.iter().any(|topic| topic == path.as_str()))
    }

    /// The part of the sequence that it opens.
    pub fn window(&self) -> TimeWindow {
        TimeWindow { start: self.start, end: self.end }
    }

    /// The requested window inside that of the link; `None` if it is wider. A missing bound is that of the link.
    pub fn narrowed(&self, asked: TimeWindow) -> Option<TimeWindow> {
        let start = asked.start.or(self.start);
        let end = asked.end.or(self.end);
        let fits = self.start.is_none_or(|first| start >= Some(first))
            && self.end.is_none_or(|last| end.is_some_and(|end| end <= last));
        fits.then_some(TimeWindow { start, end })
    }

    /// Its rights.
    pub fn grant(&self) -> Grant {
        let pattern = Pattern::parse(&self.sequence).ok();
        Grant::new(
            pattern
                .map(|pattern| Scope { pattern, rights: Rights::of(&[Right::Read]) })
                .into_iter()
                .collect(),
        )
    }
}

impl KeyRing {
    /// Signs a link, which never outlives its creator.
    ///
    /// # Errors
    /// [`Error::Invalid`] or [`Error::Refused`] for a time, window or topics that no link has, and for a creator that may
    /// not read the sequence.
    pub fn issue_link(&self, new: NewLink, now_ns: i64) -> Result<IssuedLink> {
        let invalid = |text: String| Err(Error::Invalid(text));
        let NewLink { sequence, creator, expires_in_s, window, topics } = new;
        if expires_in_s == 0 || expires_in_s > MAX_LIFE_S {
            return invalid(format!("a link cannot expire in {expires_in_s} s; use 1 s to 366 days"));
        }
        if window.is_empty() {
            return invalid("the window of the link is empty; its end must be after its start".into());
        }
        if topics.as_ref().is_some_and(Vec::is_empty) {
            return invalid("the link opens no topic; name some, or leave the topics out to open all".into());
        }
        if let Some(topics) = topics.as_ref().filter(|topics| topics.len() > MAX_TOPICS) {
            let text = format!("{} topics; a link names at most {MAX_TOPICS}", topics.len());
            return Err(Error::Refused(ErrorCode::TooMany, text));
        }
        let life = i64::try_from(expires_in_s).unwrap_or(i64::MAX).saturating_mul(NS);
        let mut expires_ns = now_ns.saturating_add(life);
        if let Some(key) = creator {
            let key = self.readers_key(key, sequence.as_str(), now_ns).ok_or_else(|| {
                let text = format!(
                    "the API key {key} is not valid, or may not read sequence `{sequence}`; `mosaicod api-key list` \
                     shows all"
                );
                Error::Refused(ErrorCode::PermissionDenied, text)
            })?;
            expires_ns = key.expires_ns.map_or(expires_ns, |expires| expires.min(expires_ns));
        }
        let link = Link {
            sequence: sequence.to_string(),
            creator,
            expires_ns,
            start: window.start,
            end: window.end,
            topics: topics.map(|topics| topics.iter().map(ToString::to_string).collect()),
        };
        let json = serde_json::to_vec(&link).map_err(|e| Error::internal("encoding a link", e))?;
        let payload = URL_SAFE_NO_PAD.encode(json);
        let signer = self.signer().ok_or_else(|| {
            let text = "the store has no secret to sign links; create an API key first";
            Error::Refused(ErrorCode::FailedPrecondition, text.to_owned())
        })?;
        let signature = URL_SAFE_NO_PAD.encode(signer.sign_link(self.link_salt(), payload.as_bytes()));
        Ok(IssuedLink { text: format!("{payload}.{signature}"), expires_ns })
    }

    /// The link with this text, if it is valid: signed with the current salt, not expired, and its creator may still
    /// read the sequence.
    pub fn open_link(&self, text: &str, now_ns: i64) -> Option<OpenLink> {
        let (payload, signature) = text.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        if !self.signer()?.is_link(self.link_salt(), payload.as_bytes(), &signature) {
            return None;
        }
        let link: Link = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        if now_ns >= link.expires_ns {
            return None;
        }
        let limits = match link.creator {
            Some(key) => self.readers_key(key, &link.sequence, now_ns)?.limits,
            None => KeyLimits::default(),
        };
        Some(OpenLink { link, limits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::secret::{hash, new_token};
    use mosaico_storage::format::api_keys::{ApiKeyRecord, ApiKeysRecord, Hidden};

    const NOW: i64 = 1_800_000_000 * NS;

    fn record(scope: &str) -> ApiKeysRecord {
        let token = new_token().unwrap();
        let key = ApiKeyRecord {
            fingerprint: token.fingerprint(),
            secret_sha256: hash(&token),
            certificate: None,
            description: String::new(),
            scopes: vec![Scope::parse(scope, None).unwrap()],
            limits: KeyLimits { calls: Some(3), ..KeyLimits::default() },
            created_ns: 0,
            expires_ns: None,
            revoked_ns: None,
        };
        ApiKeysRecord {
            signing_secret: Hidden(vec![7; 32]),
            link_salt: None,
            keys: vec![key],
            changes: Vec::new(),
        }
    }

    fn new(record: &ApiKeysRecord) -> NewLink {
        NewLink {
            sequence: SequenceName::parse("run-1").unwrap(),
            creator: Some(record.keys[0].fingerprint),
            expires_in_s: 60,
            window: TimeWindow::ALL,
            topics: None,
        }
    }

    fn ring(record: &ApiKeysRecord) -> KeyRing {
        KeyRing::new(record.clone())
    }

    #[test]
    fn a_link_opens_its_sequence_until_it_expires() {
        let record = record("run-*:read");
        let IssuedLink { text, expires_ns } = ring(&record).issue_link(new(&record), NOW).unwrap();
        assert_eq!(expires_ns, NOW + 60 * NS);
        let open = ring(&record).open_link(&text, expires_ns - 1).unwrap();
        assert_eq!((open.link.sequence.as_str(), open.limits.calls), ("run-1", Some(3)));
        let grant = open.link.grant();
        assert!(grant.allows(Right::Read, "run-1") && !grant.allows(Right::Read, "run-2"));
        assert!(!grant.allows(Right::Write, "run-1"));
        assert!(ring(&record).open_link(&text, expires_ns).is_none());
        assert!(!format!("{open:?}").contains(text.split_once('.').unwrap().1));
    }

    #[test]
    fn every_altered_byte_is_noticed() {
        let record = record("*:read");
        let ring = ring(&record);
        let text = ring.issue_link(new(&record), NOW).unwrap().text;
        for at in 0..text.len() {
            for byte in (0x20..0x7f).filter(|byte| *byte != text.as_bytes()[at]) {
                let mut altered = text.clone().into_bytes();
                altered[at] = byte;
                let altered = String::from_utf8(altered).unwrap();
                assert!(ring.open_link(&altered, NOW).is_none(), "{altered}");
            }
            assert!(ring.open_link(&text[..at], NOW).is_none());
        }
        for other in [format!("{text}A"), format!("{text}."), format!("{text}="), format!(" {text}")] {
            assert!(ring.open_link(&other, NOW).is_none(), "{other}");
        }
        assert!(ring.open_link(&text, NOW).is_some());
    }

    #[test]
    fn a_link_never_exceeds_its_creator() {
        let first = record("run-*:read");
        let text = ring(&first).issue_link(new(&first), NOW).unwrap().text;
        let changes: [fn(&mut ApiKeysRecord); 6] = [
            |record| record.keys[0].revoked_ns = Some(NOW),
            |record| record.keys[0].expires_ns = Some(NOW),
            |record| record.keys[0].scopes = vec![Scope::parse("other-*:read", None).unwrap()],
            |record| record.keys[0].scopes = vec![Scope::parse("run-*:write", None).unwrap()],
            |record| record.keys.clear(),
            |record| record.link_salt = Some(Hidden(vec![1; 16])),
        ];
        for change in changes {
            let mut record = first.clone();
            change(&mut record);
            assert!(ring(&record).open_link(&text, NOW).is_none());
        }
        let mut ending = first.clone();
        ending.keys[0].expires_ns = Some(NOW + 10 * NS);
        assert_eq!(ring(&ending).issue_link(new(&ending), NOW).unwrap().expires_ns, NOW + 10 * NS);
        let other = NewLink { sequence: SequenceName::parse("other").unwrap(), ..new(&first) };
        let denied = ring(&first).issue_link(other, NOW).err().unwrap();
        assert_eq!(denied.code(), ErrorCode::PermissionDenied, "{denied}");
        let of_store = ring(&first).issue_link(NewLink { creator: None, ..new(&first) }, NOW).unwrap();
        assert!(ring(&first).open_link(&of_store.text, NOW).is_some());
    }

    #[test]
    fn windows_and_topics() {
        let record = record("*:read");
        let window = |start, end| TimeWindow { start, end };
        let topics = Some(vec![TopicPath::parse("a/b").unwrap()]);
        let limited = NewLink { window: window(Some(10), Some(20)), topics, ..new(&record) };
        let text = ring(&record).issue_link(limited, NOW).unwrap().text;
        let link = ring(&record).open_link(&text, NOW).unwrap().link;
        let narrowed = |start, end| link.narrowed(window(start, end));
        assert_eq!(narrowed(None, None), Some(window(Some(10), Some(20))));
        assert_eq!(narrowed(Some(12), None), Some(window(Some(12), Some(20))));
        for (start, end) in
            [(Some(9), None), (None, Some(21)), (Some(i64::MIN), Some(15)), (Some(12), Some(i64::MAX))]
        {
            assert_eq!(narrowed(start, end), None, "{start:?} {end:?}");
        }
        let topic = |path: &str| link.has_topic(&TopicPath::parse(path).unwrap());
        assert!(topic("a/b") && !topic("a") && !topic("a/b/c"));

        let half = NewLink { window: window(None, Some(20)), ..new(&record) };
        let half = ring(&record).issue_link(half, NOW).unwrap().text;
        let half = ring(&record).open_link(&half, NOW).unwrap().link;
        assert_eq!(half.narrowed(window(Some(5), None)), Some(window(Some(5), Some(20))));
        assert_eq!(half.narrowed(window(None, Some(21))), None);

        let bad = [
            NewLink { expires_in_s: 0, ..new(&record) },
            NewLink { expires_in_s: MAX_LIFE_S + 1, ..new(&record) },
            NewLink { window: window(Some(2), Some(2)), ..new(&record) },
            NewLink { topics: Some(Vec::new()), ..new(&record) },
            NewLink { topics: Some(vec![TopicPath::parse("t").unwrap(); MAX_TOPICS + 1]), ..new(&record) },
        ];
        for bad in bad {
            assert!(ring(&record).issue_link(bad.clone(), NOW).is_err(), "{bad:?}");
        }
    }
}
