//! A service of the platform we run on: whoever shows the platform's own secret gets a token from it.

use std::time::Duration;

use reqwest::RequestBuilder;
use secrecy::{ExposeSecret as _, SecretString};

use super::answer::{Answer, Fault};
use super::entra::{shapes, text_in};

/// What messages call it, and what lets us ask.
pub(super) struct Service<'a> {
    pub(super) name: &'static str,
    pub(super) secret: Option<&'a SecretString>,
    /// How long an answer with this status takes to mend itself, at least; none if a person must.
    pub(super) mends: fn(u16) -> Option<Duration>,
}

impl Service<'_> {
    /// One request. An error holds what the service said, without the secret.
    pub(super) async fn ask(&self, request: RequestBuilder) -> Result<Answer, Fault> {
        let secrets = self.secret.map_or_else(Vec::new, |secret| shapes(secret.expose_secret()));
        let answer = Answer::of(request).await.map_err(|fault| self.said(fault))?;
        match answer.fault(&secrets).map(|fault| self.said(fault)) {
            None => Ok(answer),
            Some(Fault::Permanent(words)) => Err(match (self.mends)(answer.status.as_u16()) {
                Some(wait) => Fault::Passing(words, answer.retry_after.max(Some(wait))),
                None => Fault::Permanent(words),
            }),
            Some(passing @ Fault::Passing(..)) => Err(passing),
        }
    }

    /// The token that an answer holds under this name.
    pub(super) fn token_in(&self, answer: &Answer, name: &str) -> Result<SecretString, Fault> {
        text_in(answer, name).map_err(|fault| self.said(fault))
    }

    /// The words of answers are about the sign-in service; these are about this one.
    pub(super) fn said(&self, fault: Fault) -> Fault {
        fault.map(|words| words.replacen("the sign-in service", self.name, 1))
    }
}

impl Fault {
    /// The same with other words.
    pub(super) fn map(self, words: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Permanent(text) => Self::Permanent(words(text)),
            Self::Passing(text, after) => Self::Passing(words(text), after),
        }
    }

    /// The same; where a person must act, with what to do.
    pub(super) fn advise(self, what: &str) -> Self {
        match self {
            Self::Permanent(text) => Self::Permanent(format!("{text}; {what}")),
            passing @ Self::Passing(..) => passing,
        }
    }
}

/// No status of its own mends itself.
pub(super) const fn never(_: u16) -> Option<Duration> {
    None
}
