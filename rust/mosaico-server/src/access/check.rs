//! The one decision about a call, once the name of its sequence is known.

use mosaico_storage::error::{Error, Result};
use mosaico_types::access::{Decision, Right, Subject};
use mosaico_types::{ErrorCode, SequenceName, TimeWindow, TopicLocator};
use mosaico_wire::action::Named;
use mosaico_wire::ticket::Received;

use super::identity::{Caller, Identity, refused, refused_link};
use super::table::{Missing, Needs, Rule, Source, Surface, find};
use crate::service::call::parse;

/// What a call is about, as far as it is named.
enum Target<'a> {
    Sequence(&'a SequenceName),
    Topic(&'a TopicLocator),
}

impl Target<'_> {
    fn sequence(&self) -> &SequenceName {
        match self {
            Self::Sequence(name) => name,
            Self::Topic(locator) => &locator.sequence,
        }
    }

    /// The error that the call gives if the resource does not exist.
    fn not_found(&self, missing: Missing) -> Error {
        match (self, missing) {
            (Self::Topic(locator), Missing::Itself) => Error::TopicNotFound(locator.to_string()),
            _ => Error::SequenceNotFound(self.sequence().to_string()),
        }
    }
}

impl Caller {
    /// Checks an action before it is parsed any further.
    ///
    /// # Errors
    /// [`ErrorCode::PermissionDenied`]; the error of a resource that does not exist, if the caller may not
    /// know of it; [`Error::Unimplemented`] for an action that the table does not list.
    pub(crate) fn check_action(&self, action: &str, body: &[u8]) -> Result<()> {
        let rule = find(Surface::Action, action).ok_or_else(|| unknown(action))?;
        let Needs::Right(right) = rule.needs else { return Err(unknown(action)) };
        let missing = match rule.source {
            Source::Store => return self.decide(right, Subject::Store),
            Source::Visible => return self.decide(right, Subject::Visible),
            // The right everywhere is the right on any name, also on a malformed one.
            _ if self.grant.allows_everywhere(right) => return Ok(()),
            _ if !self.grant.allows_somewhere(right) => return Err(self.denied(right, None)),
            Source::NewSequence => {
                let name = SequenceName::parse(&parse::<Named>(action, body)?.name)?;
                return self.decide(right, Subject::NewSequence(&name));
            }
            Source::Sequence => {
                let name = SequenceName::parse(&parse::<Named>(action, body)?.name)?;
                return self.check_target(right, &Target::Sequence(&name), Missing::Itself);
            }
            Source::Topic(missing) => missing,
            Source::Ticket | Source::Command | Source::Path | Source::Nothing => return Err(unknown(action)),
        };
        let locator = TopicLocator::parse(&parse::<Named>(action, body)?.name)?;
        self.check_target(right, &Target::Topic(&locator), missing)
    }

    /// Checks an RPC on a sequence.
    ///
    /// # Errors
    /// As [`Self::check_action`].
    pub(crate) fn check_sequence(&self, rpc: &str, name: &SequenceName) -> Result<()> {
        self.check_target(right_of(rpc)?, &Target::Sequence(name), Missing::Itself)
    }

    /// Checks an RPC on a topic.
    ///
    /// # Errors
    /// As [`Self::check_action`].
    pub(crate) fn check_topic(&self, rpc: &str, locator: &TopicLocator, missing: Missing) -> Result<()> {
        self.check_target(right_of(rpc)?, &Target::Topic(locator), missing)
    }

    /// Checks a ticket: a caller with a key uses the tickets that the daemon gave to this key, unless
    /// everybody may read the sequence.
    ///
    /// # Errors
    /// As [`Self::check_action`].
    pub(crate) fn check_ticket(&self, rpc: &str, received: &Received<'_>) -> Result<TopicLocator> {
        let locator = TopicLocator::parse(&received.ticket.locator)?;
        let needs_signature = matches!(self.identity, Identity::Key(_));
        if needs_signature && !self.is_public(locator.sequence.as_str()) {
            let is_ours = |signature| self.has_ticket(received.signed, signature);
            if !received.signature.as_ref().is_some_and(is_ours) {
                let text = "the ticket is not one that was given to this API key; take tickets from \
                            GetFlightInfo as they are, with the same key";
                return Err(Error::Refused(ErrorCode::PermissionDenied, text.to_owned()));
            }
        }
        self.check_topic(rpc, &locator, Missing::Itself)?;
        Ok(locator)
    }

    /// Checks a read of a sequence over HTTP.
    ///
    /// # Errors
    /// As [`Self::check_action`]; [`refused_link`] for a link to another sequence.
    pub(crate) fn check_page(&self, name: &str) -> Result<SequenceName> {
        if self.link.as_ref().is_some_and(|(link, _)| link.sequence != name) {
            return Err(refused_link());
        }
        let name = SequenceName::parse(name)?;
        self.check_target(Right::Read, &Target::Sequence(&name), Missing::Itself)?;
        Ok(name)
    }

    /// Checks a read of a topic over HTTP; returns the rows that the caller gets.
    ///
    /// # Errors
    /// As [`Self::check_page`].
    pub(crate) fn check_page_topic(
        &self,
        sequence: &str,
        topic: &str,
        asked: TimeWindow,
    ) -> Result<(TopicLocator, TimeWindow)> {
        if self.link.as_ref().is_some_and(|(link, _)| link.sequence != sequence) {
            return Err(refused_link());
        }
        let locator = TopicLocator::parse(&format!("{sequence}/{topic}"))?;
        let Some((link, _)) = &self.link else {
            self.check_target(Right::Read, &Target::Topic(&locator), Missing::Itself)?;
            return Ok((locator, asked));
        };
        match link.narrowed(asked) {
            Some(window) if link.has_topic(&locator.topic) => Ok((locator, window)),
            _ => Err(refused_link()),
        }
    }

    /// Checks what an RPC needs before its body is read.
    ///
    /// # Errors
    /// [`ErrorCode::PermissionDenied`].
    pub(crate) fn check_rule(&self, rule: &Rule) -> Result<()> {
        match rule.needs {
            Needs::Right(right) if !self.grant.allows_somewhere(right) => Err(self.denied(right, None)),
            Needs::Monitoring(level) if self.identity == Identity::Anonymous => {
                if self.monitoring() >= level { Ok(()) } else { Err(refused()) }
            }
            _ if self.grant.is_empty() => Err(refused()),
            _ => Ok(()),
        }
    }

    fn check_target(&self, right: Right, target: &Target<'_>, missing: Missing) -> Result<()> {
        match self.grant.decide(right, Subject::Sequence(target.sequence())) {
            Decision::Allowed => Ok(()),
            Decision::Denied => Err(self.denied(right, Some(target.sequence()))),
            Decision::Hidden => Err(target.not_found(missing)),
        }
    }

    fn decide(&self, right: Right, subject: Subject<'_>) -> Result<()> {
        if self.grant.decide(right, subject) == Decision::Allowed {
            return Ok(());
        }
        match subject {
            Subject::NewSequence(name) => Err(self.denied(right, Some(name))),
            _ => Err(self.denied(right, None)),
        }
    }

    fn denied(&self, right: Right, name: Option<&SequenceName>) -> Error {
        let who = match self.identity {
            // More rights need a key.
            Identity::Anonymous => return refused(),
            Identity::Key(fingerprint) => format!("the API key {fingerprint}"),
            Identity::Link(_) => return refused_link(),
            Identity::Peer => "another daemon".to_owned(),
        };
        let on = match name {
            Some(name) => format!("sequence `{name}`"),
            None => "what this call concerns".to_owned(),
        };
        let text = format!("{who} has no right to {right} {on}; use a key with the right `{right}` there");
        Error::Refused(ErrorCode::PermissionDenied, text)
    }
}

fn right_of(rpc: &str) -> Result<Right> {
    match find(Surface::Rpc, rpc).map(|rule| rule.needs) {
        Some(Needs::Right(right)) => Ok(right),
        _ => Err(unknown(rpc)),
    }
}

/// The error of a call that the table does not list.
pub(crate) fn unknown(call: &str) -> Error {
    Error::Unimplemented(format!(
        "there is no action `{}` here; a newer server may have it",
        call.chars().take(80).collect::<String>()
    ))
}
