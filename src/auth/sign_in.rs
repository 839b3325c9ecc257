//! What a tenant signs in with.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;

use super::{Certificate, Method};
use crate::model::TenantId;

/// One tenant's way to get tokens. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// The tenant; every token must be for it.
    pub tenant: TenantId,
    /// What people call the tenant; stands at the head of messages.
    pub label: String,
    /// The application (client) id; empty where the method needs none.
    pub client_id: String,
    /// How the app, or a person, proves who it is.
    pub credential: Credential,
    /// Whether a token that does not show its tenant is accepted. One that shows another tenant never is.
    pub allow_opaque: bool,
    /// A domain that must belong to the tenant.
    pub expect_domain: Option<String>,
}

/// How an app, or a person, proves who it is.
#[derive(Clone)]
pub enum Credential {
    /// A client secret: its Value, not its Secret ID.
    ClientSecret(ClientSecret),
    /// A certificate whose private key signs assertions.
    Certificate(Arc<Certificate>),
    /// A token of another issuer, which Entra trusts to speak for the app.
    Federated(Federation),
    /// The identity that the platform gives this machine or app.
    ManagedIdentity(ManagedIdentity),
    /// A person who signed in before: the file that keeps the refresh token.
    DeviceCode(PathBuf),
    /// Whoever is signed in to the Azure CLI.
    AzureCli,
    /// A token that somebody else got.
    Token(GivenToken),
    /// The first of these that is there; which one shows at the first sign-in, and stays.
    Found(Vec<Credential>),
}

/// A client secret, and the file that it came from.
#[derive(Clone)]
pub struct ClientSecret {
    /// What it was at the start.
    pub value: SecretString,
    /// Read again for each sign-in: secrets are rotated while runs last. Where that fails, the one from the start is used.
    pub file: Option<PathBuf>,
}

impl From<&str> for ClientSecret {
    fn from(value: &str) -> Self {
        Self { value: value.into(), file: None }
    }
}

/// Where the token of the other issuer comes from; asked anew for each sign-in, because it lives for minutes.
#[derive(Clone)]
pub enum Federation {
    /// A file that the platform keeps fresh.
    File(PathBuf),
    /// GitHub Actions: `ACTIONS_ID_TOKEN_REQUEST_URL` and `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
    GitHub {
        /// The address to ask.
        url: String,
        /// What lets us ask.
        token: SecretString,
    },
    /// Azure Pipelines: `SYSTEM_OIDCREQUESTURI` and `SYSTEM_ACCESSTOKEN`.
    AzurePipelines {
        /// The address to ask.
        url: String,
        /// The id of the service connection.
        connection: String,
        /// What lets us ask.
        token: SecretString,
    },
}

/// An identity that the platform gives, and where to ask for its tokens.
#[derive(Clone)]
pub struct ManagedIdentity {
    /// Where to ask.
    pub place: Platform,
    /// Which of the machine's identities.
    pub identity: Identity,
}

/// Where a managed identity's tokens come from.
#[derive(Clone)]
pub enum Platform {
    /// A virtual machine's metadata service, `http://169.254.169.254` unless told otherwise.
    VirtualMachine {
        /// Its address.
        url: String,
    },
    /// App Service, Functions and Container Apps: `IDENTITY_ENDPOINT` and `IDENTITY_HEADER`.
    AppService {
        /// Its address.
        url: String,
        /// What lets us ask.
        header: SecretString,
    },
}

/// Which of a machine's identities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The machine's own.
    System,
    /// A user-assigned one, by its client id.
    Client(String),
    /// A user-assigned one, by its object (principal) id.
    Object(String),
    /// A user-assigned one, by its resource id.
    Resource(String),
}

/// A token that somebody else got.
#[derive(Clone)]
pub enum GivenToken {
    /// This one; when it ends there is no other.
    Fixed(SecretString),
    /// What the file holds when a token is needed.
    File(PathBuf),
}

impl Credential {
    /// Its method; none as long as it is not known which one is there.
    pub const fn method(&self) -> Option<Method> {
        Some(match self {
            Self::ClientSecret(_) => Method::ClientSecret,
            Self::Certificate(_) => Method::Certificate,
            Self::Federated(federation) => federation.method(),
            Self::ManagedIdentity(_) => Method::ManagedIdentity,
            Self::DeviceCode(_) => Method::DeviceCode,
            Self::AzureCli => Method::AzureCli,
            Self::Token(_) => Method::Token,
            Self::Found(_) => return None,
        })
    }
}

impl Federation {
    pub(super) const fn method(&self) -> Method {
        match self {
            Self::File(_) => Method::WorkloadIdentity,
            Self::GitHub { .. } => Method::GitHub,
            Self::AzurePipelines { .. } => Method::AzurePipelines,
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.method() {
            Some(method) => write!(f, "Credential({method})"),
            None => f.write_str("Credential(the first that is there)"),
        }
    }
}
