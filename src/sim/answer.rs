//! What the core tells the front to do with one request.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::revoke::Revocation;

/// A complete HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names and values, in order.
    pub headers: Vec<(&'static str, String)>,
    /// The body; empty for 204.
    pub body: Bytes,
}

impl Answer {
    /// An answer without a body.
    pub const fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// An answer with a text of this media type.
    pub fn text(status: u16, media_type: &str, text: impl Into<String>) -> Self {
        Self { body: Bytes::from(text.into()), ..Self::empty(status).with("content-type", media_type) }
    }

    /// A JSON answer with the media type that Graph sends.
    pub fn json(status: u16, value: &Value) -> Self {
        Self::text(status, "application/json;odata.metadata=minimal;charset=utf-8", value.to_string())
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// How an exchange ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With this answer.
    Answer(Answer),
    /// With whatever answer performing the effect gives.
    Outcome,
    /// The connection is closed without an answer.
    Cut,
    /// Never.
    Hang,
}

/// How to treat one request. All delays count from its arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The number of the request, from 1.
    pub ordinal: u64,
    /// When to perform which revocation, also if the client has gone by then.
    pub effect: Option<(Duration, Revocation)>,
    /// When the exchange ends.
    pub delay: Duration,
    /// How it ends.
    pub ending: Ending,
}
