//! What `[auth]`, each `[tenants.X]` and the variables of Azure may say about signing in: one layer each.

use std::path::PathBuf;

use super::env::Env;
use super::said::Said;
use super::table::Table;
use crate::auth::{Identity, Method, SecretRef};
use crate::model::{Problem, TenantId};

/// One layer; every key optional.
#[derive(Debug, Default, Clone)]
pub(super) struct AuthOptions {
    /// None in it: `auto`.
    pub(super) method: Option<Said<Option<Method>>>,
    pub(super) tenant_id: Option<Said<String>>,
    pub(super) client_id: Option<Said<String>>,
    pub(super) client_secret: Option<Said<SecretRef>>,
    pub(super) client_certificate: Option<Said<PathBuf>>,
    pub(super) federated_token_file: Option<Said<PathBuf>>,
    pub(super) service_connection_id: Option<Said<String>>,
    /// The app of that service connection, and of nothing else.
    pub(super) connection_app: Option<Said<String>>,
    pub(super) token: Option<Said<SecretRef>>,
    /// A user-assigned identity that is not named by its client id.
    pub(super) identity: Option<Said<Identity>>,
    pub(super) allow_opaque_token: Option<bool>,
    pub(super) expect_domain: Option<String>,
}

impl AuthOptions {
    /// Takes the keys out of their table.
    pub(super) fn take(table: &mut Table<'_>, problems: &mut Vec<Problem>) -> Self {
        Self {
            method: table.said("method", problems, |text| if text == "auto" { Ok(None) } else { text.parse().map(Some) }),
            tenant_id: table.said("tenant_id", problems, filled),
            client_id: table.said("client_id", problems, filled),
            client_secret: table.said("client_secret", problems, str::parse),
            client_certificate: table.said("client_certificate", problems, path),
            federated_token_file: table.said("federated_token_file", problems, path),
            service_connection_id: table.said("service_connection_id", problems, filled),
            connection_app: None,
            token: table.said("token", problems, str::parse),
            identity: identity(table, problems),
            allow_opaque_token: table.flag("allow_opaque_token", problems),
            // A GUID would be its own proof.
            expect_domain: table.value("expect_domain", problems, |text| {
                let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-');
                let is_domain = text.contains('.') && text.trim().chars().all(is_plain) && text.parse::<TenantId>().is_err();
                is_domain.then(|| text.trim().to_lowercase()).ok_or_else(|| "a domain such as contoso.com is expected".to_owned())
            }),
        }
    }

    /// The variables that Azure's own tools read, and those of a task of Azure Pipelines that names a service connection:
    /// one layer each, the stronger first
    /// (<https://github.com/microsoft/azure-pipelines-tasks>, `VstsAzureHelpers_`). The task's tenant is no default: a list
    /// must not go to whichever tenant a connection happens to be of.
    pub(super) fn of(env: &Env) -> [Self; 2] {
        let path = |name| env.said(name).map(|said| said.map(PathBuf::from));
        let secret = |name: &str| env.said(name).map(|said| said.map(|_| SecretRef::Env(name.to_owned())));
        let azure = Self {
            tenant_id: env.said("AZURE_TENANT_ID"),
            client_id: env.said("AZURE_CLIENT_ID"),
            client_secret: secret("AZURE_CLIENT_SECRET"),
            client_certificate: path("AZURE_CLIENT_CERTIFICATE_PATH"),
            federated_token_file: path("AZURE_FEDERATED_TOKEN_FILE"),
            ..Self::default()
        };
        let task = Self {
            service_connection_id: env.said("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID"),
            connection_app: env.said("AZURESUBSCRIPTION_CLIENT_ID"),
            ..Self::default()
        };
        [azure, task]
    }

    /// This layer with a stronger one over it.
    pub(super) fn under(self, stronger: Self) -> Self {
        let connection = |of: &Self| of.service_connection_id.as_ref().map(|said| said.value.to_lowercase());
        let is_other_connection = stronger.service_connection_id.is_some() && connection(&stronger) != connection(&self);
        Self {
            method: stronger.method.or(self.method),
            tenant_id: stronger.tenant_id.or(self.tenant_id),
            client_id: stronger.client_id.or(self.client_id),
            client_secret: stronger.client_secret.or(self.client_secret),
            client_certificate: stronger.client_certificate.or(self.client_certificate),
            federated_token_file: stronger.federated_token_file.or(self.federated_token_file),
            service_connection_id: stronger.service_connection_id.or(self.service_connection_id),
            connection_app: stronger.connection_app.or(self.connection_app.filter(|_| !is_other_connection)),
            token: stronger.token.or(self.token),
            identity: stronger.identity.or(self.identity),
            allow_opaque_token: stronger.allow_opaque_token.or(self.allow_opaque_token),
            expect_domain: stronger.expect_domain.or(self.expect_domain),
        }
    }

    /// What it says of credentials: the key, where it was said, and the method that it serves, in the order in which
    /// Azure's SDKs would ask them (`DefaultAzureCredential`).
    pub(super) fn credentials(&self) -> impl Iterator<Item = (&'static str, &str, Method)> {
        let is_resource = self.identity.as_ref().is_some_and(|said| matches!(said.value, Identity::Resource(_)));
        let identity = if is_resource { "identity_resource_id" } else { "identity_object_id" };
        let all = [
            ("client_secret", origin(self.client_secret.as_ref()), Method::ClientSecret),
            ("client_certificate", origin(self.client_certificate.as_ref()), Method::Certificate),
            ("federated_token_file", origin(self.federated_token_file.as_ref()), Method::WorkloadIdentity),
            ("service_connection_id", origin(self.service_connection_id.as_ref()), Method::AzurePipelines),
            ("token", origin(self.token.as_ref()), Method::Token),
            (identity, origin(self.identity.as_ref()), Method::ManagedIdentity),
        ];
        all.into_iter().filter_map(|(key, origin, method)| Some((key, origin?, method)))
    }
}

fn origin<T>(said: Option<&Said<T>>) -> Option<&str> {
    said.map(|said| said.origin.as_str())
}

fn filled(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(text.to_owned()) }
}

fn path(text: &str) -> Result<PathBuf, String> {
    filled(text).map(PathBuf::from)
}

/// An identity has one name; a client id names it as well, but stands for other methods, too.
fn identity(table: &mut Table<'_>, problems: &mut Vec<Problem>) -> Option<Said<Identity>> {
    let object = table.said("identity_object_id", problems, |text| filled(text).map(Identity::Object));
    let line = table.line_of("identity_resource_id");
    let resource = table.said("identity_resource_id", problems, |text| filled(text).map(Identity::Resource));
    if let (Some(_), Some(_), Some(line)) = (&object, &resource, line) {
        problems.push(table.problem(line, "identity_resource_id", "identity_object_id names the identity already: remove one"));
    }
    object.or(resource)
}
