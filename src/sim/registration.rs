//! What the simulated Entra knows about apps: what they may prove themselves with, and what an administrator did with them.

use uuid::Uuid;

use super::issuer::Issuer;

/// One app. Those that are not listed may use the one secret and the certificates of the options, every issuer's tokens
/// and public client flows, in every tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Its application (client) id.
    pub app: Uuid,
    /// Its client secrets.
    pub secrets: Vec<AppSecret>,
    /// Its certificates, as DER.
    pub certificates: Vec<Vec<u8>>,
    /// Its federated identity credentials.
    pub federated: Vec<FederatedCredential>,
    /// Whether public client flows are allowed, which the device code needs.
    pub public: bool,
    /// The tenants that it is installed in; `None` is all of them.
    pub tenants: Option<Vec<Uuid>>,
    /// Whether anybody consented: without it there are no roles for the app, and no tokens for a person.
    pub consented: bool,
    /// Whether it was disabled.
    pub disabled: bool,
}

/// A client secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppSecret {
    /// The secret itself.
    pub value: String,
    /// Whether its time is over.
    pub expired: bool,
}

/// Whose word is taken for the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FederatedCredential {
    /// Who says it.
    pub issuer: Issuer,
    /// About whom; compared exactly. `None` is anybody, which the real Entra does not have.
    pub subject: Option<String>,
    /// To whom.
    pub audience: String,
}

impl FederatedCredential {
    /// The audience that Entra recommends (workload identity federation).
    pub const AUDIENCE: &'static str = "api://AzureADTokenExchange";

    /// One for the recommended audience.
    pub fn new(issuer: Issuer, subject: &str) -> Self {
        Self { issuer, subject: Some(subject.to_owned()), audience: Self::AUDIENCE.to_owned() }
    }
}

impl Registration {
    /// An app that has nothing to prove itself with; it is installed everywhere, and consented to.
    pub const fn new(app: Uuid) -> Self {
        Self {
            app,
            secrets: Vec::new(),
            certificates: Vec::new(),
            federated: Vec::new(),
            public: false,
            tenants: None,
            consented: true,
            disabled: false,
        }
    }

    /// The same with one more secret that is good.
    #[must_use]
    pub fn with_secret(mut self, value: &str) -> Self {
        self.secrets.push(AppSecret { value: value.to_owned(), expired: false });
        self
    }

    /// The same with one more certificate, as DER.
    #[must_use]
    pub fn with_certificate(mut self, der: &[u8]) -> Self {
        self.certificates.push(der.to_vec());
        self
    }

    /// The same with one more federated identity credential.
    #[must_use]
    pub fn with_federated(mut self, credential: FederatedCredential) -> Self {
        self.federated.push(credential);
        self
    }

    /// An app that is not listed.
    pub(super) fn unlisted(app: Uuid, secret: &str, certificates: &[Vec<u8>]) -> Self {
        let anybody = |issuer| FederatedCredential { subject: None, ..FederatedCredential::new(issuer, "") };
        Self {
            certificates: certificates.to_vec(),
            federated: Issuer::ALL.map(anybody).to_vec(),
            public: true,
            ..Self::new(app).with_secret(secret)
        }
    }
}
