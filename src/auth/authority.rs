//! The place that issues tokens: its base URL, and finding a tenant's GUID behind a domain.

use std::fmt;

use serde_json::Value;

use super::AuthError;
use super::answer::{Answer, Fault};
use super::base_url::BaseUrl;
use crate::model::TenantId;

/// Base URL of the sign-in service, such as `https://login.microsoftonline.com`, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority(BaseUrl);

impl Authority {
    /// Checks a base URL. National clouds: <https://learn.microsoft.com/graph/deployments>.
    pub fn new(given: &str) -> Result<Self, AuthError> {
        BaseUrl::new(given).map(Self).map_err(|reason| AuthError::Authority { given: BaseUrl::shown(given), reason })
    }

    /// Its URL.
    pub const fn base(&self) -> &BaseUrl {
        &self.0
    }

    /// The URL of a path, which begins with a slash.
    pub(super) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The GUID of a tenant. A GUID is returned as it is, without a request; a domain is looked up in the authority's
/// `OpenID` configuration, whose `issuer` holds the GUID. One request, no retry.
/// Source: <https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc>.
pub async fn discover(client: &reqwest::Client, authority: &Authority, domain_or_guid: &str) -> Result<TenantId, AuthError> {
    if let Ok(tenant) = domain_or_guid.parse() {
        return Ok(tenant);
    }
    let domain = domain_or_guid.trim().to_ascii_lowercase();
    if !is_domain(&domain) {
        return Err(AuthError::NotATenant { given: domain_or_guid.to_owned() });
    }
    let url = authority.at(&format!("/{domain}/v2.0/.well-known/openid-configuration"));
    let fault = match Answer::of(client.get(url)).await {
        Err(fault) => fault,
        Ok(answer) => match (answer.fault(&[]), tenant_of(&answer.json())) {
            (None, Some(tenant)) => return Ok(tenant),
            (None, None) => answer.useless("a tenant's GUID in issuer"),
            (Some(fault), _) => fault,
        },
    };
    Err(match fault {
        Fault::Permanent(message) => AuthError::Permanent { domain, message },
        Fault::Passing(message, after) => AuthError::Passing { domain, message, after },
    })
}

/// Letters, digits and hyphens between dots; at least one dot, so `common` and its like are none.
fn is_domain(text: &str) -> bool {
    let label = |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    // 253: the longest domain name, RFC 1035 section 2.3.4.
    text.len() <= 253 && text.contains('.') && text.split('.').all(label)
}

fn tenant_of(configuration: &Value) -> Option<TenantId> {
    configuration.get("issuer")?.as_str()?.split('/').find_map(|part| part.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::fake::{self, Fake};

    const TENANT: &str = "9dfb369b-ab13-4fae-a276-55daa05f1119";

    #[test]
    fn plain_http_is_for_loopback_only() {
        for given in ["http://127.0.0.1:8080/", "http://[::1]:1", "http://localhost:5", "https://login.microsoftonline.us/"] {
            let authority = Authority::new(given).unwrap();
            assert_eq!(authority.to_string(), given.trim_end_matches('/'));
        }
        let error = Authority::new("http://login.microsoftonline.com").unwrap_err().to_string();
        let wanted = "use \"http://login.microsoftonline.com\" as the authority: \
                      plain http is accepted only for a loopback address; use https";
        assert_eq!(error, wanted);
        for given in ["", "login.microsoftonline.com", "ftp://127.0.0.1", "http://127.0.0.1.evil.example", "http://10.0.0.1"] {
            assert!(Authority::new(given).is_err(), "{given}");
        }
    }

    #[test]
    fn a_password_in_the_authority_is_refused_and_not_shown() {
        let error = Authority::new("https://me:hunter2@login.example").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        assert!(Authority::new("https://login.example?x=1").is_err());
    }

    #[tokio::test]
    async fn a_domain_becomes_the_guid_in_the_issuer() {
        let body = format!(r#"{{"issuer":"https://login.microsoftonline.com/{TENANT}/v2.0"}}"#);
        let fake = Fake::start(move |_, _| fake::reply(200, "", &body)).await;
        let found = discover(&fake::client(), &fake.authority(), " Contoso.com ").await.unwrap();
        assert_eq!(found.to_string(), TENANT);
        assert!(fake.request(0).starts_with("GET /contoso.com/v2.0/.well-known/openid-configuration HTTP/1.1"));
    }

    #[tokio::test]
    async fn a_guid_needs_no_request_and_nonsense_makes_none() {
        let fake = Fake::start(|_, _| fake::reply(500, "", "")).await;
        let found = discover(&fake::client(), &fake.authority(), &format!("{{{TENANT}}}")).await.unwrap();
        assert_eq!(found.to_string(), TENANT);
        for given in ["common", "", "a..b", "contoso.com/../x", "con toso.com", "contoso.com?x"] {
            let error = discover(&fake::client(), &fake.authority(), given).await.unwrap_err();
            assert_eq!(error, AuthError::NotATenant { given: given.to_owned() });
        }
        assert_eq!(fake.count(), 0);
    }

    #[tokio::test]
    async fn an_unknown_domain_is_permanent_and_a_template_issuer_is_useless() {
        let unknown =
            r#"{"error":"invalid_tenant","error_description":"AADSTS90002: Tenant 'x.com' not found.","error_codes":[90002]}"#;
        let template = r#"{"issuer":"https://login.microsoftonline.com/{tenantid}/v2.0"}"#;
        let fake =
            Fake::start(move |n, _| if n == 0 { fake::reply(400, "", unknown) } else { fake::reply(200, "", template) }).await;
        let error = discover(&fake::client(), &fake.authority(), "x.com").await.unwrap_err();
        let wanted = "look up tenant x.com: the sign-in service answered 400: invalid_tenant, AADSTS90002: \
                      the tenant is unknown here; check the tenant and the cloud";
        assert_eq!(error.to_string(), wanted);
        let error = discover(&fake::client(), &fake.authority(), "x.com").await.unwrap_err();
        assert!(matches!(error, AuthError::Passing { .. }), "{error}");
    }
}
