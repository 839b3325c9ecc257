//! The keeper of all tenants' tokens: the room's front desk.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::entra::{Entra, Source};
use super::found::Memory;
use super::keeper::Keeper;
use super::{Authority, Bearer, SignIn, TokenError, Wires};
use crate::clock::Clock;
use crate::model::TenantId;

/// A valid token per tenant. Clones share the tokens. Tenants do not wait for each other.
#[derive(Clone)]
pub struct Tokens {
    keepers: Arc<HashMap<TenantId, Arc<Keeper>>>,
}

impl Tokens {
    /// Nothing is asked for yet. `scope` is `{graph root}/.default`; of two sign-ins for one tenant the later counts.
    pub fn new(wires: Wires, authority: Authority, scope: String, sign_ins: Vec<SignIn>, clock: Clock) -> Self {
        let source: Arc<dyn Source> = Arc::new(Entra { wires, authority, scope, clock, memory: Memory::default() });
        let keepers = sign_ins.into_iter().map(|sign_in| (sign_in.tenant, Arc::new(Keeper::new(sign_in, Arc::clone(&source)))));
        Self { keepers: Arc::new(keepers.collect()) }
    }

    /// A token that is valid now, for this tenant and no other.
    ///
    /// Waits only if none is kept; then all callers share one request. Must be called within a tokio runtime. May be
    /// dropped at any time. After a failure the same error comes back, without a request, until its wait is over.
    pub async fn token(&self, tenant: TenantId) -> Result<Bearer, TokenError> {
        match self.keepers.get(&tenant) {
            Some(keeper) => keeper.token().await,
            None => Err(TokenError::Permanent { message: format!("tenant {tenant}: no sign-in is known for it") }),
        }
    }

    /// The token that is kept and valid, without waiting for one. Must be called within a tokio runtime.
    pub fn kept(&self, tenant: TenantId) -> Option<Bearer> {
        self.keepers.get(&tenant)?.kept()
    }

    /// The first token that came for this tenant, also when it has ended: it shows who we are. Asks for nothing.
    pub fn first(&self, tenant: TenantId) -> Option<Bearer> {
        self.keepers.get(&tenant)?.first()
    }

    /// Whether [`Self::token`] would answer at once with a token.
    pub fn is_ready(&self, tenant: TenantId) -> bool {
        self.keepers.get(&tenant).is_some_and(|keeper| keeper.is_ready())
    }

    /// The service refused this token (401): it is handed out no more. A newer one stays.
    pub fn refused(&self, tenant: TenantId, bearer: &Bearer) {
        if let Some(keeper) = self.keepers.get(&tenant) {
            keeper.refused(bearer);
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.keepers.iter().map(|(tenant, keeper)| (tenant.to_string(), keeper.label()))).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::time::Duration;

    use super::*;
    use crate::auth::fake::{self, Fake};
    use crate::auth::{AuthError, Claims, Method};

    const SECRET: &str = "s3cr3t~8Q+val/ue";
    const OTHER: &str = "11111111-ab13-4fae-a276-55daa05f1119";

    fn tokens(fake: &Fake, sign_ins: Vec<SignIn>) -> Tokens {
        let scope = "https://graph.microsoft.com/.default".to_owned();
        Tokens::new(fake::wires(), fake.authority(), scope, sign_ins, Clock::system())
    }

    fn for_other(mut sign_in: SignIn) -> SignIn {
        sign_in.tenant = OTHER.parse().unwrap();
        sign_in.label = "fabrikam".to_owned();
        sign_in
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_hundred_callers_make_one_request() {
        let fake = Fake::start(|_, _| fake::reply(200, "", &fake::grant(&fake::jwt(fake::TENANT), "3599"))).await;
        let tokens = tokens(&fake, vec![fake::sign_in(SECRET)]);
        let callers: Vec<_> = (0..100)
            .map(|_| {
                tokio::spawn({
                    let t = tokens.clone();
                    async move { t.token(fake::tenant()).await }
                })
            })
            .collect();
        for caller in callers {
            assert_eq!(caller.await.unwrap().unwrap().expose(), fake::jwt(fake::TENANT));
        }
        assert_eq!(fake.count(), 1);
    }

    #[tokio::test]
    async fn the_request_is_the_documented_one_and_goes_to_our_authority() {
        let fake = Fake::start(|_, _| fake::reply(200, "", &fake::grant(&fake::jwt(fake::TENANT), "3599"))).await;
        let bearer = tokens(&fake, vec![fake::sign_in(SECRET)]).token(fake::tenant()).await.unwrap();
        assert_eq!(bearer.claims().tenant, Some(fake::tenant()));
        let request = fake.request(0);
        assert!(request.starts_with(&format!("POST /{}/oauth2/v2.0/token HTTP/1.1", fake::TENANT)), "{request}");
        assert!(
            request.ends_with(
                "client_id=the-app&client_secret=s3cr3t%7E8Q%2Bval%2Fue&grant_type=client_credentials\
             &scope=https%3A%2F%2Fgraph.microsoft.com%2F.default"
            ),
            "{request}"
        );
    }

    #[tokio::test]
    async fn an_expires_in_that_is_a_string_is_read_and_one_that_is_missing_is_not_guessed() {
        for (expires_in, good) in [("\"3599\"", true), ("3599", true), ("0", false), ("null", false), ("\"soon\"", false)] {
            let fake = Fake::start(move |_, _| fake::reply(200, "", &fake::grant(&fake::jwt(fake::TENANT), expires_in))).await;
            let found = tokens(&fake, vec![fake::sign_in(SECRET)]).token(fake::tenant()).await;
            assert_eq!(found.is_ok(), good, "{expires_in}: {found:?}");
        }
    }

    #[tokio::test]
    async fn a_token_for_another_tenant_is_refused_even_where_opaque_ones_are_allowed() {
        let fake = Fake::start(|_, _| fake::reply(200, "", &fake::grant(&fake::jwt(OTHER), "3599"))).await;
        for allow_opaque in [false, true] {
            let sign_in = SignIn { allow_opaque, ..fake::sign_in(SECRET) };
            let error = tokens(&fake, vec![sign_in]).token(fake::tenant()).await.unwrap_err();
            let method = Method::ClientSecret;
            assert_eq!(error, TokenError::WrongTenant { expected: fake::tenant(), found: OTHER.parse().unwrap(), method });
        }
    }

    #[tokio::test]
    async fn an_opaque_token_is_refused_unless_allowed() {
        let fake = Fake::start(|_, _| fake::reply(200, "", &fake::grant("opaque-t0ken", "3599"))).await;
        let error = tokens(&fake, vec![fake::sign_in(SECRET)]).token(fake::tenant()).await.unwrap_err();
        assert_eq!(error, TokenError::OpaqueToken { tenant: fake::tenant(), why: "it is not a JWT" });
        let allowed = SignIn { allow_opaque: true, ..fake::sign_in(SECRET) };
        let bearer = tokens(&fake, vec![allowed]).token(fake::tenant()).await.unwrap();
        assert_eq!((bearer.expose(), bearer.claims()), ("opaque-t0ken", &Claims::default()));
    }

    #[tokio::test]
    async fn the_plain_text_429_is_honoured_and_holds_up_no_other_tenant() {
        let fake = Fake::start(|_, request| {
            if request.contains(OTHER) {
                fake::reply(200, "", &fake::grant(&fake::jwt(OTHER), "3599"))
            } else {
                fake::reply(429, "Retry-After: 60\r\n", "Too Many Requests")
            }
        })
        .await;
        let tokens = tokens(&fake, vec![fake::sign_in(SECRET), for_other(fake::sign_in(SECRET))]);
        let error = tokens.token(fake::tenant()).await.unwrap_err();
        let message = "contoso: the sign-in service answered 429: too many requests".to_owned();
        assert_eq!(error, TokenError::Passing { message, after: Some(Duration::from_mins(1)) });
        for _ in 0..10 {
            let TokenError::Passing { after: Some(left), .. } = tokens.token(fake::tenant()).await.unwrap_err() else {
                unreachable!()
            };
            assert!(left <= Duration::from_mins(1) && left > Duration::from_secs(50), "{left:?}");
        }
        assert_eq!(fake.count(), 1);
        tokens.token(OTHER.parse().unwrap()).await.unwrap();
    }

    #[tokio::test]
    async fn garbage_and_a_dead_endpoint_are_passing() {
        for body in ["", "<html>", "{}", r#"{"access_token":"a\nb","expires_in":5}"#, "[1]"] {
            let fake = Fake::start(move |_, _| fake::reply(200, "", body)).await;
            let error = tokens(&fake, vec![fake::sign_in(SECRET)]).token(fake::tenant()).await.unwrap_err();
            assert_eq!(error.to_string(), "sign in to contoso: the sign-in service answered 200 without a token");
            assert!(matches!(error, TokenError::Passing { .. }));
        }
        let dead = Fake::dead().await;
        let error = tokens(&dead, vec![fake::sign_in(SECRET)]).token(fake::tenant()).await.unwrap_err();
        assert!(matches!(error, TokenError::Passing { .. }), "{error:?}");
        assert!(error.to_string().starts_with("sign in to contoso: the sign-in service could not be reached: "), "{error}");
        assert!(error.to_string().contains("refused") && !error.to_string().contains("http://"), "{error}");
    }

    #[tokio::test]
    async fn an_empty_secret_and_an_unknown_tenant_are_permanent_without_a_request() {
        let fake = Fake::start(|_, _| fake::reply(500, "", "")).await;
        let tokens = tokens(&fake, vec![fake::sign_in("")]);
        assert!(matches!(tokens.token(fake::tenant()).await, Err(TokenError::Permanent { .. })));
        assert!(matches!(tokens.token(OTHER.parse().unwrap()).await, Err(TokenError::Permanent { .. })));
        assert_eq!(fake.count(), 0);
    }

    #[tokio::test]
    async fn a_wrong_secret_is_named_with_number_and_remedy_and_never_shown() {
        let body = format!(
            r#"{{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret {SECRET}.","error_codes":[7000215]}}"#
        );
        let fake = Fake::start(move |_, _| fake::reply(401, "", &body)).await;
        let error = tokens(&fake, vec![fake::sign_in(SECRET)]).token(fake::tenant()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "sign in to contoso: the sign-in service answered 401: invalid_client, AADSTS7000215: \
             the client secret is wrong; give the secret's Value, not its Secret ID"
        );
        assert!(matches!(error, TokenError::Permanent { .. }));
    }

    #[tokio::test]
    async fn no_public_type_shows_a_secret_or_a_token() {
        let echo = format!(r#"{{"error":"{SECRET}","error_description":"{SECRET} was sent. Yes.","trace_id":"{SECRET}"}}"#);
        let fake = Fake::start(move |n, _| match n {
            0 => fake::reply(200, "", &fake::grant(&fake::jwt(fake::TENANT), "3599")),
            1 => fake::reply(400, "", &echo),
            2 => fake::reply(503, "", &echo),
            3 => fake::reply(200, "", &fake::grant(&fake::jwt(OTHER), "3599")),
            4 => fake::reply(200, "", &fake::grant("opaque-t0ken", "3599")),
            5 => fake::reply(200, "", &fake::grant(&fake::jwt(fake::TENANT), "null")),
            _ => fake::reply(200, "", SECRET),
        })
        .await;
        let good = tokens(&fake, vec![fake::sign_in(SECRET)]);
        let bearer = good.token(fake::tenant()).await.unwrap();
        let mut shown = format!("{good:?} {good:#?} {bearer:?} {bearer:#?} {:?} {:?}", bearer.claims(), fake.authority());
        write!(shown, "{:?} {:#?}", fake::sign_in(SECRET), fake::sign_in(SECRET).credential).unwrap();
        for _ in 1..7 {
            let error = tokens(&fake, vec![fake::sign_in(SECRET)]).token(fake::tenant()).await.unwrap_err();
            write!(shown, "{error} {error:?} {error:#?}").unwrap();
        }
        let given = format!("https://x:{SECRET}@login.example");
        let error: AuthError = Authority::new(&given).unwrap_err();
        write!(shown, "{error} {error:?}").unwrap();
        let token = fake::jwt(fake::TENANT);
        for hidden in [SECRET, "s3cr3t", "opaque-t0ken", token.as_str(), token.split('.').nth(1).unwrap()] {
            assert!(!shown.contains(hidden), "{hidden} in {shown}");
        }
        assert_eq!(fake.count(), 7);
    }
}
