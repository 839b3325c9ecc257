//! Keeps one tenant's token: one request for many callers, renewal ahead of time, no request while a wait is on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::entra::{Fresh, Source};
use super::{Bearer, Claims, SignIn, TokenError};

/// A token is renewed when less than this remains, as Microsoft's own library does (`azure_identity`, `cache.rs`: 300 s) ...
const RENEW_AHEAD: Duration = Duration::from_mins(5);
/// ... or less than this part of its life, so that day-long tokens leave hours for an outage to pass ...
const RENEW_PART: u32 = 10;
/// ... but never before this part of its life is over, so that short-lived tokens are not renewed all the time.
const RENEW_NEVER_BEFORE: u32 = 2;
/// Least wait between a request that brought nothing new and the next one: an outage costs a dozen requests a minute, and a blip few seconds.
const RETRY_GAP: Duration = Duration::from_secs(5);
/// A refusal for good is asked about again after this part of what the old token still has: a person may mend it meanwhile.
const REFUSED_PART: u32 = 4;
/// Stands for waits and lives too long for the clock: a hundred years.
const FOR_EVER: Duration = Duration::from_hours(100 * 365 * 24);

type Outcome = Result<Bearer, TokenError>;

/// The token of one tenant. Locks are held for a few instructions only, never over an await.
pub(super) struct Keeper {
    sign_in: SignIn,
    source: Arc<dyn Source>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kept: Option<Kept>,
    /// The request under way. Its channel closes when the task ends, even if it was aborted.
    flight: Option<watch::Receiver<Option<Outcome>>>,
    /// The last failure, and when the next request may be made.
    hold: Option<(TokenError, Instant)>,
    /// The first token: whom the tenant goes by, also when it has ended.
    first: Option<Bearer>,
}

struct Kept {
    bearer: Bearer,
    renew: Instant,
    expires: Instant,
}

enum Step {
    Done(Outcome),
    Wait(watch::Receiver<Option<Outcome>>),
}

impl Keeper {
    pub(super) fn new(sign_in: SignIn, source: Arc<dyn Source>) -> Self {
        Self { sign_in, source, state: Mutex::default() }
    }

    pub(super) fn label(&self) -> &str {
        &self.sign_in.label
    }

    /// The kept token, or the outcome of the one request that all callers share.
    pub(super) async fn token(self: &Arc<Self>) -> Outcome {
        let mut flight = match self.step() {
            Step::Done(outcome) => return outcome,
            Step::Wait(flight) => flight,
        };
        let landed = flight.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        landed.unwrap_or_else(|| {
            let message = format!("{}: the token request was cut off", self.sign_in.label);
            Err(TokenError::Passing { message, after: None })
        })
    }

    /// The first token that ever came, also when it has ended: for questions about who we are, and for no request.
    pub(super) fn first(&self) -> Option<Bearer> {
        self.lock().first.clone()
    }

    /// Whether a token is kept that is still valid.
    pub(super) fn is_ready(&self) -> bool {
        let now = Instant::now();
        self.lock().kept.as_ref().is_some_and(|kept| now < kept.expires)
    }

    /// The kept token, at once; its renewal ahead of time is begun here as well.
    pub(super) fn kept(self: &Arc<Self>) -> Option<Bearer> {
        let (now, mut state) = (Instant::now(), self.lock());
        self.kept_in(&mut state, now)
    }

    fn kept_in(self: &Arc<Self>, state: &mut State, now: Instant) -> Option<Bearer> {
        if state.flight.as_ref().is_some_and(|flight| flight.has_changed().is_err()) {
            state.flight = None;
        }
        if state.hold.as_ref().is_some_and(|(_, until)| *until <= now) {
            state.hold = None;
        }
        if state.kept.as_ref().is_some_and(|kept| kept.expires <= now) {
            state.kept = None;
        }
        let kept = state.kept.as_ref()?;
        let (bearer, due) = (kept.bearer.clone(), kept.renew <= now);
        if due && state.flight.is_none() && state.hold.is_none() {
            state.flight = Some(self.launch(now));
        }
        Some(bearer)
    }

    /// Drops this token if it is still the kept one.
    pub(super) fn refused(&self, bearer: &Bearer) {
        let mut state = self.lock();
        if state.kept.as_ref().is_some_and(|kept| kept.bearer.is(bearer)) {
            state.kept = None;
            // A refusal from long ago is asked about once more, now that it counts.
            state.hold.take_if(|(error, _)| !matches!(error, TokenError::Passing { .. }));
        }
    }

    fn step(self: &Arc<Self>) -> Step {
        let now = Instant::now();
        let mut state = self.lock();
        if let Some(bearer) = self.kept_in(&mut state, now) {
            return Step::Done(Ok(bearer));
        }
        if let Some(flight) = &state.flight {
            return Step::Wait(flight.clone());
        }
        if let Some((error, until)) = &state.hold {
            return Step::Done(Err(error.clone().waiting(until.duration_since(now))));
        }
        let flight = self.launch(now);
        state.flight = Some(flight.clone());
        Step::Wait(flight)
    }

    /// Asks in a task of its own, so that a caller who goes away does not take the request along.
    fn launch(self: &Arc<Self>, now: Instant) -> watch::Receiver<Option<Outcome>> {
        let (landing, flight) = watch::channel(None);
        let keeper = Arc::clone(self);
        tokio::spawn(async move {
            let answer = keeper.source.fresh(&keeper.sign_in).await;
            let mut state = keeper.lock();
            let answer = answer.and_then(|fresh| state.same(fresh, &keeper.sign_in.label));
            let outcome = state.land(answer, now);
            drop(state);
            landing.send_replace(Some(outcome));
        });
        flight
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Who signs in to the Azure CLI meanwhile, or puts another token into the file, does not take a run over.
    fn same(&mut self, fresh: Fresh, label: &str) -> Result<Fresh, TokenError> {
        let first = self.first.get_or_insert_with(|| fresh.bearer.clone()).claims();
        let now = fresh.bearer.claims();
        let differ =
            |a: &Option<String>, b: &Option<String>| a.as_ref().zip(b.as_ref()).is_some_and(|(a, b)| !a.eq_ignore_ascii_case(b));
        if differ(&first.app, &now.app) || differ(&first.object, &now.object) {
            let who = |claims: &Claims| {
                let person = claims.person.as_ref().map(|person| format!(" and {person}")).unwrap_or_default();
                format!("app {}{person}", claims.app.as_deref().unwrap_or("unknown"))
            };
            let message = format!("{label}: the new token is for {}, and the first one was for {}", who(now), who(first));
            return Err(TokenError::Permanent { message });
        }
        // One that shows nothing is nobody's.
        if first.app.is_none() {
            self.first = Some(fresh.bearer.clone());
        }
        Ok(fresh)
    }

    /// Takes in what a request brought. The token's life counts from when it was asked for.
    fn land(&mut self, answer: Result<Fresh, TokenError>, asked: Instant) -> Outcome {
        self.flight = None;
        match answer {
            Ok(Fresh { bearer, life }) => {
                let expires = later(asked, life);
                // The same token again has less life each time, and half of that is ever less of a wait.
                let is_same = self.kept.as_ref().is_some_and(|kept| kept.bearer.expose() == bearer.expose());
                let gap = if is_same { RETRY_GAP } else { Duration::ZERO };
                let renew = later(asked, life.saturating_sub(ahead(life)).max(gap));
                self.kept = Some(Kept { bearer: bearer.clone(), renew, expires });
                self.hold = None;
                Ok(bearer)
            }
            Err(error) => {
                let now = Instant::now();
                let left = self.kept.as_ref().map(|kept| kept.expires.saturating_duration_since(now)).unwrap_or_default();
                let wished = match &error {
                    TokenError::Passing { after, .. } => after.unwrap_or_default(),
                    TokenError::Permanent { .. } => left / REFUSED_PART,
                    TokenError::WrongTenant { .. } | TokenError::OpaqueToken { .. } => {
                        // Who we are has changed: the token from before is not to be trusted either.
                        self.kept = None;
                        Duration::ZERO
                    }
                };
                let wait = wished.max(RETRY_GAP);
                if self.kept.is_some() && !left.is_zero() {
                    let (left, wait) = (left.as_secs(), wait.as_secs());
                    tracing::warn!(
                        "failed to {error}; the token at hand holds for {left} s, and another is asked for in {wait} s"
                    );
                }
                let error = error.waiting(wait);
                self.hold = Some((error.clone(), later(now, wait)));
                Err(error)
            }
        }
    }
}

/// How long before its end a token is renewed.
fn ahead(life: Duration) -> Duration {
    RENEW_AHEAD.max(life / RENEW_PART).min(life / RENEW_NEVER_BEFORE)
}

fn later(start: Instant, wait: Duration) -> Instant {
    start.checked_add(wait).unwrap_or_else(|| start + FOR_EVER)
}

#[cfg(test)]
mod tests;
