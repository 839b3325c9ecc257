//! What a tenant signs in with, out of what the configuration says: the one place where its secrets and keys are read.

use std::path::Path;
use std::sync::Arc;

use crate::auth::{Certificate, ClientSecret, Credential, GivenToken, SecretError, SecretRef, SignIn, login_file};
use crate::config::{Choice, Env, Means, SignInSettings};
use crate::model::{Problem, TenantRow};

/// How a tenant is entered, and why so.
pub(super) struct Access {
    pub(super) sign_in: SignIn,
    pub(super) choice: Choice,
}

impl Access {
    /// Reads what the tenant needs. All that is missing is said at once.
    pub(super) fn read(row: &TenantRow, settings: &SignInSettings, env: &Env, state_dir: &Path) -> Result<Self, Vec<Problem>> {
        let origin = settings.name.as_ref().map_or_else(|| "[auth]".to_owned(), |name| format!("[tenants.{name}]"));
        let problem = |message| Problem::of(&origin, message);
        let missing = |lacks: &String| problem(format!("tenant {} {lacks}", row.label));
        let means = settings.choice.means.as_ref().map_err(|all| all.iter().map(missing).collect::<Vec<_>>())?;
        let kept = || Credential::DeviceCode(login_file(state_dir, row.id));
        let credential = match means {
            Means::ClientSecret(place) => {
                // A pipe can be read only once.
                let file =
                    if let SecretRef::File(path) = place { Some(path.clone()).filter(|path| path.is_file()) } else { None };
                let read = place.read(variable(env)).map(|value| Credential::ClientSecret(ClientSecret { value, file }));
                read.map_err(|error| error.to_string())
            }
            Means::Certificate(path) => certificate(path, env),
            Means::Token(place) => token(place, env).map(Credential::Token),
            Means::DeviceCode => Ok(kept()),
            Means::Ready(credential) => Ok(credential.clone()),
            Means::Found { identity, device_code } => {
                let kept = device_code.then(kept);
                Ok(Credential::Found(identity.clone().into_iter().chain(kept).chain([Credential::AzureCli]).collect()))
            }
        };
        let credential = credential.map_err(|error| {
            // Whoever named the place must mend it.
            let by = settings.choice.values.iter().find(|(key, _)| key_of(means) == Some(*key));
            vec![Problem::of(by.map_or(origin.as_str(), |(_, by)| by.as_str()), format!("failed to {error}"))]
        })?;
        let sign_in = SignIn {
            tenant: row.id,
            label: row.label.clone(),
            client_id: settings.client_id.clone().unwrap_or_default(),
            credential,
            allow_opaque: settings.allow_opaque,
            expect_domain: settings.expect_domain.clone(),
        };
        Ok(Self { sign_in, choice: settings.choice.clone() })
    }

    /// That of a simulated tenant.
    pub(super) fn simulated(row: &TenantRow) -> Self {
        let sign_in = SignIn {
            tenant: row.id,
            label: row.label.clone(),
            client_id: row.app.clone(),
            credential: Credential::ClientSecret("simulated".into()),
            allow_opaque: false,
            expect_domain: None,
        };
        let choice = Choice {
            method: sign_in.credential.method(),
            why: "the run is simulated".to_owned(),
            means: Ok(Means::Ready(sign_in.credential.clone())),
            values: Vec::new(),
            unused: Vec::new(),
        };
        Self { sign_in, choice }
    }
}

/// The key that names the place of what is still to be read.
const fn key_of(means: &Means) -> Option<&'static str> {
    match means {
        Means::ClientSecret(_) => Some("client_secret"),
        Means::Certificate(_) => Some("client_certificate"),
        Means::Token(_) => Some("token"),
        Means::DeviceCode | Means::Ready(_) | Means::Found { .. } => None,
    }
}

fn variable(env: &Env) -> impl Fn(&str) -> Option<String> {
    |name| env.get(name).map(str::to_owned)
}

/// Whoever sets a password may have a file that we do not read. How it becomes one that we do is said once.
fn certificate(path: &Path, env: &Env) -> Result<Credential, String> {
    let password = "AZURE_CLIENT_CERTIFICATE_PASSWORD";
    let read = Certificate::read(path).map(|certificate| Credential::Certificate(Arc::new(certificate)));
    read.map_err(|error| match env.get(password) {
        Some(_) if error.reason.contains("openssl") => format!("{error}; {password} is not used"),
        Some(_) if path.exists() => {
            format!(
                "{error}; {password} is not used: make a plain file of it with openssl pkcs12 -in app.pfx -nodes -out app.pem"
            )
        }
        Some(_) | None => error.to_string(),
    })
}

/// A file may hold another token later; a variable never does.
fn token(place: &SecretRef, env: &Env) -> Result<GivenToken, String> {
    if let SecretRef::File(path) = place {
        return Ok(GivenToken::File(path.clone()));
    }
    let read = place.read(variable(env)).map(GivenToken::Fixed);
    read.map_err(|SecretError { place, reason }| format!("read the token from {place}: {reason}"))
}
