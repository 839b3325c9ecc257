//! Tokens of other issuers that Entra trusts to speak for an app: out of a file, from GitHub Actions, from Azure Pipelines.
//! Source: <https://learn.microsoft.com/entra/workload-id/workload-identity-federation>.

use std::path::Path;

use reqwest::Url;
use reqwest::header::CONTENT_LENGTH;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::answer::Fault;
use super::bearer::payload;
use super::entra::{Entra, Fresh, Proof, failed};
use super::hints::shorten;
use super::platform::read_aside;
use super::service::{Service, never};
use super::{Authority, BaseUrl, Federation, SignIn, TokenError};

/// What Entra wants to be addressed as: each of its clouds has a name of its own
/// (<https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity>).
fn audience(authority: &Authority) -> &'static str {
    match authority.base().as_str() {
        "https://login.microsoftonline.us" => "api://AzureADTokenExchangeUSGov",
        "https://login.chinacloudapi.cn" | "https://login.partner.microsoftonline.cn" => "api://AzureADTokenExchangeChina",
        _ => "api://AzureADTokenExchange",
    }
}

const GITHUB: &str = "give the job `permissions: id-token: write`";
const PIPELINES: &str = "map SYSTEM_ACCESSTOKEN with `env:` in the step, and check the service connection's id and that \
                         the pipeline may use it";

/// A fresh token. What a person must mend shows the claims that the app's federated credential is compared with.
pub(super) async fn fresh(entra: &Entra, sign_in: &SignIn, federation: &Federation) -> Result<Fresh, TokenError> {
    let assertion = assertion(entra, federation).await;
    let (assertion, claims) = assertion.map_err(|fault| failed(sign_in, fault))?;
    let fresh = entra.exchange(sign_in, federation.method(), Proof::Assertion(assertion)).await;
    fresh.map_err(|error| error.adding(&claims))
}

/// The other issuer's token, and what it says about itself.
async fn assertion(entra: &Entra, federation: &Federation) -> Result<(SecretString, String), Fault> {
    let (token, place) = match federation {
        Federation::File(path) => (file(path).await?, format!("the token in {} (AZURE_FEDERATED_TOKEN_FILE)", path.display())),
        Federation::GitHub { url, token } => (github(entra, url, token).await?, "GitHub's token".to_owned()),
        Federation::AzurePipelines { url, connection, token } => {
            (pipelines(entra, url, connection, token).await?, "Azure Pipelines' token".to_owned())
        }
    };
    let claims = payload(token.expose_secret()).map_err(|why| Fault::Permanent(format!("{place} is of no use: {why}")))?;
    let claim = |name: &str| match claims.get(name) {
        Some(Value::String(text)) => shorten(text),
        Some(other) => shorten(&other.to_string()),
        None => "none".to_owned(),
    };
    let shown = format!("{place} has issuer {}, subject {}, audience {}", claim("iss"), claim("sub"), claim("aud"));
    Ok((token, shown))
}

async fn file(path: &Path) -> Result<SecretString, Fault> {
    let wrong = |why: &str| {
        let name = path.display();
        let advice = "AZURE_FEDERATED_TOKEN_FILE names it, and the platform must keep it fresh \
                      (in Kubernetes: does the pod carry the label azure.workload.identity/use?)";
        Fault::Permanent(format!("the token file {name} is of no use: {why}; {advice}"))
    };
    let text = read_aside(path).await.map_err(|why| wrong(&why))?;
    if text.trim().is_empty() { Err(wrong("it is empty")) } else { Ok(text.trim().into()) }
}

/// <https://docs.github.com/actions/security-for-github-actions/security-hardening-your-deployments/about-security-hardening-with-openid-connect>.
async fn github(entra: &Entra, url: &str, token: &SecretString) -> Result<SecretString, Fault> {
    let (mut url, place) = address("ACTIONS_ID_TOKEN_REQUEST_URL", url)?;
    url.query_pairs_mut().append_pair("audience", audience(&entra.authority));
    let service = Service { name: "GitHub's token service", secret: Some(token), mends: never };
    let request = entra.wires.to(&place).get(url).bearer_auth(token.expose_secret());
    let answer = service.ask(request).await.map_err(|fault| fault.advise(GITHUB))?;
    service.token_in(&answer, "value")
}

/// As `azure_identity` asks (`azure_pipelines_credential.rs`).
async fn pipelines(entra: &Entra, url: &str, connection: &str, token: &SecretString) -> Result<SecretString, Fault> {
    let (mut url, place) = address("SYSTEM_OIDCREQUESTURI", url)?;
    url.query_pairs_mut().append_pair("api-version", "7.1").append_pair("serviceConnectionId", connection);
    let service = Service { name: "Azure Pipelines' token service", secret: Some(token), mends: never };
    let request = entra.wires.to(&place).post(url).bearer_auth(token.expose_secret());
    // Without it, who is not let in gets a sign-in page.
    let request = request.header("X-TFS-FedAuthRedirect", "Suppress").header(CONTENT_LENGTH, 0);
    let answer = service.ask(request).await.map_err(|fault| fault.advise(PIPELINES))?;
    service.token_in(&answer, "oidcToken")
}

/// An address with the query that the platform gave it. A secret goes there, so it is under the rules of [`BaseUrl`].
fn address(variable: &str, given: &str) -> Result<(Url, BaseUrl), Fault> {
    let wrong = |why: &str| Fault::Permanent(format!("{variable} cannot be used: {why}"));
    let url = Url::parse(given.trim()).map_err(|_| wrong("it is no URL"))?;
    let mut bare = url.clone();
    bare.set_query(None);
    let place = BaseUrl::new(bare.as_str()).map_err(wrong)?;
    Ok((url, place))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::Credential;
    use crate::auth::fake::{self, Fake};

    const SECRET: &str = "pl4tf0rm~s3cr3t";

    fn issued(n: usize) -> String {
        fake::says(&json!({ "iss": "https://issuer.example", "sub": format!("job:{n}"), "aud": ["api://AzureADTokenExchange"] }))
    }

    /// Issuer and Entra in one: GETs and POSTs that are no token request get `answer`.
    async fn fake(answer: impl Fn(usize) -> String + Send + 'static) -> Fake {
        Fake::start(move |n, request| {
            if request.contains("grant_type=") {
                fake::reply(200, "", &fake::grant(&fake::jwt(fake::TENANT), "3599"))
            } else {
                answer(n)
            }
        })
        .await
    }

    async fn ask(fake: &Fake, federation: Federation) -> Result<Fresh, TokenError> {
        let sign_in = fake::signs_in(Credential::Federated(federation));
        fake.entra().by(&sign_in, &sign_in.credential).await
    }

    fn github(fake: &Fake) -> Federation {
        Federation::GitHub { url: format!("{}/idtoken/1?api-version=2.0", fake.url()), token: SECRET.into() }
    }

    fn pipelines(fake: &Fake) -> Federation {
        let url = format!("{}/org/_apis/oidctoken", fake.url());
        Federation::AzurePipelines { url, connection: "connection 1".to_owned(), token: SECRET.into() }
    }

    #[tokio::test]
    async fn a_token_file_is_read_each_time() {
        let fake = fake(|_| String::new()).await;
        let file = tempfile::NamedTempFile::new().unwrap();
        for n in 0..2 {
            std::fs::write(file.path(), format!("\n{}\n", issued(n))).unwrap();
            let fresh = ask(&fake, Federation::File(file.path().to_owned())).await.unwrap();
            assert_eq!(fresh.bearer.method().name(), "workload-identity");
            assert!(fake.request(n).contains(&format!("client_assertion={}&", issued(n))), "{}", fake.request(n));
        }
    }

    #[tokio::test]
    async fn a_token_file_that_is_of_no_use_is_named_and_nothing_is_sent() {
        let fake = fake(|_| String::new()).await;
        let file = tempfile::NamedTempFile::new().unwrap();
        for (content, why) in [(" \n", "it is empty"), ("eyJhb.s3cr3t", "it is not a JWT")] {
            std::fs::write(file.path(), content).unwrap();
            let error = ask(&fake, Federation::File(file.path().to_owned())).await.unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, TokenError::Permanent { .. }) && text.contains(why), "{text}");
            assert!(text.contains(&file.path().display().to_string()) && text.contains("AZURE_FEDERATED_TOKEN_FILE"), "{text}");
            assert!(!text.contains("s3cr3t"), "{text}");
        }
        let error = ask(&fake, Federation::File("/nowhere/token".into())).await.unwrap_err().to_string();
        assert!(error.contains("/nowhere/token") && error.contains("No such file"), "{error}");
        assert_eq!(fake.count(), 0);
    }

    #[tokio::test]
    async fn github_and_pipelines_are_asked_as_documented_for_each_token_anew() {
        let fake = fake(|n| fake::reply(200, "", &json!({ "value": issued(n), "oidcToken": issued(n) }).to_string())).await;
        for n in [0, 2] {
            ask(&fake, github(&fake)).await.unwrap();
            let request = fake.request(n);
            let line = "GET /idtoken/1?api-version=2.0&audience=api%3A%2F%2FAzureADTokenExchange HTTP/1.1\r\n";
            assert!(request.starts_with(line), "{request}");
            assert!(request.to_ascii_lowercase().contains(&format!("authorization: bearer {SECRET}")), "{request}");
            assert!(fake.request(n + 1).contains(&issued(n)), "{}", fake.request(n + 1));
        }
        ask(&fake, pipelines(&fake)).await.unwrap();
        let request = fake.request(4);
        let line = "POST /org/_apis/oidctoken?api-version=7.1&serviceConnectionId=connection+1 HTTP/1.1\r\n";
        assert!(request.starts_with(line), "{request}");
        let request = request.to_ascii_lowercase();
        for header in [&format!("authorization: bearer {SECRET}"), "x-tfs-fedauthredirect: suppress", "content-length: 0"] {
            assert!(request.contains(header), "{request}");
        }
    }

    #[tokio::test]
    async fn a_platform_that_says_no_is_quoted_with_what_to_do_and_without_the_secret() {
        let body = json!({ "message": format!("not for {SECRET}. Go away.") }).to_string();
        for status in [302, 400, 401, 403, 404] {
            let body = body.clone();
            let fake = fake(move |_| fake::reply(status, "", &body)).await;
            for (federation, wanted, advice) in [
                (github(&fake), "GitHub's token service answered", "id-token: write"),
                (pipelines(&fake), "Azure Pipelines' token service answered", "SYSTEM_ACCESSTOKEN"),
            ] {
                let error = ask(&fake, federation).await.unwrap_err();
                let text = error.to_string();
                assert!(matches!(error, TokenError::Permanent { .. }) && text.contains(wanted), "{text}");
                assert!(text.contains("not for [redacted]") && text.contains(advice) && !text.contains(SECRET), "{text}");
            }
        }
    }

    #[tokio::test]
    async fn a_platform_that_cannot_just_now_is_asked_again() {
        for (status, body) in [(429, ""), (500, "{}"), (503, ""), (200, "<html>"), (200, r#"{"value":""}"#)] {
            let fake = fake(move |_| fake::reply(status, "Retry-After: 7\r\n", body)).await;
            let error = ask(&fake, github(&fake)).await.unwrap_err();
            assert!(matches!(&error, TokenError::Passing { after: Some(after), .. } if after.as_secs() == 7), "{error:?}");
        }
        let dead = Fake::dead().await;
        let error = ask(&dead, github(&dead)).await.unwrap_err();
        assert!(error.to_string().contains("GitHub's token service could not be reached"), "{error}");
    }

    #[tokio::test]
    async fn the_platforms_secret_goes_to_no_plain_address() {
        let fake = fake(|_| String::new()).await;
        for url in ["http://token.actions.example/x?y=1", "https://me:pw@token.example/", "ftp://127.0.0.1/", "x"] {
            let error = ask(&fake, Federation::GitHub { url: url.to_owned(), token: SECRET.into() }).await.unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, TokenError::Permanent { .. }) && !text.contains("pw"), "{text}");
            assert!(text.contains("ACTIONS_ID_TOKEN_REQUEST_URL cannot be used"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_token_that_fits_no_federated_credential_is_shown_by_what_it_is_compared_with() {
        let refused = r#"{"error":"invalid_client","error_description":"AADSTS700213: No","error_codes":[700213]}"#;
        let fake = Fake::start(move |_, request| {
            let value = json!({ "value": issued(7) }).to_string();
            if request.starts_with("GET") { fake::reply(200, "", &value) } else { fake::reply(401, "", refused) }
        })
        .await;
        let error = ask(&fake, github(&fake)).await.unwrap_err().to_string();
        let shown =
            "(GitHub's token has issuer https://issuer.example, subject job:7, audience [\"api://AzureADTokenExchange\"])";
        assert!(error.contains("capitals too") && error.ends_with(shown), "{error}");
        assert!(!error.contains(&issued(7)), "{error}");
    }
}
