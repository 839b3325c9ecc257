//! Which way to sign in a tenant takes, why, and from what it is made. Nothing is read here but what the layers say.

use std::path::PathBuf;

use secrecy::SecretString;

use super::auth_options::AuthOptions;
use super::env::Env;
use super::said::Said;
use crate::auth::{Credential, Federation, Identity, ManagedIdentity, Method, Platform, SecretRef};

/// Where a virtual machine is asked for its identity's tokens
/// (<https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>).
const METADATA: &str = "http://169.254.169.254";

/// What a tenant signs in with. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The method; none: the first that is there, which only asking can show.
    pub method: Option<Method>,
    /// Why it is this one; stands behind "because".
    pub why: String,
    /// What it is made of, or everything that is missing: each stands behind the tenant's name.
    pub means: Result<Means, Vec<String>>,
    /// Each key that counts, and where it was said.
    pub values: Vec<(&'static str, String)>,
    /// Credentials that were named and are not used.
    pub unused: Vec<String>,
}

/// What a credential is made of. Secrets and keys are still where they lie.
#[derive(Debug, Clone)]
pub enum Means {
    /// The secret.
    ClientSecret(SecretRef),
    /// The file with certificate and key.
    Certificate(PathBuf),
    /// The token.
    Token(SecretRef),
    /// Whoever signed in before; where that is kept depends on the tenant.
    DeviceCode,
    /// This is all.
    Ready(Credential),
    /// What may be there: an identity of this machine, a sign-in that is kept (if an app is named), the Azure CLI.
    Found {
        /// The machine's identity, unless it is known to have none that we can ask.
        identity: Option<Credential>,
        /// Whether a kept sign-in can be looked for.
        device_code: bool,
    },
}

/// Chooses for one tenant, out of the layers that it inherits from, the strongest first; and what they say together.
pub(super) fn choose(layers: &[&AuthOptions], env: &Env) -> (Choice, AuthOptions) {
    let (method, why) = method(layers, env);
    let merged = merge(layers, method);
    let lacks_app = method.is_some_and(Method::needs_app) && merged.client_id.is_none();
    let app = lacks_app.then(|| lacks("client_id", "AZURE_CLIENT_ID"));
    let means = match (app, means(method, layers, &merged, env)) {
        (None, means) => means,
        (Some(app), means) => Err(std::iter::once(app).chain(means.err().into_iter().flatten()).collect()),
    };
    let mut choice = Choice { method, why, means, values: Vec::new(), unused: Vec::new() };
    choice.tell(&merged, env);
    (choice, merged)
}

/// What all layers say together. The app of a service connection is no app for any other method.
fn merge(layers: &[&AuthOptions], method: Option<Method>) -> AuthOptions {
    let mut merged = layers.iter().rev().fold(AuthOptions::default(), |weak, strong| weak.under((*strong).clone()));
    let app = merged.connection_app.take().filter(|_| method == Some(Method::AzurePipelines));
    merged.client_id = merged.client_id.or(app);
    merged
}

impl Choice {
    /// Takes down who said what, and what of it counts. An identity goes by one name.
    fn tell(&mut self, merged: &AuthOptions, env: &Env) {
        let (method, is_by_app) = (self.method, self.names_app());
        let app = merged.client_id.as_ref().filter(|_| method.is_none() || is_by_app);
        let named = [("tenant_id", merged.tenant_id.as_ref()), ("client_id", app)].into_iter();
        let named = named.filter_map(|(key, said)| Some((key, said?.origin.clone())));
        let is_used = |serves: Method| Some(serves) == method && !(serves == Method::ManagedIdentity && is_by_app);
        let (used, unused): (Vec<_>, Vec<_>) = merged.credentials().partition(|(.., serves)| is_used(*serves));
        let used = used.into_iter().map(|(key, origin, _)| (key, origin.to_owned()));
        self.values = named.chain(used).chain(given(method, env)).collect();
        self.unused = unused.into_iter().map(|(_, origin, _)| origin.to_owned()).collect();
        if method.is_none() && is_arc(env) {
            self.unused.push("the identity of Azure Arc, which is not supported".to_owned());
        }
    }

    /// Whether the client id names the app that signs in; else only a token shows it.
    pub fn names_app(&self) -> bool {
        match &self.means {
            Ok(Means::Ready(Credential::ManagedIdentity(of))) => matches!(of.identity, Identity::Client(_)),
            _ => self.method.is_some_and(Method::needs_app),
        }
    }

    /// The app, or a word for one that only a token shows: the method's name, or `auto`.
    pub fn app(&self, client_id: Option<&str>) -> String {
        match (client_id, self.method) {
            (Some(id), _) if self.names_app() => id.to_owned(),
            (_, Some(method)) => method.name().to_owned(),
            (_, None) => "auto".to_owned(),
        }
    }
}

/// The strongest layer that names a method or a credential decides, by its method if it names both; else what the platform
/// gives. `auto` asks for the credentials of its own layer and of the weaker ones, whatever methods those name.
fn method(layers: &[&AuthOptions], env: &Env) -> (Option<Method>, String) {
    // A service connection may be named once and for all; it is of use in a pipeline only.
    let is_there = |method: Method| method != Method::AzurePipelines || pipeline(env).is_ok();
    let mut is_auto = false;
    for layer in layers {
        match &layer.method {
            Some(Said { value: Some(method), origin }) if !is_auto => return (Some(*method), format!("{origin} says so")),
            said => is_auto |= said.is_some(),
        }
        if let Some((_, origin, method)) = layer.credentials().find(|(.., method)| is_there(*method)) {
            return (Some(method), format!("{origin} is set"));
        }
    }
    if env.get("ACTIONS_ID_TOKEN_REQUEST_URL").is_some() && layers.iter().any(|layer| layer.client_id.is_some()) {
        return (Some(Method::GitHub), "ACTIONS_ID_TOKEN_REQUEST_URL is set".to_owned());
    }
    if app_service(env).is_some() {
        return (Some(Method::ManagedIdentity), "IDENTITY_ENDPOINT and IDENTITY_HEADER are set".to_owned());
    }
    (None, "nothing names a method: the first that is there".to_owned())
}

/// What the method is made of, or what is missing for it.
fn means(method: Option<Method>, layers: &[&AuthOptions], merged: &AuthOptions, env: &Env) -> Result<Means, Vec<String>> {
    let federated = |federation| Means::Ready(Credential::Federated(federation));
    match method {
        None => {
            let identity = machine(layers, env).ok().map(Credential::ManagedIdentity);
            Ok(Means::Found { identity, device_code: merged.client_id.is_some() })
        }
        Some(Method::ClientSecret) => {
            needed(merged.client_secret.as_ref(), "client_secret", "AZURE_CLIENT_SECRET").map(Means::ClientSecret)
        }
        Some(Method::Certificate) => {
            let file = needed(merged.client_certificate.as_ref(), "client_certificate", "AZURE_CLIENT_CERTIFICATE_PATH");
            file.map(Means::Certificate)
        }
        Some(Method::WorkloadIdentity) => {
            let file = needed(merged.federated_token_file.as_ref(), "federated_token_file", "AZURE_FEDERATED_TOKEN_FILE");
            file.map(|file| federated(Federation::File(file)))
        }
        Some(Method::GitHub) => github(env).map(federated),
        Some(Method::AzurePipelines) => {
            let variable = "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID";
            let connection = needed(merged.service_connection_id.as_ref(), "service_connection_id", variable);
            match (connection, pipeline(env)) {
                (Ok(connection), Ok((url, token))) => Ok(federated(Federation::AzurePipelines { url, connection, token })),
                (connection, pipeline) => Err([connection.err(), pipeline.err()].into_iter().flatten().flatten().collect()),
            }
        }
        Some(Method::ManagedIdentity) => machine(layers, env).map(|identity| Means::Ready(Credential::ManagedIdentity(identity))),
        Some(Method::DeviceCode) => Ok(Means::DeviceCode),
        Some(Method::AzureCli) => Ok(Means::Ready(Credential::AzureCli)),
        // No variable stands for it: a token in the environment is to be named.
        Some(Method::Token) => match &merged.token {
            Some(token) => Ok(Means::Token(token.value.clone())),
            None => Err(vec!["has no token: set it there or in [auth], to env:NAME, file:PATH or credential:NAME".to_owned()]),
        },
    }
}

fn lacks(key: &str, variable: &str) -> String {
    format!("has no {key}: set it there, in [auth] or by {variable}")
}

fn needed<T: Clone>(said: Option<&Said<T>>, key: &str, variable: &str) -> Result<T, Vec<String>> {
    said.map(|said| said.value.clone()).ok_or_else(|| vec![lacks(key, variable)])
}

/// What GitHub gives a job that may ask for its identity
/// (<https://docs.github.com/actions/reference/security/oidc>).
fn github(env: &Env) -> Result<Federation, Vec<String>> {
    let [url, token] = ["ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"].map(|name| env.get(name));
    match (url, token) {
        (Some(url), Some(token)) => Ok(Federation::GitHub { url: url.to_owned(), token: token.into() }),
        _ => Err(vec![
            "lacks ACTIONS_ID_TOKEN_REQUEST_URL or ACTIONS_ID_TOKEN_REQUEST_TOKEN: GitHub sets them in jobs with \
             permissions: id-token: write"
                .to_owned(),
        ]),
    }
}

/// Where a pipeline asks for its identity, and what lets it.
fn pipeline(env: &Env) -> Result<(String, SecretString), Vec<String>> {
    let named = |name: &str, from: &str| env.get(name).ok_or_else(|| format!("lacks {name}: {from}"));
    let url = named("SYSTEM_OIDCREQUESTURI", "Azure Pipelines sets it in every job");
    match (url, named("SYSTEM_ACCESSTOKEN", "map it in the step: env: SYSTEM_ACCESSTOKEN: $(System.AccessToken)")) {
        (Ok(url), Ok(token)) => Ok((url.to_owned(), token.into())),
        (url, token) => Err([url.err(), token.err()].into_iter().flatten().collect()),
    }
}

/// App Service, Functions and Container Apps.
fn app_service(env: &Env) -> Option<Platform> {
    let (url, header) = (env.get("IDENTITY_ENDPOINT")?, env.get("IDENTITY_HEADER")?);
    Some(Platform::AppService { url: url.to_owned(), header: header.into() })
}

/// The machine is one of Azure Arc's: it says where its identity is, and not by which header.
fn is_arc(env: &Env) -> bool {
    app_service(env).is_none() && ["IDENTITY_ENDPOINT", "IMDS_ENDPOINT"].iter().all(|name| env.get(name).is_some())
}

/// What the platform gives to a method, and by which variable.
fn given(method: Option<Method>, env: &Env) -> impl Iterator<Item = (&'static str, String)> {
    let variables: &[(&str, &str)] = match method {
        Some(Method::GitHub) => &[("endpoint", "ACTIONS_ID_TOKEN_REQUEST_URL")],
        Some(Method::AzurePipelines) => &[("endpoint", "SYSTEM_OIDCREQUESTURI"), ("access token", "SYSTEM_ACCESSTOKEN")],
        Some(Method::ManagedIdentity) if app_service(env).is_some() => &[("endpoint", "IDENTITY_ENDPOINT")],
        Some(Method::ManagedIdentity) | None => &[("endpoint", "AZURE_POD_IDENTITY_AUTHORITY_HOST")],
        Some(_) => &[],
    };
    let given = variables.iter().filter(|(_, name)| env.get(name).is_some());
    given.map(|&(what, name)| (what, name.to_owned()))
}

/// The machine's identity: which one, the strongest layer says that says anything.
fn machine(layers: &[&AuthOptions], env: &Env) -> Result<ManagedIdentity, Vec<String>> {
    let of = |layer: &&AuthOptions| {
        let by_client = || layer.client_id.clone().map(|said| said.map(Identity::Client));
        layer.identity.clone().or_else(by_client).map(|said| said.value)
    };
    let identity = layers.iter().find_map(of).unwrap_or(Identity::System);
    let place = match app_service(env) {
        Some(place) => place,
        None if is_arc(env) => {
            let line = "runs on Azure Arc, whose managed identity is not supported: use a certificate, or workload-identity";
            return Err(vec![line.to_owned()]);
        }
        None => {
            let url = env.get("AZURE_POD_IDENTITY_AUTHORITY_HOST").unwrap_or(METADATA).trim_end_matches('/').to_owned();
            Platform::VirtualMachine { url }
        }
    };
    Ok(ManagedIdentity { place, identity })
}

#[cfg(test)]
mod tests {
    use super::super::file::ConfigFile;
    use super::*;

    const APP: &str = "client_id = \"app\"\n";

    /// What `[tenants.x]` of a text chooses, with these variables, divided at blanks.
    fn choice(text: &str, variables: &str) -> Choice {
        let mut problems = Vec::new();
        let file = ConfigFile::parse("c", text, &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        let variables = variables.split_whitespace().filter_map(|pair| pair.split_once('='));
        let env: Env = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let [azure, task] = AuthOptions::of(&env);
        let table = file.tenants.first().map(|table| table.auth.clone()).unwrap_or_default();
        choose(&[&table, &file.auth, &azure, &task], &env).0
    }

    fn chosen(text: &str, variables: &str) -> String {
        let choice = choice(text, variables);
        let method = choice.method.map_or("auto", Method::name);
        format!("{method}, because {}", choice.why)
    }

    #[test]
    fn within_one_layer_the_order_is_that_of_azures_sdks() {
        let all = "AZURE_CLIENT_ID=a AZURE_CLIENT_SECRET=s AZURE_CLIENT_CERTIFICATE_PATH=c AZURE_FEDERATED_TOKEN_FILE=f \
                   ACTIONS_ID_TOKEN_REQUEST_URL=u ACTIONS_ID_TOKEN_REQUEST_TOKEN=t IDENTITY_ENDPOINT=e IDENTITY_HEADER=h";
        let variables: Vec<&str> = all.split_whitespace().collect();
        let without = |count: usize| chosen("", &format!("AZURE_CLIENT_ID=a {}", variables[count..].join(" ")));
        assert_eq!(without(1), "client-secret, because AZURE_CLIENT_SECRET is set");
        assert_eq!(without(2), "certificate, because AZURE_CLIENT_CERTIFICATE_PATH is set");
        assert_eq!(without(3), "workload-identity, because AZURE_FEDERATED_TOKEN_FILE is set");
        assert_eq!(without(4), "github, because ACTIONS_ID_TOKEN_REQUEST_URL is set");
        assert_eq!(without(5), "managed-identity, because IDENTITY_ENDPOINT and IDENTITY_HEADER are set");
        assert_eq!(without(8), "auto, because nothing names a method: the first that is there");
    }

    #[test]
    fn a_credential_of_a_stronger_layer_is_not_overruled_by_a_weaker_ones() {
        let text = "[auth]\nclient_secret = \"env:S\"\n[tenants.x]\ntenant_id = \"x.com\"\nclient_certificate = \"a.pem\"\n";
        let choice = choice(text, "AZURE_CLIENT_ID=a AZURE_FEDERATED_TOKEN_FILE=f");
        assert_eq!(choice.method, Some(Method::Certificate));
        assert_eq!(choice.why, "c:5 ([tenants.x] client_certificate) is set");
        assert_eq!(choice.unused, ["c:2 ([auth] client_secret)", "AZURE_FEDERATED_TOKEN_FILE"]);
        let own_app = format!("[auth]\nclient_secret = \"env:S\"\n[tenants.x]\n{APP}");
        assert_eq!(chosen(&own_app, ""), "client-secret, because c:2 ([auth] client_secret) is set");
    }

    #[test]
    fn the_strongest_layer_that_names_a_method_or_a_credential_decides_and_within_it_the_method() {
        let text = "[auth]\nmethod = \"managed-identity\"\nclient_secret = \"env:S\"\n[tenants.x]\ntenant_id = \"x.com\"\n";
        let of = |own: &str| chosen(&format!("{text}{own}"), "AZURE_CLIENT_CERTIFICATE_PATH=c");
        assert_eq!(of(""), "managed-identity, because c:2 ([auth] method) says so");
        assert_eq!(of("token = \"env:T\"\n"), "token, because c:6 ([tenants.x] token) is set");
        let both = "token = \"env:T\"\nmethod = \"azure-cli\"\n";
        assert_eq!(of(both), "azure-cli, because c:7 ([tenants.x] method) says so");
        let unused = choice(&format!("{text}{both}"), "AZURE_CLIENT_CERTIFICATE_PATH=c").unused;
        assert_eq!(unused, ["c:3 ([auth] client_secret)", "AZURE_CLIENT_CERTIFICATE_PATH", "c:6 ([tenants.x] token)"]);
        // Of the weaker layers `auto` takes the credentials, not the methods.
        assert_eq!(of("method = \"auto\"\n"), "client-secret, because c:3 ([auth] client_secret) is set");
    }

    #[test]
    fn everything_that_a_method_lacks_is_said_at_once_with_what_would_give_it() {
        let lacks = |method: &str, variables: &str| {
            let text = format!("[auth]\nmethod = \"{method}\"\n");
            choice(&text, variables).means.err().unwrap_or_default().join("; ")
        };
        let app = "has no client_id: set it there, in [auth] or by AZURE_CLIENT_ID; ";
        assert_eq!(
            lacks("certificate", ""),
            format!("{app}has no client_certificate: set it there, in [auth] or by AZURE_CLIENT_CERTIFICATE_PATH")
        );
        for (method, words) in [
            ("client-secret", "AZURE_CLIENT_SECRET"),
            ("workload-identity", "AZURE_FEDERATED_TOKEN_FILE"),
            ("github", "id-token: write"),
            ("azure-pipelines", "$(System.AccessToken)"),
            ("azure-pipelines", "SYSTEM_OIDCREQUESTURI"),
            ("azure-pipelines", "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID"),
        ] {
            let said = lacks(method, "");
            assert!(said.starts_with(app) && said.contains(words), "{method}: {said}");
        }
        assert_eq!(format!("{}; ", lacks("device-code", "")), app);
        assert!(lacks("token", "").contains("env:NAME"));
        let arc = "IDENTITY_ENDPOINT=e IMDS_ENDPOINT=i";
        assert!(lacks("managed-identity", arc).contains("Azure Arc") && choice("", arc).unused[0].contains("Azure Arc"));
        assert_eq!(["managed-identity", "azure-cli"].map(|method| lacks(method, "")), ["", ""]);
    }

    #[test]
    fn a_task_of_azure_pipelines_brings_all_that_its_service_connection_takes() {
        let task = "SYSTEM_OIDCREQUESTURI=u AZURESUBSCRIPTION_SERVICE_CONNECTION_ID=c AZURESUBSCRIPTION_CLIENT_ID=a";
        let all = format!("{task} SYSTEM_ACCESSTOKEN=t AZURESUBSCRIPTION_TENANT_ID=t");
        let all = choice("", &all);
        assert_eq!(all.why, "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID is set");
        assert!(matches!(all.means, Ok(Means::Ready(Credential::Federated(Federation::AzurePipelines { .. })))));
        let values: Vec<String> = all.values.iter().map(|(key, origin)| format!("{key} {origin}")).collect();
        let given = ["endpoint SYSTEM_OIDCREQUESTURI", "access token SYSTEM_ACCESSTOKEN"];
        let connection = "service_connection_id AZURESUBSCRIPTION_SERVICE_CONNECTION_ID";
        assert_eq!(values, ["client_id AZURESUBSCRIPTION_CLIENT_ID", connection, given[0], given[1]], "no tenant");
        // That app is the connection's: it is neither a person's nor another connection's, nor an identity of the machine.
        assert!(matches!(choice("", task).means, Ok(Means::Found { device_code: false, .. })));
        let other = choice("[auth]\nservice_connection_id = \"other\"\n", &format!("{task} SYSTEM_ACCESSTOKEN=t"));
        assert_eq!(other.means.err().unwrap_or_default().len(), 1);
        // The token is not mapped into the step: whatever else is there may do.
        assert_eq!(chosen("", task), "auto, because nothing names a method: the first that is there");
    }

    #[test]
    fn a_machines_identity_is_the_one_that_the_strongest_layer_names() {
        let identity = |text: &str, variables: &str| {
            let text = format!("[auth]\nmethod = \"managed-identity\"\n{text}");
            let choice = choice(&text, variables);
            let of = if let Ok(Means::Ready(Credential::ManagedIdentity(of))) = &choice.means { Some(of) } else { None };
            let of = of.unwrap();
            let place = match &of.place {
                Platform::VirtualMachine { url } | Platform::AppService { url, .. } => url.clone(),
            };
            (of.identity.clone(), place, choice.app(Some("a")), choice.values.iter().map(|(key, _)| *key).collect::<Vec<_>>())
        };
        let object = "identity_object_id = \"o\"\n";
        let named = |app: &str| app.to_owned();
        assert_eq!(identity("", ""), (Identity::System, METADATA.to_owned(), named("managed-identity"), vec![]));
        let elsewhere = "AZURE_CLIENT_ID=a AZURE_POD_IDENTITY_AUTHORITY_HOST=http://127.0.0.1:1/";
        let by_app =
            (Identity::Client("a".to_owned()), "http://127.0.0.1:1".to_owned(), named("a"), vec!["client_id", "endpoint"]);
        assert_eq!(identity("", elsewhere), by_app);
        let (of, place, app, keys) = identity(object, "AZURE_CLIENT_ID=a IDENTITY_ENDPOINT=e IDENTITY_HEADER=h");
        assert_eq!((of, place.as_str(), app.as_str()), (Identity::Object("o".to_owned()), "e", "managed-identity"));
        assert_eq!(keys, ["identity_object_id", "endpoint"]);
        let (of, .., keys) = identity(&format!("{object}[tenants.x]\n{APP}"), "AZURESUBSCRIPTION_CLIENT_ID=b");
        assert_eq!((of, keys), (Identity::Client("app".to_owned()), vec!["client_id"]));
        assert_eq!(identity("", "AZURESUBSCRIPTION_CLIENT_ID=b").0, Identity::System);
    }

    #[test]
    fn no_secret_of_the_platform_is_in_what_may_be_logged() {
        let variables = "AZURE_CLIENT_ID=a ACTIONS_ID_TOKEN_REQUEST_URL=u ACTIONS_ID_TOKEN_REQUEST_TOKEN=hunter2";
        assert!(!format!("{:?}", choice("", variables)).contains("hunter2"));
    }
}
