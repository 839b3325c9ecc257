//! Keeps one tenant's token: one request for many callers, renewal ahead of time, no request while a wait is on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::entra::{Fresh, Source};
use super::{Bearer, SignIn, TokenError};

/// A token is renewed when less than this remains, as Microsoft's own library does (`azure_identity`, `cache.rs`: 300 s) ...
const RENEW_AHEAD: Duration = Duration::from_mins(5);
/// ... or less than this part of its life, so that day-long tokens leave hours for an outage to pass ...
const RENEW_PART: u32 = 10;
/// ... but never before this part of its life is over, so that short-lived tokens are not renewed all the time.
const RENEW_NEVER_BEFORE: u32 = 2;
/// Least wait between a failed request and the next one: an outage costs a dozen requests a minute, and a blip few seconds.
const RETRY_GAP: Duration = Duration::from_secs(5);
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
            let outcome = keeper.lock().land(answer, now);
            landing.send_replace(Some(outcome));
        });
        flight
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes in what a request brought. The token's life counts from when it was asked for.
    fn land(&mut self, answer: Result<Fresh, TokenError>, asked: Instant) -> Outcome {
        self.flight = None;
        match answer {
            Ok(Fresh { bearer, life }) => {
                let expires = later(asked, life);
                let renew = later(asked, life.saturating_sub(ahead(life)));
                self.kept = Some(Kept { bearer: bearer.clone(), renew, expires });
                self.hold = None;
                Ok(bearer)
            }
            Err(error) => {
                let (wished, passing) = match &error {
                    TokenError::Passing { after, .. } => (after.unwrap_or_default(), true),
                    TokenError::Permanent { .. } | TokenError::WrongTenant { .. } | TokenError::OpaqueToken { .. } => {
                        (Duration::ZERO, false)
                    }
                };
                if !passing {
                    // The tenant said no to this app: a token from before that must not outlive the answer.
                    self.kept = None;
                }
                let wait = wished.max(RETRY_GAP);
                let error = error.waiting(wait);
                self.hold = Some((error.clone(), later(Instant::now(), wait)));
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
mod tests {
    use std::collections::VecDeque;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use tokio::time::advance;

    use super::*;
    use crate::auth::fake;

    /// Answers from a script; with an empty script it never answers.
    #[derive(Default)]
    struct Script {
        lines: Mutex<VecDeque<Result<u64, TokenError>>>,
        asked: AtomicUsize,
    }

    #[async_trait]
    impl Source for Script {
        async fn fresh(&self, _: &SignIn) -> Result<Fresh, TokenError> {
            let n = self.asked.fetch_add(1, Ordering::SeqCst);
            let line = self.lines.lock().unwrap().pop_front();
            match line {
                Some(line) => line.map(|seconds| Fresh { bearer: fake::bearer(n), life: Duration::from_secs(seconds) }),
                None => std::future::pending().await,
            }
        }
    }

    fn keeper(lines: Vec<Result<u64, TokenError>>) -> (Arc<Keeper>, Arc<Script>) {
        let script = Arc::new(Script { lines: Mutex::new(lines.into()), asked: AtomicUsize::new(0) });
        (Arc::new(Keeper::new(fake::sign_in("s3cr3t"), script.clone())), script)
    }

    fn passing(after: Option<u64>) -> TokenError {
        TokenError::Passing { message: "contoso: down".to_owned(), after: after.map(Duration::from_secs) }
    }

    fn permanent() -> TokenError {
        TokenError::Permanent { message: "contoso: no".to_owned() }
    }

    /// Lets the renewal task run; no time passes.
    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    async fn pass(seconds: u64) {
        advance(Duration::from_secs(seconds)).await;
    }

    async fn name(keeper: &Arc<Keeper>) -> String {
        keeper.token().await.unwrap().expose().to_owned()
    }

    #[test]
    fn renewal_starts_minutes_ahead_but_never_in_the_first_half_of_a_life() {
        for (life, wanted) in [(60, 30), (599, 299), (3_600, 360), (1_800, 300), (5_400, 540), (86_400, 8_640)] {
            assert_eq!(ahead(Duration::from_secs(life)).as_secs(), wanted, "{life}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn renewal_ahead_hands_out_the_old_token_until_the_new_one_is_there() {
        let (keeper, script) = keeper(vec![Ok(3_600)]);
        assert_eq!(name(&keeper).await, "token-0");
        pass(3_239).await;
        assert_eq!(name(&keeper).await, "token-0");
        settle().await;
        assert_eq!(script.asked.load(Ordering::SeqCst), 1, "not yet due");
        pass(1).await;
        for _ in 0..50 {
            assert_eq!(name(&keeper).await, "token-0");
            settle().await;
        }
        assert_eq!(script.asked.load(Ordering::SeqCst), 2, "one renewal, still under way");
        pass(359).await;
        assert_eq!(name(&keeper).await, "token-0");
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewed_token_takes_the_old_ones_place() {
        let (keeper, script) = keeper(vec![Ok(60), Ok(60)]);
        assert_eq!(name(&keeper).await, "token-0");
        pass(30).await;
        assert_eq!(name(&keeper).await, "token-0");
        settle().await;
        for _ in 0..29 {
            assert_eq!(name(&keeper).await, "token-1");
            pass(1).await;
        }
        assert_eq!(script.asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_renewal_keeps_the_old_token_until_it_expires_and_does_not_storm() {
        let (keeper, script) = keeper(std::iter::once(Ok(600)).chain((0..100).map(|_| Err(passing(None)))).collect());
        assert_eq!(name(&keeper).await, "token-0");
        for _ in 0..599 {
            pass(1).await;
            assert_eq!(name(&keeper).await, "token-0");
            settle().await;
        }
        assert_eq!(script.asked.load(Ordering::SeqCst), 1 + 60, "every 5 s of the last 300 s");
        pass(1).await;
        let error = keeper.token().await.unwrap_err();
        assert!(matches!(error, TokenError::Passing { after: Some(_), .. }), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_for_good_ends_the_old_token_too() {
        let (keeper, _) = keeper(vec![Ok(600), Err(permanent())]);
        keeper.token().await.unwrap();
        pass(300).await;
        keeper.token().await.unwrap();
        settle().await;
        assert_eq!(keeper.token().await.unwrap_err(), permanent());
    }

    #[tokio::test(start_paused = true)]
    async fn no_request_is_made_before_the_wait_is_over_even_if_the_token_was_refused() {
        let (keeper, script) = keeper(vec![Ok(600), Err(passing(Some(60))), Ok(600)]);
        let old = keeper.token().await.unwrap();
        pass(300).await;
        keeper.token().await.unwrap();
        settle().await;
        keeper.refused(&old);
        pass(59).await;
        assert_eq!(keeper.token().await.unwrap_err(), passing(Some(1)));
        assert_eq!(script.asked.load(Ordering::SeqCst), 2);
        pass(1).await;
        assert_eq!(name(&keeper).await, "token-2");
    }

    #[tokio::test(start_paused = true)]
    async fn refusing_an_old_token_does_not_drop_a_newer_one() {
        let (keeper, script) = keeper(vec![Ok(600), Ok(600)]);
        let old = keeper.token().await.unwrap();
        keeper.refused(&old);
        assert_eq!(name(&keeper).await, "token-1");
        keeper.refused(&old);
        assert_eq!(name(&keeper).await, "token-1");
        assert_eq!(script.asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_goes_away_does_not_take_the_request_along() {
        let (keeper, script) = keeper(vec![Ok(600)]);
        let first = keeper.token();
        assert!(tokio::time::timeout(Duration::ZERO, first).await.is_err());
        assert_eq!(name(&keeper).await, "token-0");
        assert_eq!(script.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn waits_and_lives_longer_than_the_clock_are_no_trouble() {
        let (keeper, script) = keeper(vec![Err(passing(Some(u64::MAX)))]);
        keeper.token().await.unwrap_err();
        pass(1_000_000).await;
        keeper.token().await.unwrap_err();
        assert_eq!(script.asked.load(Ordering::SeqCst), 1);
        assert!(later(Instant::now(), Duration::MAX) > Instant::now());
    }
}
