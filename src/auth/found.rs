//! The first way to sign in that is there. One that is there and fails is not passed over: what it says is the error that
//! has to be mended, and the next one may be somebody else. The exception is a virtual machine that lacks the identity.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::entra::{Entra, Fresh};
use super::{Credential, ManagedIdentity, Platform, SignIn, TokenError, azure_cli, managed};
use crate::model::TenantId;

/// Which of its candidates a tenant signs in with, once that is known: a run must not change who it is.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<HashMap<TenantId, usize>>);

impl Memory {
    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fresh token.
pub(super) async fn fresh(entra: &Entra, sign_in: &SignIn, candidates: &[Credential]) -> Result<Fresh, TokenError> {
    let known = entra.memory.lock().get(&sign_in.tenant).copied();
    match known.and_then(|place| candidates.get(place)) {
        Some(candidate) => entra.by(sign_in, candidate).await,
        None => find(entra, sign_in, candidates).await,
    }
}

/// Looks for the candidates in their order, and asks the first that is there.
async fn find(entra: &Entra, sign_in: &SignIn, candidates: &[Credential]) -> Result<Fresh, TokenError> {
    let mut missing = Vec::new();
    for (place, candidate) in candidates.iter().enumerate() {
        if let Err(why) = is_there(entra, candidate).await {
            missing.push(why);
            continue;
        }
        let fresh = entra.by(sign_in, candidate).await;
        if let Some(why) = lacks_identity(sign_in, candidate, &fresh) {
            missing.push(why);
            continue;
        }
        let method = candidate.method().map_or("?", |method| method.name());
        tracing::info!(tenant = sign_in.label, method, passed_over = missing.join("; "), "found a way to sign in");
        // Also where this time failed: the next one may be somebody else.
        entra.memory.lock().insert(sign_in.tenant, place);
        return fresh;
    }
    Err(nothing(sign_in, &missing))
}

/// Why a virtual machine cannot sign in: each of Azure's has a metadata service, and many have no identity.
fn lacks_identity(sign_in: &SignIn, candidate: &Credential, fresh: &Result<Fresh, TokenError>) -> Option<String> {
    match (candidate, fresh) {
        (
            Credential::ManagedIdentity(ManagedIdentity { place: Platform::VirtualMachine { .. }, .. }),
            Err(TokenError::Permanent { message }),
        ) if managed::lacks_identity(message) => {
            let words = message.strip_prefix(&sign_in.label).unwrap_or(message);
            Some(format!("managed-identity{words}"))
        }
        _ => None,
    }
}

/// Whether a candidate is there; if not, why that is thought. What was configured is there.
async fn is_there(entra: &Entra, candidate: &Credential) -> Result<(), String> {
    match candidate {
        Credential::ManagedIdentity(ManagedIdentity { place, .. }) => {
            managed::is_there(entra, place).await.map_err(|why| format!("managed-identity: {why}"))
        }
        Credential::DeviceCode(file) if !file.exists() => {
            Err(format!("device-code: nobody has signed in by `bulk-revoke login` ({} does not exist)", file.display()))
        }
        Credential::AzureCli => azure_cli::is_there().await.map_err(|why| format!("azure-cli: {why}")),
        Credential::DeviceCode(_)
        | Credential::ClientSecret(_)
        | Credential::Certificate(_)
        | Credential::Federated(_)
        | Credential::Token(_)
        | Credential::Found(_) => Ok(()),
    }
}

fn nothing(sign_in: &SignIn, missing: &[String]) -> TokenError {
    // The variables that Azure's own programs go by; the configuration has a key for each that is ours to set.
    let configured = "none of AZURE_CLIENT_SECRET, AZURE_CLIENT_CERTIFICATE_PATH, AZURE_FEDERATED_TOKEN_FILE, \
                      ACTIONS_ID_TOKEN_REQUEST_URL, SYSTEM_OIDCREQUESTURI and IDENTITY_ENDPOINT is set completely, \
                      nor does the configuration name another way";
    let looked_for: Vec<&str> = std::iter::once(configured).chain(missing.iter().map(String::as_str)).collect();
    let message = format!("{}: no way to sign in was found: {}", sign_in.label, looked_for.join("; "));
    TokenError::Permanent { message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::fake::{self, Fake};
    use crate::auth::{GivenToken, Identity, Method, Platform};

    fn machine(fake: &Fake) -> Credential {
        let place = Platform::VirtualMachine { url: fake.url() };
        Credential::ManagedIdentity(ManagedIdentity { place, identity: Identity::System })
    }

    fn token() -> Credential {
        Credential::Token(GivenToken::Fixed(fake::jwt(fake::TENANT).into()))
    }

    #[tokio::test]
    async fn the_first_that_is_there_is_taken_and_stays() {
        let fake = Fake::start(|n, _| match n {
            0 | 3.. => fake::reply(400, "", ""),
            _ => {
                let body = fake::grant(&fake::jwt(fake::TENANT), "3599");
                fake::reply(200, "", &body)
            }
        })
        .await;
        let (entra, dead) = (fake.entra(), Fake::dead().await);
        let sign_in = fake::signs_in(Credential::Found(vec![
            Credential::DeviceCode("/nowhere/refresh".into()),
            machine(&dead),
            machine(&fake),
            token(),
        ]));
        for _ in 0..2 {
            let fresh = entra.by(&sign_in, &sign_in.credential).await.unwrap();
            assert_eq!(fresh.bearer.method(), Method::ManagedIdentity);
        }
        assert_eq!(fake.count(), 3, "it is looked for once");
        let error = entra.by(&sign_in, &sign_in.credential).await.unwrap_err();
        assert!(error.to_string().contains("the metadata service answered 400"), "the next one is somebody else: {error}");
    }

    #[tokio::test]
    async fn a_machine_without_the_identity_is_passed_over_and_one_that_is_busy_is_not() {
        let no = r#"{"error":"invalid_request","error_description":"Identity not found"}"#;
        let foreign = r#"{"error":"invalid_resource","error_description":"AADSTS500011: no such resource"}"#;
        for (status, said) in [(400, no), (400, foreign), (403, no), (503, no)] {
            let fake = Fake::start(move |n, _| fake::reply(if n == 0 { 400 } else { status }, "", said)).await;
            let entra = fake.entra();
            let sign_in = fake::signs_in(Credential::Found(vec![machine(&fake), token()]));
            let found = entra.by(&sign_in, &sign_in.credential).await.map(|fresh| fresh.bearer.method());
            if (status, said) == (400, no) {
                assert_eq!(found, Ok(Method::Token));
                let alone = fake::signs_in(Credential::Found(vec![machine(&fake)]));
                let error = fake.entra().by(&alone, &alone.credential).await.unwrap_err().to_string();
                let wanted =
                    "another way; managed-identity: the metadata service answered 400: invalid_request: Identity not found";
                assert!(error.contains(wanted), "{error}");
            } else {
                assert!(found.is_err(), "whatever else is wrong, the next one is somebody else: {found:?}");
                entra.by(&sign_in, &sign_in.credential).await.unwrap_err();
                assert_eq!(fake.count(), 3, "it is looked for once");
            }
        }
    }

    #[tokio::test]
    async fn where_nothing_is_there_everything_that_was_looked_for_is_told() {
        let dead = Fake::dead().await;
        let candidates = vec![machine(&dead), Credential::DeviceCode("/nowhere/refresh".into())];
        let sign_in = fake::signs_in(Credential::Found(candidates));
        let error = dead.entra().by(&sign_in, &sign_in.credential).await.unwrap_err();
        let wanted = format!(
            "sign in to contoso: no way to sign in was found: none of AZURE_CLIENT_SECRET, AZURE_CLIENT_CERTIFICATE_PATH, \
             AZURE_FEDERATED_TOKEN_FILE, ACTIONS_ID_TOKEN_REQUEST_URL, SYSTEM_OIDCREQUESTURI and IDENTITY_ENDPOINT is set \
             completely, nor does the configuration name another way; managed-identity: nobody answers at {}; device-code: nobody has \
             signed in by `bulk-revoke login` (/nowhere/refresh does not exist)",
            dead.url()
        );
        assert_eq!(error, TokenError::Permanent { message: wanted.replacen("sign in to ", "", 1) });
    }
}
