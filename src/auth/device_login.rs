//! Sign-in by a person: the code that is entered in a browser, and the wait for that.
//!
//! Sources: <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-device-code> and RFC 8628.

use std::path::Path;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::answer::{Answer, Fault};
use super::device::{error, offline, post, purpose, renewal};
use super::entra::{Entra, accept, failed, seconds, shapes, token_in};
use super::found::Memory;
use super::login_file::{KeepError, Kept};
use super::{Authority, Bearer, Method, SignIn, TokenError, Wires};
use crate::clock::{Clock, Moment};

/// How long a code holds if the service does not say (Microsoft: 15 minutes).
const CODE_LIFE: Duration = Duration::from_mins(15);
/// Between two questions if the service does not say, and what `slow_down` adds for good (RFC 8628, sections 3.2 and 3.5).
const INTERVAL: Duration = Duration::from_secs(5);
/// No service means more often than this.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);

/// A sign-in that waits for a person. It has no `Debug`: its code is a secret.
pub struct DeviceLogin {
    entra: Entra,
    sign_in: SignIn,
    code: Code,
}

/// What the service gave to wait with.
struct Code {
    /// What only we know of it: the `device_code`.
    secret: SecretString,
    message: String,
    life: Duration,
    interval: Duration,
}

/// A person has signed in. It has no `Debug` either.
pub struct SignedIn {
    bearer: Bearer,
    kept: Kept,
}

/// What the service says to the question whether the person is done.
enum Heard<T> {
    Granted(T),
    Pending,
    SlowDown,
    /// It did not say: why, and how long it wants to be left alone.
    Nothing(String, Option<Duration>),
    Over(String),
}

impl DeviceLogin {
    /// Asks for a code. `scope` is `{graph root}/.default`; the credential of the sign-in is not used.
    pub async fn begin(
        wires: Wires,
        authority: Authority,
        scope: String,
        sign_in: SignIn,
        clock: Clock,
    ) -> Result<Self, TokenError> {
        let entra = Entra { wires, authority, scope, clock, memory: Memory::default() };
        let pairs = [("client_id", sign_in.client_id.as_str()), ("scope", &offline(&entra))];
        let code = post(&entra, &sign_in, "devicecode", &pairs).await.and_then(|answer| match answer.fault(&[]) {
            Some(fault) => Err(fault),
            None => Code::read(&answer.json()).ok_or_else(|| answer.useless("a device code")),
        });
        let code = code.map_err(|fault| failed(&sign_in, fault))?;
        Ok(Self { entra, sign_in, code })
    }

    /// What the person must do, in the service's words: where to go, and the code to enter there.
    pub fn message(&self) -> &str {
        &self.code.message
    }

    /// How long the code holds.
    pub const fn life(&self) -> Duration {
        self.code.life
    }

    /// Waits for the person. May be dropped at any time: then nothing was kept.
    pub async fn finish(self) -> Result<SignedIn, TokenError> {
        let Code { life, interval, .. } = self.code;
        let heard = wait(self.entra.clock, life, interval, || self.ask()).await;
        self.granted(&heard.map_err(|fault| failed(&self.sign_in, fault))?)
    }

    fn granted(&self, answer: &Answer) -> Result<SignedIn, TokenError> {
        let Self { entra, sign_in, .. } = self;
        let (token, _) = token_in(answer).map_err(|fault| failed(sign_in, fault))?;
        let bearer = accept(sign_in, Method::DeviceCode, token)?;
        let Some(refresh_token) = renewal(answer) else {
            let why = "no refresh token came, so runs could not go on without the person; the app must get offline_access";
            return Err(failed(sign_in, Fault::Permanent(why.to_owned())));
        };
        let person = bearer.claims().person.clone();
        let kept = Kept::new(purpose(entra, sign_in), person, refresh_token, entra.clock.wall());
        Ok(SignedIn { bearer, kept })
    }

    async fn ask(&self) -> Heard<Answer> {
        let device_code = self.code.secret.expose_secret();
        let pairs = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("client_id", &self.sign_in.client_id),
            ("device_code", device_code),
        ];
        let answer = match post(&self.entra, &self.sign_in, "token", &pairs).await {
            Ok(answer) => answer,
            Err(Fault::Passing(message, after)) => return Heard::Nothing(message, after),
            Err(Fault::Permanent(message)) => return Heard::Over(message),
        };
        let Some(fault) = answer.fault(&shapes(device_code)) else { return Heard::Granted(answer) };
        match (error(&answer).as_str(), fault) {
            ("authorization_pending", _) => Heard::Pending,
            ("slow_down", _) => Heard::SlowDown,
            ("authorization_declined" | "access_denied", _) => Heard::Over("the sign-in was declined in the browser".to_owned()),
            ("expired_token", _) => Heard::Over(expired(None)),
            (_, Fault::Passing(message, after)) => Heard::Nothing(message, after),
            (_, Fault::Permanent(message)) => Heard::Over(message),
        }
    }
}

/// Asks until the service has said yes or no, at the pace it wants, and not much longer than the code holds.
async fn wait<T>(clock: Clock, life: Duration, mut interval: Duration, ask: impl AsyncFn() -> Heard<T>) -> Result<T, Fault> {
    let ends: Moment = clock.now().saturating_add(life);
    let mut pause = interval;
    loop {
        tokio::time::sleep(pause).await;
        pause = interval;
        let mut trouble = None;
        match ask().await {
            Heard::Granted(answer) => return Ok(answer),
            Heard::Over(message) => return Err(Fault::Permanent(message)),
            Heard::Pending => {}
            Heard::SlowDown => {
                interval = interval.saturating_add(INTERVAL);
                pause = interval;
            }
            Heard::Nothing(message, after) => {
                // Whoever is too slow to answer must be asked less often as well (RFC 8628, section 3.5).
                interval = interval.saturating_add(if after.is_none() { INTERVAL } else { Duration::ZERO });
                pause = after.unwrap_or_default().max(interval);
                trouble = Some(message);
            }
        }
        // The last question comes after the end, so that a person may use the whole time.
        if clock.now() >= ends || clock.now().saturating_add(pause) > ends.saturating_add(interval) {
            return Err(Fault::Permanent(expired(trouble.as_deref())));
        }
    }
}

fn expired(trouble: Option<&str>) -> String {
    let trouble = trouble.map(|trouble| format!(" ({trouble})")).unwrap_or_default();
    format!("the code was not used in time{trouble}: begin again")
}

impl Code {
    fn read(body: &Value) -> Option<Self> {
        let text = |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let own = || Some(format!("To sign in, open {} and enter the code {}", text("verification_uri")?, text("user_code")?));
        let span = |name: &str| body.get(name).and_then(seconds);
        let life = span("expires_in").unwrap_or(CODE_LIFE);
        Some(Self {
            secret: text("device_code")?.into(),
            message: text("message").map(str::to_owned).or_else(own)?,
            life,
            // The first question must come before the code has ended.
            interval: span("interval").unwrap_or(INTERVAL).min(life / 2).max(LEAST_INTERVAL),
        })
    }
}

impl SignedIn {
    /// The first token.
    pub const fn bearer(&self) -> &Bearer {
        &self.bearer
    }

    /// Keeps the sign-in for later runs, in place of an earlier one.
    pub fn keep(&self, file: &Path) -> Result<(), KeepError> {
        self.kept.save(file)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;

    use super::*;
    use crate::auth::Credential;
    use crate::auth::fake::{self, Fake, granted, reply};

    const SCOPE: &str = "https://graph.microsoft.com/.default";
    const OTHER: &str = "11111111-ab13-4fae-a276-55daa05f1119";

    /// Waits with these answers; tells how it ended, and the second of each question.
    async fn waited(life: u64, script: Vec<Heard<()>>) -> (Result<(), Fault>, Vec<u64>) {
        let (script, clock, asked) = (RefCell::new(VecDeque::from(script)), Clock::system(), RefCell::new(Vec::new()));
        let ask = async || {
            asked.borrow_mut().push(clock.now().as_secs());
            script.borrow_mut().pop_front().unwrap_or(Heard::Pending)
        };
        let ended = wait(clock, Duration::from_secs(life), INTERVAL, ask).await;
        (ended, asked.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn the_service_is_asked_at_its_own_pace() {
        let nothing = |seconds: Option<u64>| Heard::Nothing("down".to_owned(), seconds.map(Duration::from_secs));
        let script = vec![
            Heard::Pending,
            Heard::SlowDown,
            Heard::Pending,
            nothing(None),
            nothing(Some(60)),
            nothing(Some(1)),
            Heard::SlowDown,
            Heard::Granted(()),
        ];
        let (ended, asked) = waited(900, script).await;
        assert_eq!((ended, asked), (Ok(()), vec![5, 10, 20, 30, 45, 105, 120, 140]));
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_ends_with_the_code_and_says_what_was_in_the_way() {
        let (ended, asked) = waited(12, Vec::new()).await;
        assert_eq!((ended, asked), (Err(Fault::Permanent(expired(None))), vec![5, 10, 15]));
        let (ended, asked) = waited(12, vec![Heard::Nothing("down".to_owned(), Some(Duration::MAX))]).await;
        assert_eq!(ended, Err(Fault::Permanent("the code was not used in time (down): begin again".to_owned())));
        assert_eq!(asked, [5]);
        let (ended, asked) = waited(u64::MAX, vec![Heard::Pending, Heard::Over("no".to_owned())]).await;
        assert_eq!((ended, asked), (Err(Fault::Permanent("no".to_owned())), vec![5, 10]));
    }

    fn code(more: &str) -> String {
        reply(
            200,
            "",
            &format!(r#"{{"device_code":"d3vice","user_code":"AB12","verification_uri":"https://login.example/go"{more}}}"#),
        )
    }

    async fn begin(fake: &Fake) -> Result<DeviceLogin, TokenError> {
        let sign_in = SignIn { credential: Credential::DeviceCode("nowhere".into()), ..fake::sign_in("") };
        DeviceLogin::begin(fake::wires(), fake.authority(), SCOPE.to_owned(), sign_in, Clock::system()).await
    }

    #[tokio::test]
    async fn both_requests_are_the_documented_ones_and_what_the_service_leaves_out_has_a_default() {
        let answers = [
            code(r#","message":"Go there","expires_in":"60","interval":0"#),
            granted(fake::TENANT, ""),
            code(""),
            code(r#","expires_in":60,"interval":86400"#),
        ];
        let fake = Fake::start(move |n, _| answers[n].clone()).await;
        let login = begin(&fake).await.unwrap();
        assert_eq!((login.message(), login.life().as_secs(), login.code.interval), ("Go there", 60, LEAST_INTERVAL));
        let begun = fake.request(0);
        assert!(begun.starts_with(&format!("POST /{}/oauth2/v2.0/devicecode HTTP/1.1", fake::TENANT)), "{begun}");
        let scope = "https%3A%2F%2Fgraph.microsoft.com%2F.default+offline_access";
        assert!(begun.ends_with(&format!("\r\n\r\nclient_id=the-app&scope={scope}")), "{begun}");
        login.ask().await;
        let asked = fake.request(1);
        assert!(asked.starts_with(&format!("POST /{}/oauth2/v2.0/token HTTP/1.1", fake::TENANT)), "{asked}");
        let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&client_id=the-app&device_code=d3vice";
        assert!(asked.ends_with(grant), "{asked}");
        let bare = begin(&fake).await.unwrap();
        assert_eq!(bare.message(), "To sign in, open https://login.example/go and enter the code AB12");
        assert_eq!((bare.life(), bare.code.interval), (CODE_LIFE, INTERVAL));
        let slow = begin(&fake).await.unwrap();
        assert_eq!(slow.code.interval, Duration::from_secs(30), "half the life of the code");
    }

    #[tokio::test]
    async fn what_the_service_says_while_it_waits_is_told_apart() {
        let answers = [
            (400, "", r#"{"error":"authorization_pending","error_description":"AADSTS70016: Not yet."}"#, "pending"),
            (400, "", r#"{"error":"slow_down"}"#, "slow"),
            (400, "", r#"{"error":"authorization_declined"}"#, "over: the sign-in was declined in the browser"),
            (400, "", r#"{"error":"access_denied"}"#, "over: the sign-in was declined in the browser"),
            (400, "", r#"{"error":"expired_token"}"#, "over: the code was not used in time: begin again"),
            (
                400,
                "",
                r#"{"error":"bad_verification_code","error_description":"d3vice"}"#,
                "over: the sign-in service answered 400: bad_verification_code: [redacted]",
            ),
            (
                401,
                "",
                r#"{"error":"invalid_client","error_codes":[7000219]}"#,
                "over: the sign-in service answered 401: invalid_client, AADSTS7000219",
            ),
            (
                429,
                "Retry-After: 60\r\n",
                "Too Many Requests",
                "nothing: the sign-in service answered 429: too many requests, 60 s",
            ),
            (503, "", "<html>", "nothing: the sign-in service answered 503: service unavailable, 0 s"),
        ];
        let fake = Fake::start(move |n, _| {
            n.checked_sub(1).map_or_else(|| code(""), |n| reply(answers[n].0, answers[n].1, answers[n].2))
        })
        .await;
        let login = begin(&fake).await.unwrap();
        for (.., wanted) in answers {
            let heard = match login.ask().await {
                Heard::Granted(_) => "granted".to_owned(),
                Heard::Pending => "pending".to_owned(),
                Heard::SlowDown => "slow".to_owned(),
                Heard::Nothing(why, after) => format!("nothing: {why}, {} s", after.unwrap_or_default().as_secs()),
                Heard::Over(why) => format!("over: {why}"),
            };
            assert_eq!(heard, wanted);
        }
    }

    #[tokio::test]
    async fn a_sign_in_is_kept_only_if_it_is_the_tenants_and_can_be_renewed() {
        let answers = [
            code(""),
            granted(OTHER, r#","refresh_token":"r3fresh""#),
            granted(fake::TENANT, ""),
            granted(fake::TENANT, r#","refresh_token":"r3fresh""#),
        ];
        let fake = Fake::start(move |n, _| answers[n].clone()).await;
        let login = begin(&fake).await.unwrap();
        let mut ended = Vec::new();
        for _ in 0..3 {
            let Heard::Granted(answer) = login.ask().await else { unreachable!() };
            ended.push(login.granted(&answer));
        }
        assert!(matches!(ended[0], Err(TokenError::WrongTenant { .. })));
        assert!(matches!(&ended[1], Err(TokenError::Permanent { message }) if message.contains("offline_access")));
        let claims = ended[2].as_ref().unwrap().bearer().claims();
        assert_eq!(
            (claims.person.as_deref(), claims.permissions.as_slice()),
            (Some("ann@contoso.com"), &["A.Read".to_owned()][..])
        );
    }
}
