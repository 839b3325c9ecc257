//! The ways to sign in, by the names that `config.toml` uses.

use std::fmt;
use std::str::FromStr;

/// A way to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// A client secret.
    ClientSecret,
    /// A certificate with its private key.
    Certificate,
    /// A token file that the platform keeps fresh (Kubernetes with workload identity).
    WorkloadIdentity,
    /// The identity of a GitHub Actions job.
    GitHub,
    /// The identity of an Azure Pipelines job, through a service connection.
    AzurePipelines,
    /// The identity that Azure gives a machine or an app.
    ManagedIdentity,
    /// A person who signed in by `bulk-revoke login`.
    DeviceCode,
    /// Whoever is signed in to the Azure CLI.
    AzureCli,
    /// A token that somebody else got.
    Token,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::ClientSecret,
        Self::Certificate,
        Self::WorkloadIdentity,
        Self::GitHub,
        Self::AzurePipelines,
        Self::ManagedIdentity,
        Self::DeviceCode,
        Self::AzureCli,
        Self::Token,
    ];

    /// The name in `config.toml`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientSecret => "client-secret",
            Self::Certificate => "certificate",
            Self::WorkloadIdentity => "workload-identity",
            Self::GitHub => "github",
            Self::AzurePipelines => "azure-pipelines",
            Self::ManagedIdentity => "managed-identity",
            Self::DeviceCode => "device-code",
            Self::AzureCli => "azure-cli",
            Self::Token => "token",
        }
    }

    /// Whether it signs in as an app that must be named.
    pub const fn needs_app(self) -> bool {
        match self {
            Self::ClientSecret
            | Self::Certificate
            | Self::WorkloadIdentity
            | Self::GitHub
            | Self::AzurePipelines
            | Self::DeviceCode => true,
            Self::ManagedIdentity | Self::AzureCli | Self::Token => false,
        }
    }
}

impl FromStr for Method {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|method| method.name() == text.trim());
        found.ok_or_else(|| format!("{text:?} is not one of auto, {}", Self::ALL.map(Self::name).join(", ")))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
