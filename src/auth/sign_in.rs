//! What a tenant signs in with.

use std::fmt;

use secrecy::SecretString;

use crate::model::TenantId;

/// One tenant's way to get tokens. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// The tenant; every token must be for it.
    pub tenant: TenantId,
    /// What people call the tenant; stands at the head of messages.
    pub label: String,
    /// The application (client) id.
    pub client_id: String,
    /// How the app proves who it is.
    pub credential: Credential,
    /// Whether a token that does not show its tenant is accepted. One that shows another tenant never is.
    pub allow_opaque: bool,
    /// A domain that must belong to the tenant.
    pub expect_domain: Option<String>,
}

/// How an app proves who it is.
#[derive(Clone)]
pub enum Credential {
    /// A client secret: its Value, not its Secret ID.
    ClientSecret(SecretString),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientSecret(_) => f.write_str("ClientSecret([redacted])"),
        }
    }
}
