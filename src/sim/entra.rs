//! The simulated Entra: tokens for apps, and the metadata of an authority.
//! Errors carry the AADSTS codes and texts of Microsoft's client-credentials page and error list.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::{Method, Request};
use serde_json::json;
use uuid::Uuid;

use super::admission::text_header;
use super::answer::Answer;
use super::assertion;
use super::context::Context;
use super::denial::Denial;
use super::device;
use super::dice::{Dice, Topic};
use super::fault::Kind;
use super::query;
use super::registration::Registration;
use super::service::Service;
use super::token::Claims;

/// What stands in a form, and in HTTP Basic beside it.
pub(super) struct Form<'a> {
    body: &'a str,
    basic: Option<(String, String)>,
}

impl<'a> Form<'a> {
    /// A body of another media type is as good as none.
    fn of(request: &'a Request<Bytes>) -> Self {
        let media = text_header(request, "content-type").unwrap_or_default();
        let is_form = media.split(';').next().is_some_and(|media| media.trim() == "application/x-www-form-urlencoded");
        let body = std::str::from_utf8(request.body()).ok().filter(|_| is_form).unwrap_or_default();
        Self { body, basic: basic(request) }
    }

    pub(super) fn value(&self, name: &str) -> Option<Cow<'a, str>> {
        query::value(self.body, name).filter(|value| !value.is_empty())
    }

    pub(super) fn need(&self, name: &str) -> Result<Cow<'a, str>, Denial> {
        self.value(name).ok_or_else(|| Denial::missing(name))
    }
}

/// The name and the secret of HTTP Basic, both form-encoded (RFC 6749, 2.3.1).
fn basic(request: &Request<Bytes>) -> Option<(String, String)> {
    let (scheme, credentials) = text_header(request, "authorization")?.split_once(' ')?;
    let decoded = STANDARD.decode(credentials.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let text = String::from_utf8(decoded).ok()?;
    let (name, secret) = text.split_once(':')?;
    Some((query::decode(name).into_owned(), query::decode(secret).into_owned()))
}

/// A request to an endpoint of a tenant's.
pub(super) struct Asking<'a> {
    pub(super) context: &'a Context,
    pub(super) now: Duration,
    pub(super) origin: &'a str,
    pub(super) tenant: Uuid,
    /// The tenant as the path names it.
    pub(super) named: &'a str,
    pub(super) form: Form<'a>,
}

impl Asking<'_> {
    /// What an assertion for here may have as its audience: this endpoint as it is documented, or the tenant's issuer as
    /// some of the error texts have it.
    pub(super) fn audiences(&self) -> [String; 4] {
        let (origin, named, tenant) = (self.origin, self.named, self.tenant);
        [
            format!("{origin}/{named}/oauth2/v2.0/token"),
            format!("{origin}/{tenant}/oauth2/v2.0/token"),
            format!("{origin}/{named}/v2.0"),
            format!("{origin}/{tenant}/v2.0"),
        ]
    }
}

/// What a good request leads to.
pub(super) struct Granted {
    pub(super) claims: Claims,
    pub(super) refresh: Option<String>,
}

impl Service {
    /// The metadata of an authority (`OpenID` Connect discovery).
    pub(super) fn discovery(&self, context: &Context, origin: &str, tenant: &str) -> Answer {
        let Some(id) = self.directory(tenant) else {
            return Denial::unknown_tenant(tenant, "invalid_tenant").answer(context);
        };
        let authority = format!("{origin}/{id}");
        let body = json!({
            "issuer": format!("{authority}/v2.0"),
            "token_endpoint": format!("{authority}/oauth2/v2.0/token"),
            "device_authorization_endpoint": format!("{authority}/oauth2/v2.0/devicecode"),
            "authorization_endpoint": format!("{authority}/oauth2/v2.0/authorize"),
            "jwks_uri": format!("{authority}/discovery/v2.0/keys"),
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
            "response_types_supported": ["code"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "cloud_instance_name": "127.0.0.1",
            "msgraph_host": origin.trim_start_matches("http://"),
        });
        Answer::text(200, "application/json; charset=utf-8", body.to_string())
    }

    /// What one of a tenant's endpoints answers to a form.
    pub(super) fn at_entra(
        &mut self,
        (context, now, origin): (&Context, Duration, &str),
        named: &str,
        request: &Request<Bytes>,
        endpoint: fn(&mut Self, &Asking<'_>) -> Result<Answer, Denial>,
    ) -> Answer {
        if *request.method() != Method::POST {
            let denial = Denial::verb(Method::POST.as_str(), request.method().as_str());
            return denial.answer(context).with("allow", Method::POST.as_str());
        }
        let tenant = self.directory(named).ok_or_else(|| Denial::unknown_tenant(named, "invalid_request"));
        let answer =
            tenant.and_then(|tenant| endpoint(self, &Asking { context, now, origin, tenant, named, form: Form::of(request) }));
        answer.unwrap_or_else(|denial| denial.answer(context))
    }

    /// A token, or why not.
    pub(super) fn token(&mut self, asking: &Asking<'_>) -> Result<Answer, Denial> {
        let grant = asking.form.need("grant_type")?;
        let Granted { claims, refresh } = match grant.as_ref() {
            "client_credentials" => self.as_app(asking)?,
            device::GRANT => self.as_person(asking)?,
            "refresh_token" => self.as_before(asking)?,
            _ => {
                let text = format!("The app requested an unsupported grant type '{grant}'.");
                return Err(Denial::new(400, "unsupported_grant_type", 70_003, text));
            }
        };
        self.log.entry(asking.context.ordinal).into_iter().for_each(|entry| entry.app = Some(claims.app));
        let seconds = claims.expires - claims.issued;
        let mut body = json!({
            "token_type": "Bearer",
            "expires_in": seconds,
            "ext_expires_in": seconds,
            "access_token": self.mint.issue(&claims),
        });
        if claims.person.is_some() {
            body["scope"] = claims.roles.join(" ").into();
        }
        if let Some(refresh) = refresh {
            body["refresh_token"] = refresh.into();
        }
        Ok(Answer::text(200, "application/json; charset=utf-8", body.to_string()).with("cache-control", "no-store, no-cache"))
    }

    /// The client-credentials grant.
    fn as_app(&mut self, asking: &Asking<'_>) -> Result<Granted, Denial> {
        let registration = self.registration(asking)?;
        let scope = asking.form.need("scope")?;
        if scope != format!("{}/.default", asking.origin) {
            return Err(Denial::scope(&scope));
        }
        self.prove(asking, &registration)?;
        let roles = if registration.consented { self.behaviour.roles.clone() } else { Vec::new() };
        let claims = self.claims(asking.context, asking.origin, asking.tenant, registration.app);
        Ok(Granted { claims: Claims { roles, ..claims }, refresh: None })
    }

    /// The app that asks, if it may ask here.
    pub(super) fn registration(&self, asking: &Asking<'_>) -> Result<Registration, Denial> {
        let basic = asking.form.basic.as_ref().map(|(id, _)| Cow::Borrowed(id.as_str()));
        let client = asking.form.value("client_id").or(basic).ok_or_else(|| Denial::missing("client_id"))?;
        let unknown = || Denial::unknown_app(&client, asking.tenant);
        let app = Uuid::parse_str(&client).map_err(|_| unknown())?;
        let listed = self.registrations.iter().find(|one| one.app == app);
        let is_known = listed.is_some() || self.behaviour.apps.as_ref().is_none_or(|apps| apps.contains(&app));
        let is_here = listed.and_then(|one| one.tenants.as_ref()).is_none_or(|tenants| tenants.contains(&asking.tenant));
        if !is_known || !is_here {
            return Err(unknown());
        }
        let found = listed.cloned().unwrap_or_else(|| Registration::unlisted(app, &self.secret, &self.certificates));
        if found.disabled {
            let text = format!("Application '{app}'(Simulated) is disabled.");
            return Err(Denial::new(400, "unauthorized_client", 7_000_112, text));
        }
        Ok(found)
    }

    /// Whether the app proves itself, by an assertion or by a secret.
    pub(super) fn prove(&mut self, asking: &Asking<'_>, registration: &Registration) -> Result<(), Denial> {
        if asking.form.value("client_assertion").is_some() {
            return assertion::check(asking, registration, &mut self.notary);
        }
        let basic = asking.form.basic.as_ref().map(|(_, secret)| Cow::Borrowed(secret.as_str()));
        let given = asking.form.value("client_secret").or(basic).ok_or_else(|| {
            let text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
            Denial::client(7_000_218, text)
        })?;
        let app = registration.app;
        match registration.secrets.iter().find(|secret| secret.value == given) {
            Some(secret) if secret.expired => Err(Denial::client(
                7_000_222,
                format!(
                    "The provided client secret keys for app '{app}' are expired. Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: https://aka.ms/certCreds."
                ),
            )),
            Some(_) => Ok(()),
            None => Err(Denial::client(
                7_000_215,
                format!(
                    "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{app}'."
                ),
            )),
        }
    }

    /// A token for an app, with all permissions that there are.
    pub(super) fn claims(&self, context: &Context, origin: &str, tenant: Uuid, app: Uuid) -> Claims {
        let mut dice = Dice::new(self.seed, Topic::Token).nth(context.ordinal);
        let lifetime = dice.within(self.behaviour.token_lifetime).max(Duration::from_secs(1));
        // Rounded up: a token must not end before `expires_in` is over.
        let issued = context.at.as_second() + i64::from(context.at.subsec_nanosecond() > 0);
        Claims {
            tenant,
            app,
            audience: origin.to_owned(),
            roles: self.behaviour.roles.clone(),
            person: None,
            issued,
            expires: issued.saturating_add(i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX)),
            uti: dice.guid(),
        }
    }

    /// A token that nobody asked Entra for, at this origin.
    pub fn spare_token(&mut self, now: Duration, origin: &str, (tenant, app): (Uuid, Uuid)) -> String {
        self.spares += 1;
        let context = Context::new(self.seed, u64::MAX - self.spares, self.start + now, None);
        self.mint.issue(&self.claims(&context, origin, tenant, app))
    }

    /// What Entra answers when it is throttled or broken. For client credentials its 429 is plain text
    /// with `Retry-After: 60` (MSAL documentation, client and server throttling).
    pub(super) fn entra_trouble(&self, kind: &Kind) -> Option<Answer> {
        match kind {
            Kind::Throttle(_) => {
                let seconds = self.behaviour.token_retry_after.as_secs();
                Some(Answer::text(429, "text/plain", "Too Many Requests").with("retry-after", seconds.to_string()))
            }
            Kind::Status { status, .. } => {
                Some(Answer::text(*status, "text/html", "<html><body>Service unavailable</body></html>"))
            }
            Kind::TokenExpired
            | Kind::Claims
            | Kind::None
            | Kind::Slow(_)
            | Kind::Page
            | Kind::Hang
            | Kind::Cut
            | Kind::Canned(_) => None,
        }
    }
}
