//! What can go wrong before a token is there. No text here ever holds a secret, an assertion or a token.

use std::time::Duration;

use super::Method;
use crate::model::TenantId;

/// No token is to be had. Reads after "failed to".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Asking again will not help: wrong or expired secret, unknown app or tenant, no consent, forbidden by policy.
    #[error("sign in to {message}")]
    Permanent {
        /// The tenant's label, a colon, and the reason in words.
        message: String,
    },
    /// Network, timeout, 408, 429, 5xx, or an answer that made no sense: a later try may work.
    #[error("sign in to {message}")]
    Passing {
        /// The tenant's label, a colon, and the reason in words.
        message: String,
        /// No token request for this tenant is made before this has passed; asking earlier gets the same error.
        after: Option<Duration>,
    },
    /// The token belongs to another tenant than the one that was asked for.
    #[error("sign in to tenant {expected}: the token that came ({method}) is for tenant {found}; check the tenant and its app")]
    WrongTenant {
        /// The tenant asked for.
        expected: TenantId,
        /// The tenant (`tid`) in the token.
        found: TenantId,
        /// How the token was got.
        method: Method,
    },
    /// The token does not show its tenant, and that was not allowed.
    #[error("sign in to tenant {tenant}: the token does not show its tenant ({why}); allow_opaque_token accepts that")]
    OpaqueToken {
        /// The tenant asked for.
        tenant: TenantId,
        /// What could not be read.
        why: &'static str,
    },
}

impl TokenError {
    /// The same error; a passing one with this wait instead of its own.
    pub(super) fn waiting(self, wait: Duration) -> Self {
        match self {
            Self::Passing { message, .. } => Self::Passing { message, after: Some(wait) },
            other @ (Self::Permanent { .. } | Self::WrongTenant { .. } | Self::OpaqueToken { .. }) => other,
        }
    }

    /// The same error; one that a person must mend with this besides.
    pub(super) fn adding(self, what: &str) -> Self {
        match self {
            Self::Permanent { message } => Self::Permanent { message: format!("{message} ({what})") },
            other @ (Self::Passing { .. } | Self::WrongTenant { .. } | Self::OpaqueToken { .. }) => other,
        }
    }
}

/// The authority or the tenant's name cannot be used. Reads after "failed to".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Not a base URL that secrets may be sent to.
    #[error("use {given:?} as the authority: {reason}")]
    Authority {
        /// What was given; withheld where it may hold a password.
        given: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Neither a GUID nor a domain name.
    #[error("look up tenant {given:?}: neither a GUID nor a domain name such as contoso.com")]
    NotATenant {
        /// What was given.
        given: String,
    },
    /// The authority does not know the domain, or refuses to answer.
    #[error("look up tenant {domain}: {message}")]
    Permanent {
        /// The domain asked for.
        domain: String,
        /// The reason in words.
        message: String,
    },
    /// Network, timeout, 408, 429, 5xx, or an answer that made no sense: a later try may work.
    #[error("look up tenant {domain}: {message}")]
    Passing {
        /// The domain asked for.
        domain: String,
        /// The reason in words.
        message: String,
        /// How long the service wants us to wait, if it said so.
        after: Option<Duration>,
    },
}
