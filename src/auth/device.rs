//! Tokens in the name of a person who signed in before, and what that has in common with the sign-in itself.

use std::path::Path;

use reqwest::Url;
use reqwest::header::CONTENT_TYPE;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::answer::{Answer, Fault};
use super::entra::{Entra, Fresh, accept, failed, shapes, token_in};
use super::login_file::{Kept, Purpose};
use super::platform::aside;
use super::{Method, SignIn, TokenError};

/// A token in the name of whoever signed in before. Nobody is asked: where that has ended, a person must begin anew.
pub(super) async fn fresh(entra: &Entra, sign_in: &SignIn, file: &Path) -> Result<Fresh, TokenError> {
    let kept = read(entra, sign_in, file).await?;
    let outcome = renewed(entra, sign_in, file, kept.clone()).await;
    if let Err(TokenError::Permanent { .. }) = outcome
        && let Ok(newer) = read(entra, sign_in, file).await
        && newer.refresh_token.expose_secret() != kept.refresh_token.expose_secret()
    {
        // Another process has renewed it meanwhile, and the service may have ended the older one.
        return renewed(entra, sign_in, file, newer).await;
    }
    outcome
}

fn permanent(sign_in: &SignIn, why: &str) -> TokenError {
    failed(sign_in, Fault::Permanent(format!("{why}: run bulk-revoke login --tenant {}", sign_in.label)))
}

/// The sign-in that is kept there, if it is for this.
async fn read(entra: &Entra, sign_in: &SignIn, file: &Path) -> Result<Kept, TokenError> {
    let path = file.to_owned();
    let kept = match aside(move || Kept::read(&path)).await {
        Ok(Some(kept)) => kept,
        Ok(None) => return Err(permanent(sign_in, "nobody is signed in on this machine")),
        Err(why) => {
            let why = format!("the kept sign-in {} is not used: {why}", file.display());
            return Err(failed(sign_in, Fault::Permanent(why)));
        }
    };
    match kept.purpose.differs(&purpose(entra, sign_in)) {
        Some(difference) => Err(permanent(sign_in, &format!("the kept sign-in is for {difference}"))),
        None => Ok(kept),
    }
}

/// A token for the refresh token that is kept; the newest refresh token is kept in its place.
async fn renewed(entra: &Entra, sign_in: &SignIn, file: &Path, kept: Kept) -> Result<Fresh, TokenError> {
    let pairs = [
        ("grant_type", "refresh_token"),
        ("client_id", sign_in.client_id.as_str()),
        ("scope", &offline(entra)),
        ("refresh_token", kept.refresh_token.expose_secret()),
    ];
    let answer = post(entra, sign_in, "token", &pairs).await.map_err(|fault| failed(sign_in, fault))?;
    match answer.fault(&shapes(kept.refresh_token.expose_secret())) {
        // Both take a person: the token has ended, or policy wants more of the person than it shows.
        Some(Fault::Permanent(why)) if matches!(error(&answer).as_str(), "invalid_grant" | "interaction_required") => {
            let person = kept.person.as_deref().unwrap_or("the person");
            return Err(permanent(sign_in, &format!("the sign-in of {person} was not taken ({why})")));
        }
        Some(fault) => return Err(failed(sign_in, fault)),
        None => {}
    }
    let (token, life) = token_in(&answer).map_err(|fault| failed(sign_in, fault))?;
    let bearer = accept(sign_in, Method::DeviceCode, token)?;
    if let Some(newest) = renewal(&answer).filter(|newest| newest.expose_secret() != kept.refresh_token.expose_secret()) {
        let person = bearer.claims().person.clone().or_else(|| kept.person.clone());
        let renewed = Kept::new(kept.purpose.clone(), person, newest, entra.clock.wall());
        let path = file.to_owned();
        if let Err(error) = aside(move || renewed.renew(&kept, &path).map_err(|error| error.to_string())).await {
            tracing::warn!("failed to {error}; the sign-in that is kept goes on as long as it may");
        }
    }
    Ok(Fresh { bearer, life })
}

/// The token alone ends within the hour, so a refresh token is always asked for as well.
pub(super) fn offline(entra: &Entra) -> String {
    format!("{} offline_access", entra.scope)
}

pub(super) fn purpose(entra: &Entra, sign_in: &SignIn) -> Purpose {
    Purpose {
        tenant: sign_in.tenant,
        client_id: sign_in.client_id.clone(),
        authority: entra.authority.to_string(),
        scope: entra.scope.clone(),
    }
}

/// One form to an endpoint of the tenant.
pub(super) async fn post(entra: &Entra, sign_in: &SignIn, endpoint: &str, pairs: &[(&str, &str)]) -> Result<Answer, Fault> {
    let url = entra.authority.at(&format!("/{}/oauth2/v2.0/{endpoint}", sign_in.tenant));
    let form = Url::parse_with_params("http://form", pairs).map_err(|error| Fault::Permanent(error.to_string()))?;
    let request = entra.wires.to(entra.authority.base()).post(url);
    let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    Answer::of(request.body(form.query().unwrap_or_default().to_owned())).await
}

pub(super) fn error(answer: &Answer) -> String {
    answer.json().get("error").and_then(Value::as_str).unwrap_or_default().to_owned()
}

pub(super) fn renewal(answer: &Answer) -> Option<SecretString> {
    let body = answer.json();
    body.get("refresh_token").and_then(Value::as_str).filter(|token| !token.is_empty()).map(SecretString::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Authority;
    use crate::auth::fake::{self, Fake, granted, reply};

    const OTHER: &str = "11111111-ab13-4fae-a276-55daa05f1119";

    /// A sign-in that is kept in a directory of its own.
    fn keep(fake: &Fake) -> (tempfile::TempDir, std::path::PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("kept.json");
        let purpose = purpose(&entra(fake), &fake::sign_in(""));
        Kept::new(purpose, Some("ann".to_owned()), "r3fresh/0".into(), jiff::Timestamp::UNIX_EPOCH).save(&path).unwrap();
        (home, path)
    }

    fn entra(fake: &Fake) -> Entra {
        fake.entra()
    }

    fn token(path: &Path) -> String {
        Kept::read(path).ok().flatten().map(|kept| kept.refresh_token.expose_secret().to_owned()).unwrap_or_default()
    }

    #[tokio::test]
    async fn the_newest_refresh_token_is_kept_and_one_that_does_not_come_is_no_loss() {
        let answers = [granted(fake::TENANT, r#","refresh_token":"r3fresh/1""#), granted(fake::TENANT, "")];
        let fake = Fake::start(move |n, _| answers[n].clone()).await;
        let (_home, path) = keep(&fake);
        for (sent, kept) in [("r3fresh%2F0", "r3fresh/1"), ("r3fresh%2F1", "r3fresh/1")] {
            let fresh = fresh(&entra(&fake), &fake::sign_in(""), &path).await.unwrap();
            assert_eq!((fresh.bearer.method(), fresh.life.as_secs()), (Method::DeviceCode, 3_599));
            let request = fake.request(fake.count() - 1);
            assert!(request.contains("grant_type=refresh_token&client_id=the-app&scope="), "{request}");
            assert!(request.contains("+offline_access&") && request.ends_with(sent), "{request}");
            assert_eq!(token(&path), kept);
        }
    }

    #[tokio::test]
    async fn a_renewal_that_fails_leaves_the_sign_in_as_it_was_and_shows_no_token() {
        let ended =
            r#"{"error":"invalid_grant","error_description":"AADSTS99999: r3fresh/0 was revoked. Yes.","error_codes":[99999]}"#;
        let busy = r#"{"error":"invalid_grant","error_codes":[50196]}"#;
        let answers = [
            reply(400, "", ended),
            reply(400, "", busy),
            reply(503, "", "r3fresh/0"),
            granted(OTHER, r#","refresh_token":"theirs""#),
        ];
        let fake = Fake::start(move |n, _| answers[n].clone()).await;
        let (_home, path) = keep(&fake);
        let wanted = [
            "sign in to contoso: the sign-in of ann was not taken (the sign-in service answered 400: invalid_grant, AADSTS99999: \
             [redacted] was revoked): run bulk-revoke login --tenant contoso",
            "sign in to contoso: the sign-in service answered 400: invalid_grant, AADSTS50196: too many sign-ins in a short time; \
             wait some minutes, and look for what else signs in with this app",
            "sign in to contoso: the sign-in service answered 503: service unavailable",
            "sign in to tenant 9dfb369b-ab13-4fae-a276-55daa05f1119: the token that came (device-code) is for tenant \
             11111111-ab13-4fae-a276-55daa05f1119; check the tenant and its app",
        ];
        for wanted in wanted {
            let error = fresh(&entra(&fake), &fake::sign_in(""), &path).await.unwrap_err();
            assert_eq!((error.to_string().as_str(), token(&path).as_str()), (wanted, "r3fresh/0"));
        }
    }

    #[tokio::test]
    async fn a_sign_in_for_another_purpose_is_sent_nowhere() {
        let fake = Fake::start(|_, _| reply(500, "", "")).await;
        let (home, path) = keep(&fake);
        let ours = fake::sign_in("");
        let elsewhere = Authority::new("http://127.0.0.1:9").unwrap();
        let cases = [
            (entra(&fake), ours.clone(), home.path().join("none.json"), "nobody is signed in on this machine"),
            (
                entra(&fake),
                SignIn { client_id: "new-app".to_owned(), ..ours.clone() },
                path.clone(),
                "is for app the-app, not new-app",
            ),
            (Entra { scope: "other".to_owned(), ..entra(&fake) }, ours.clone(), path.clone(), "is for scope"),
            (Entra { authority: elsewhere, ..entra(&fake) }, ours, path, "is for authority"),
        ];
        for (entra, sign_in, path, words) in cases {
            let error = fresh(&entra, &sign_in, &path).await.unwrap_err();
            assert!(matches!(error, TokenError::Permanent { .. }), "{error:?}");
            let error = error.to_string();
            assert!(error.contains(words) && error.ends_with(": run bulk-revoke login --tenant contoso"), "{error}");
        }
        assert_eq!(fake.count(), 0);
    }
}
