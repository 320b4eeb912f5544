use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::pattern::{Pattern, PatternError};
use super::rights::{Right, Rights, RightsError};
use crate::SequenceName;

/// Rights on the sequences that a pattern covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// The sequences.
    pub pattern: Pattern,
    /// The rights on them.
    pub rights: Rights,
}

/// A text that is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// No pattern.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// No rights.
    #[error(transparent)]
    Rights(#[from] RightsError),
    /// A pattern alone, and no rights that it could take over.
    #[error("the scope `{0}` has no rights; write `{0}:read,write`, or add --permissions")]
    NoRights(String),
}

impl Scope {
    /// Reads `PATTERN:right,right`; a pattern alone has the rights `otherwise`.
    ///
    /// # Errors
    /// [`ScopeError`].
    pub fn parse(text: &str, otherwise: Option<Rights>) -> Result<Self, ScopeError> {
        let (pattern, rights) = match text.rsplit_once(':') {
            Some((pattern, rights)) => (pattern, rights.parse()?),
            None => (text, otherwise.ok_or_else(|| ScopeError::NoRights(text.to_owned()))?),
        };
        Ok(Self { pattern: Pattern::parse(pattern)?, rights })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.pattern, self.rights)
    }
}

/// What a call concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject<'a> {
    /// One sequence, or a topic of it.
    Sequence(&'a SequenceName),
    /// A sequence that does not exist yet.
    NewSequence(&'a SequenceName),
    /// The store as a whole.
    Store,
    /// Any sequences: the answer contains only those that the caller may read.
    Visible,
}

/// The answer to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is carried out.
    Allowed,
    /// The caller lacks the right.
    Denied,
    /// The answer is that of a sequence that does not exist.
    Hidden,
}

/// Everything that a caller may do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grant {
    scopes: Vec<Scope>,
}

impl Grant {
    /// The rights of these scopes together.
    pub fn new(scopes: Vec<Scope>) -> Self {
        Self { scopes }
    }

    /// These rights on all sequences.
    pub fn everywhere(rights: Rights) -> Self {
        Self { scopes: vec![Scope { pattern: Pattern::any(), rights }] }
    }

    /// Whether the caller has a right on a sequence.
    pub fn allows(&self, right: Right, name: &str) -> bool {
        self.scopes.iter().any(|scope| scope.rights.has(right) && scope.pattern.matches(name))
    }

    /// Whether the caller has a right on every sequence.
    pub fn allows_everywhere(&self, right: Right) -> bool {
        self.scopes.iter().any(|scope| scope.rights.has(right) && scope.pattern.is_any())
    }

    /// Whether the caller has a right on any sequence at all.
    pub fn allows_somewhere(&self, right: Right) -> bool {
        self.scopes.iter().any(|scope| scope.rights.has(right))
    }

    /// Whether the caller may do nothing.
    pub fn is_empty(&self) -> bool {
        self.scopes.iter().all(|scope| scope.rights.is_empty())
    }

    /// Whether the caller may know of a sequence.
    fn covers(&self, name: &str) -> bool {
        self.scopes.iter().any(|scope| !scope.rights.is_empty() && scope.pattern.matches(name))
    }

    /// Decides about a call. The answer depends on names and patterns only, never on whether the sequence
    /// exists: a caller cannot probe for sequences outside of its scopes.
    pub fn decide(&self, right: Right, subject: Subject<'_>) -> Decision {
        let allowed = match subject {
            Subject::Sequence(name) if !self.allows(right, name.as_str()) => {
                // A caller that has the right nowhere learns that first, whatever the name.
                let hidden = self.allows_somewhere(right) && !self.covers(name.as_str());
                return if hidden { Decision::Hidden } else { Decision::Denied };
            }
            Subject::Sequence(_) => true,
            Subject::NewSequence(name) => self.allows(right, name.as_str()),
            Subject::Store => self.allows_everywhere(right),
            Subject::Visible => self.allows_somewhere(right),
        };
        if allowed { Decision::Allowed } else { Decision::Denied }
    }

    /// The sequences that the caller may read.
    pub fn visibility(&self) -> Visibility {
        if self.allows_everywhere(Right::Read) {
            return Visibility(None);
        }
        let readable = self.scopes.iter().filter(|scope| scope.rights.has(Right::Read));
        Visibility(Some(readable.map(|scope| scope.pattern.clone()).collect()))
    }
}

/// The sequences that a caller may read; lists, queries and events contain only these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visibility(Option<Vec<Pattern>>);

impl Visibility {
    /// All sequences.
    pub const ALL: Self = Self(None);

    /// Whether no sequence is hidden.
    pub fn is_all(&self) -> bool {
        self.0.is_none()
    }

    /// Whether the caller may read a sequence.
    pub fn shows(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(name)))
    }
}

macro_rules! level {
    ($(#[$doc:meta])* $type:ident, $what:literal { $($(#[$level_doc:meta])* $level:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $type {
            $($(#[$level_doc])* $level,)*
        }

        impl $type {
            /// Every level, the lowest first.
            pub const ALL: &'static [Self] = &[$(Self::$level),*];

            /// Its name.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$level => $text,)*
                }
            }
        }

        impl FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let found = Self::ALL.iter().copied().find(|level| level.as_str() == text);
                let names = Self::ALL.iter().map(|level| level.as_str()).collect::<Vec<_>>().join(", ");
                found.ok_or_else(|| format!("`{text}` is no {}; use one of {names}", $what))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

level! {
    /// What a caller without a key may do.
    AnonymousLevel, "level of anonymous access" {
        /// Nothing.
        None = "none",
        /// Read everything.
        Read = "read",
        /// Read everything and record.
        Write = "write",
        /// Everything.
        All = "all",
    }
}

level! {
    /// What a monitor without a key may see.
    MonitoringLevel, "level of monitoring" {
        /// Nothing.
        None = "none",
        /// Whether the daemon is alive and ready.
        Health = "health",
        /// The metrics too.
        Metrics = "metrics",
    }
}

impl AnonymousLevel {
    /// The rights of the level.
    pub fn grant(self) -> Grant {
        Grant::everywhere(match self {
            Self::None => Rights::NONE,
            Self::Read => Rights::of(&[Right::Read]),
            Self::Write => Rights::of(&[Right::Read, Right::Write]),
            Self::All => Rights::all(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grant(scopes: &[&str]) -> Grant {
        Grant::new(scopes.iter().map(|text| Scope::parse(text, None).unwrap()).collect())
    }

    fn decide(grant: &Grant, right: Right, name: &str) -> Decision {
        grant.decide(right, Subject::Sequence(&SequenceName::parse(name).unwrap()))
    }

    #[test]
    fn scopes_have_texts() {
        let scope = Scope::parse("fleet-a/*:read,write", None).unwrap();
        assert_eq!(scope.to_string(), "fleet-a:read|write");
        let taken = Scope::parse("a-*", Some(Rights::of(&[Right::Delete]))).unwrap();
        assert_eq!(taken.to_string(), "a-*:delete");
        for bad in ["a-*", ":read", "a:", "a:manage", "a b:read"] {
            assert!(Scope::parse(bad, None).is_err(), "{bad}");
        }
    }

    #[test]
    fn rights_are_those_of_the_scope() {
        let grant = grant(&["a-*:read,write", "b-*:read"]);
        assert_eq!(decide(&grant, Right::Write, "a-1"), Decision::Allowed);
        assert_eq!(decide(&grant, Right::Write, "b-1"), Decision::Denied);
        assert_eq!(decide(&grant, Right::Write, "c-1"), Decision::Hidden);
        assert_eq!(decide(&grant, Right::Delete, "a-1"), Decision::Denied);
        assert_eq!(decide(&grant, Right::Delete, "c-1"), Decision::Denied);
        let new = SequenceName::parse("c-1").unwrap();
        assert_eq!(grant.decide(Right::Write, Subject::NewSequence(&new)), Decision::Denied);
        assert_eq!(grant.decide(Right::Read, Subject::Store), Decision::Denied);
        assert_eq!(grant.decide(Right::Read, Subject::Visible), Decision::Allowed);
        assert_eq!(grant.decide(Right::Admin, Subject::Visible), Decision::Denied);
    }

    #[test]
    fn only_readable_sequences_are_visible() {
        let visible = grant(&["a-*:write", "b-*:read"]).visibility();
        assert!(visible.shows("b-1") && !visible.shows("a-1") && !visible.shows("c-1") && !visible.is_all());
        assert!(grant(&["*:read"]).visibility().is_all());
        assert!(!Grant::default().visibility().shows("a"));
    }

    #[test]
    fn levels_grow() {
        for pair in AnonymousLevel::ALL.windows(2) {
            let has = |level: AnonymousLevel, right| level.grant().allows_everywhere(right);
            assert!(Right::ALL.into_iter().all(|right| !has(pair[0], right) || has(pair[1], right)));
            assert_eq!(pair[1].as_str().parse(), Ok(pair[1]));
        }
        assert!(AnonymousLevel::None.grant().is_empty() && !AnonymousLevel::Read.grant().is_empty());
        assert!("some".parse::<MonitoringLevel>().unwrap_err().contains("none, health, metrics"));
    }

    fn rights() -> impl Strategy<Value = Rights> {
        proptest::collection::vec(proptest::sample::select(&Right::ALL[..]), 0..4)
            .prop_map(|rights| Rights::of(&rights))
    }

    fn grants() -> impl Strategy<Value = Grant> {
        let scope = ("[ab*?]{1,4}", rights())
            .prop_map(|(pattern, rights)| Scope { pattern: Pattern::parse(&pattern).unwrap(), rights });
        proptest::collection::vec(scope, 0..4).prop_map(Grant::new)
    }

    proptest! {
        /// Allowed means: some scope has the right and covers the name. Nothing else decides.
        #[test]
        fn allowed_is_as_defined(grant in grants(), right in proptest::sample::select(&Right::ALL[..]), name in "[ab]{1,4}") {
            let some = grant.scopes.iter().any(|s| s.rights.has(right) && s.pattern.matches(&name));
            prop_assert_eq!(decide(&grant, right, &name) == Decision::Allowed, some);
            prop_assert_eq!(grant.allows(right, &name), some);
            prop_assert_eq!(grant.visibility().shows(&name), grant.allows(Right::Read, &name));
        }

        /// More scopes never take a right away.
        #[test]
        fn grants_are_monotone(
            grant in grants(), more in grants(), right in proptest::sample::select(&Right::ALL[..]), name in "[ab]{1,4}",
        ) {
            let both = Grant::new([grant.scopes.clone(), more.scopes].concat());
            prop_assert!(!grant.allows(right, &name) || both.allows(right, &name));
            prop_assert!(!grant.visibility().shows(&name) || both.visibility().shows(&name));
        }

        /// A hidden name and any other hidden name get the same answer.
        #[test]
        fn hidden_names_are_alike(grant in grants(), right in proptest::sample::select(&Right::ALL[..]), one in "[ab]{1,4}", other in "[ab]{1,4}") {
            prop_assume!(!grant.covers(&one) && !grant.covers(&other));
            prop_assert_eq!(decide(&grant, right, &one), decide(&grant, right, &other));
        }
    }
}
