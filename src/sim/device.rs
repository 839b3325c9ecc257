//! People at the simulated Entra: the device code that they type in, and the refresh tokens that keep them signed in
//! (Microsoft's device-code page of 2024-01 and error list; `slow_down` is of RFC 8628 alone).

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::answer::Answer;
use super::denial::{Denial, written};
use super::dice::{Dice, Topic};
use super::entra::{Asking, Granted};
use super::service::Service;
use super::token::Claims;

/// The grant of a device code.
pub(super) const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// By how much a client that polls too fast must slow down (RFC 8628, 3.5).
const SLOWER: Duration = Duration::from_secs(5);

/// A person, and how Entra treats them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Their name (`upn`).
    pub name: String,
    /// How long a device code can be used (documented: 15 minutes).
    pub code_lifetime: Duration,
    /// The least time between two polls, in whole seconds (seen: 5).
    pub interval: Duration,
    /// Whether a client that polls faster is told so; Microsoft's list of errors does not have it.
    pub slow_down: bool,
    /// After how many polls they approve by themselves; `None` is never, a test decides.
    pub approves_after: Option<u32>,
    /// How long a refresh token lives (documented: 90 days).
    pub refresh_lifetime: Duration,
    /// Whether a refresh token still works when it has been exchanged for a newer one (documented: it does).
    pub old_refresh_works: bool,
}

impl Default for Person {
    /// Everything as documented; nobody approves.
    fn default() -> Self {
        Self {
            name: "adele@simulated.example".to_owned(),
            code_lifetime: Duration::from_mins(15),
            interval: Duration::from_secs(5),
            slow_down: true,
            approves_after: None,
            refresh_lifetime: Duration::from_hours(90 * 24),
            old_refresh_works: true,
        }
    }
}

/// What was asked for, and by whom.
#[derive(Clone, Debug)]
struct Wish {
    tenant: Uuid,
    app: Uuid,
    permissions: Vec<String>,
    /// Whether a refresh token is wanted.
    offline: bool,
    at: Duration,
}

impl Wish {
    fn is_of(&self, tenant: Uuid, app: Uuid) -> bool {
        (self.tenant, self.app) == (tenant, app)
    }
}

/// A device that waits.
#[derive(Debug)]
struct Device {
    wish: Wish,
    user_code: String,
    interval: Duration,
    polled: Option<Duration>,
    polls: u32,
    approved: Option<bool>,
}

/// A refresh token's story.
#[derive(Debug)]
struct Session {
    wish: Wish,
    exchanged: bool,
    revoked: Option<Duration>,
}

/// Everybody who signs in or has done so.
#[derive(Debug, Default)]
pub(super) struct People {
    devices: BTreeMap<String, Device>,
    sessions: BTreeMap<String, Session>,
}

impl People {
    /// The codes that wait for a person.
    pub(super) fn user_codes(&self) -> Vec<String> {
        self.devices.values().filter(|device| device.approved.is_none()).map(|device| device.user_code.clone()).collect()
    }

    /// What the person answers. False if no device waits with this code.
    pub(super) fn decide(&mut self, user_code: &str, approved: bool) -> bool {
        let mut waiting = self.devices.values_mut().filter(|device| device.approved.is_none());
        let found = waiting.find(|device| device.user_code == user_code);
        found.map(|device| device.approved = Some(approved)).is_some()
    }

    /// Revokes every refresh token that there is.
    pub(super) fn sign_out(&mut self, now: Duration) {
        self.sessions.values_mut().for_each(|session| session.revoked = Some(now));
    }
}

impl Service {
    /// A device code.
    pub(super) fn device_code(&mut self, asking: &Asking<'_>) -> Result<Answer, Denial> {
        let registration = self.registration(asking)?;
        let wish = self.wish(asking, registration.app, &asking.form.need("scope")?)?;
        let mut dice = Dice::new(self.seed, Topic::Device).nth(asking.context.ordinal);
        let (code, person) = (format!("D{}", dice.guid().simple()), &self.behaviour.person);
        let letters: Vec<char> = ('A'..='Z').collect();
        let user_code: String = (0..9).map(|_| dice.pick(&letters, 'A')).collect();
        let page = format!("{}/devicelogin", asking.origin);
        let body = json!({
            "user_code": user_code,
            "device_code": code,
            "verification_uri": page,
            "expires_in": person.code_lifetime.as_secs(),
            "interval": person.interval.as_secs(),
            "message": format!("To sign in, use a web browser to open the page {page} and enter the code {user_code} to authenticate."),
        });
        let device = Device { wish, user_code, interval: person.interval, polled: None, polls: 0, approved: None };
        self.people.devices.insert(code, device);
        Ok(Answer::text(200, "application/json; charset=utf-8", body.to_string()))
    }

    /// The grant of a device code: one poll.
    pub(super) fn as_person(&mut self, asking: &Asking<'_>) -> Result<Granted, Denial> {
        let registration = self.registration(asking)?;
        let code = asking.form.need("device_code")?.into_owned();
        if !registration.public {
            self.prove(asking, &registration)?;
        }
        let person = &self.behaviour.person;
        let known = self.people.devices.get_mut(&code).filter(|device| device.wish.is_of(asking.tenant, registration.app));
        let Some(device) = known else {
            let text = "Invalid verification code due to User typing in wrong user code for device code flow.";
            return Err(Denial::new(400, "bad_verification_code", 70_018, text));
        };
        if asking.now >= device.wish.at.saturating_add(person.code_lifetime) {
            let text = "The provided value for the input parameter 'device_code' is not valid. This device code has expired.";
            return Err(Denial::new(400, "expired_token", 70_020, text));
        }
        let is_early = device.polled.is_some_and(|last| asking.now < last.saturating_add(device.interval));
        device.polled = Some(asking.now);
        if is_early && person.slow_down {
            device.interval = device.interval.saturating_add(SLOWER);
            return Err(Denial::unnumbered("slow_down", "The client polls too fast."));
        }
        device.polls = device.polls.saturating_add(1);
        let by_itself = person.approves_after.is_some_and(|polls| device.polls > polls).then_some(true);
        match device.approved.or(by_itself) {
            Some(true) => {}
            Some(false) => {
                let text = "The end user denied the authorization request.";
                return Err(Denial::unnumbered("authorization_declined", text));
            }
            None => {
                let text = "OAuth 2.0 device flow error. Authorization is pending. Continue polling.";
                return Err(Denial::new(400, "authorization_pending", 70_016, text));
            }
        }
        let wish = device.wish.clone();
        self.people.devices.remove(&code);
        if registration.consented { Ok(self.welcome(asking, wish)) } else { Err(Denial::consent(registration.app)) }
    }

    /// The grant of a refresh token.
    pub(super) fn as_before(&mut self, asking: &Asking<'_>) -> Result<Granted, Denial> {
        let registration = self.registration(asking)?;
        let token = asking.form.need("refresh_token")?;
        if !registration.public {
            self.prove(asking, &registration)?;
        }
        let asked = asking.form.value("scope").map(|scope| self.wish(asking, registration.app, &scope)).transpose()?;
        let (person, start) = (&self.behaviour.person, self.start);
        let written = |at: Duration| written(start + at);
        let known = self.people.sessions.get_mut(token.as_ref());
        let Some(session) = known.filter(|session| session.wish.is_of(asking.tenant, registration.app)) else {
            return Err(Denial::grant(70_000, "Authentication failed. The refresh token isn't valid."));
        };
        let issued = session.wish.at;
        if let Some(revoked) = session.revoked {
            return Err(Denial::grant(
                50_173,
                format!(
                    "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have changed or reset their password. The grant was issued on '{}' and the TokensValidFrom date (before which tokens are not valid) for this user is '{}'.",
                    written(issued),
                    written(revoked)
                ),
            ));
        }
        if asking.now >= issued.saturating_add(person.refresh_lifetime) {
            return Err(Denial::grant(
                700_082,
                format!(
                    "The refresh token has expired due to inactivity. The token was issued on {} and was inactive for {}.",
                    written(issued),
                    spell(person.refresh_lifetime)
                ),
            ));
        }
        if session.exchanged && !person.old_refresh_works {
            return Err(Denial::grant(70_000, "Authentication failed. The refresh token isn't valid."));
        }
        session.exchanged = true;
        let before = Wish { at: asking.now, ..session.wish.clone() };
        if registration.consented {
            Ok(self.welcome(asking, asked.unwrap_or(before)))
        } else {
            Err(Denial::consent(registration.app))
        }
    }

    /// A token for the person, and a refresh token where one is wanted.
    fn welcome(&mut self, asking: &Asking<'_>, wish: Wish) -> Granted {
        let claims = self.claims(asking.context, asking.origin, wish.tenant, wish.app);
        let claims = Claims { roles: wish.permissions.clone(), person: Some(self.behaviour.person.name.clone()), ..claims };
        let refresh = wish.offline.then(|| {
            let token = format!("1.R{}", Dice::new(self.seed, Topic::Device).nth(asking.context.ordinal).guid().simple());
            let session = Session { wish: Wish { at: asking.now, ..wish }, exchanged: false, revoked: None };
            self.people.sessions.insert(token.clone(), session);
            token
        });
        Granted { claims, refresh }
    }

    /// What a list of scopes asks for: `.default` is all that was consented to.
    fn wish(&self, asking: &Asking<'_>, app: Uuid, scopes: &str) -> Result<Wish, Denial> {
        let (mut permissions, mut offline) = (Vec::new(), false);
        for scope in scopes.split_whitespace() {
            let ours = scope.strip_prefix(asking.origin).and_then(|rest| rest.strip_prefix('/'));
            match ours.unwrap_or(scope) {
                "offline_access" => offline = true,
                "openid" | "profile" | "email" => {}
                ".default" if ours.is_some() => permissions.clone_from(&self.behaviour.roles),
                name if self.behaviour.roles.iter().any(|role| role == name) => permissions.push(name.to_owned()),
                name if name.contains([':', '/']) || name.starts_with('.') => return Err(Denial::scope(scope)),
                _ => return Err(Denial::consent(app)),
            }
        }
        if permissions.is_empty() {
            Err(Denial::scope(scopes))
        } else {
            Ok(Wish { tenant: asking.tenant, app, permissions, offline, at: asking.now })
        }
    }
}

/// A duration as Entra writes it into its texts.
fn spell(duration: Duration) -> String {
    let seconds = duration.as_secs();
    format!("{}.{:02}:{:02}:{:02}", seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60)
}
