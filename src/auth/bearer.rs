//! A token, and what it says about itself. The text of the token leaves only through `expose`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::Method;
use crate::model::TenantId;

/// An access token. Clones are cheap and are the same token; `Debug` does not show it.
#[derive(Clone)]
pub struct Bearer(Arc<Inner>);

struct Inner {
    secret: SecretString,
    /// The header that carries it, made once; marked as sensitive, so that nothing shows it.
    authorization: HeaderValue,
    method: Method,
    claims: Claims,
    serial: u64,
}

/// The next token's number.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// What a token says about itself: for messages and the tenant check only. The signature is not verified; Graph's tokens
/// are not for clients to validate (<https://learn.microsoft.com/entra/identity-platform/access-tokens>).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claims {
    /// `tid`: the tenant the token is for.
    pub tenant: Option<TenantId>,
    /// `appid` (v1 tokens) or `azp` (v2 tokens): the app.
    pub app: Option<String>,
    /// `roles` (the app's own permissions) or the parts of `scp` (delegated ones).
    pub permissions: Vec<String>,
    /// `oid`: the person, or the app's own place in the tenant.
    pub object: Option<String>,
    /// Who signed in, if a person did; for messages only.
    pub person: Option<String>,
    /// `exp`: when the service stops taking it, by its clock. The keeper goes by `expires_in` instead.
    pub expires: Option<jiff::Timestamp>,
    /// Whether it is a person's: there is an `scp`.
    pub is_delegated: bool,
}

impl Bearer {
    pub(super) fn new(secret: SecretString, method: Method, claims: Claims) -> Self {
        // What no header can carry the service would refuse: it is sent nothing instead, and says so.
        let header = HeaderValue::try_from(format!("Bearer {}", secret.expose_secret()));
        let mut authorization = header.unwrap_or(HeaderValue::from_static("Bearer"));
        authorization.set_sensitive(true);
        Self(Arc::new(Inner { secret, authorization, method, claims, serial: NEXT.fetch_add(1, Ordering::Relaxed) }))
    }

    /// The value of the `Authorization` header.
    pub fn authorization(&self) -> HeaderValue {
        self.0.authorization.clone()
    }

    /// The token itself, to tell it in what the service answers and for nothing else.
    pub fn expose(&self) -> &str {
        self.0.secret.expose_secret()
    }

    /// How it was got.
    pub fn method(&self) -> Method {
        self.0.method
    }

    /// What the token says about itself; empty for an opaque token.
    pub fn claims(&self) -> &Claims {
        &self.0.claims
    }

    /// Its number in this process: a token that came later has a higher one.
    pub fn serial(&self) -> u64 {
        self.0.serial
    }

    /// Whether both came out of the same answer.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.0.serial == other.0.serial
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bearer").field("secret", &"[redacted]").field("claims", &self.0.claims).finish()
    }
}

impl Claims {
    /// Reads the payload of a JWT. Fails with what could not be read; claims other than `tid` may be missing.
    pub(super) fn read(token: &str) -> Result<Self, &'static str> {
        let value = payload(token)?;
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let tenant = text("tid").ok_or("it has no tid")?.parse().map_err(|_| "its tid is not a GUID")?;
        let roles = value.get("roles").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let scopes = value.get("scp").and_then(Value::as_str).unwrap_or_default().split_whitespace();
        Ok(Self {
            tenant: Some(tenant),
            app: text("appid").or_else(|| text("azp")),
            permissions: roles.chain(scopes).map(str::to_owned).collect(),
            object: text("oid"),
            person: ["preferred_username", "upn", "unique_name", "name"].into_iter().find_map(text),
            expires: value.get("exp").and_then(Value::as_i64).and_then(|exp| jiff::Timestamp::from_second(exp).ok()),
            is_delegated: value.get("scp").is_some(),
        })
    }
}

/// What a JWT says. Fails with what could not be read.
pub(super) fn payload(token: &str) -> Result<Value, &'static str> {
    let mut parts = token.split('.');
    let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err("it is not a JWT");
    };
    // RFC 7515 section 2 has no padding; some issuers add it all the same.
    let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).map_err(|_| "its payload is not base64url")?;
    serde_json::from_slice(&bytes).map_err(|_| "its payload is not JSON")
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE;

    use super::*;

    const TENANT: &str = "9dfb369b-ab13-4fae-a276-55daa05f1119";

    fn payload(value: &Value) -> String {
        URL_SAFE.encode(value.to_string())
    }

    #[test]
    fn claims_are_read_with_and_without_padding() {
        for filler in ["", "x", "xx"] {
            let padded = payload(&serde_json::json!({
                "tid": TENANT, "appid": "app", "roles": ["A.Read", "B.Write"], "exp": 1_800_000_000, "filler": filler
            }));
            for text in [padded.as_str(), padded.trim_end_matches('=')] {
                let claims = Claims::read(&format!("e30.{text}.sig")).unwrap();
                assert_eq!(claims.tenant, Some(TENANT.parse().unwrap()));
                assert_eq!(claims.app.as_deref(), Some("app"));
                assert_eq!(claims.permissions, ["A.Read", "B.Write"]);
                assert_eq!(claims.expires.unwrap().to_string(), "2027-01-15T08:00:00Z");
            }
        }
    }

    #[test]
    fn delegated_tokens_name_their_app_and_scopes_in_other_claims() {
        let text = payload(&serde_json::json!({ "tid": TENANT, "azp": "app", "scp": "A.Read B.Write" }));
        let claims = Claims::read(&format!("e30.{text}.sig")).unwrap();
        assert_eq!((claims.app.as_deref(), claims.permissions.len(), claims.is_delegated), (Some("app"), 2, true));
    }

    #[test]
    fn what_cannot_be_read_is_named_without_the_token() {
        let bare = payload(&serde_json::json!({ "appid": "app" }));
        let odd = payload(&serde_json::json!({ "tid": "contoso" }));
        for (token, why) in [
            ("opaque".to_owned(), "it is not a JWT"),
            ("a.b.c.d.e".to_owned(), "it is not a JWT"),
            ("a.!!.c".to_owned(), "its payload is not base64url"),
            ("a.AAAA.c".to_owned(), "its payload is not JSON"),
            (format!("e30.{bare}.s"), "it has no tid"),
            (format!("e30.{odd}.s"), "its tid is not a GUID"),
        ] {
            assert_eq!(Claims::read(&token), Err(why));
        }
    }
}
