//! The keeper against scripted answers and a clock that the tests turn.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::time::advance;

use super::*;
use crate::auth::{Method, fake};

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
async fn a_refusal_for_good_leaves_the_old_token_its_life_and_is_asked_about_ever_more_often() {
    let (keeper, script) = keeper(std::iter::once(Ok(600)).chain((0..100).map(|_| Err(permanent()))).collect());
    keeper.token().await.unwrap();
    for _ in 0..599 {
        pass(1).await;
        assert_eq!(name(&keeper).await, "token-0");
        settle().await;
    }
    assert_eq!(script.asked.load(Ordering::SeqCst), 1 + 13, "in 300 s");
    pass(6).await;
    assert_eq!(keeper.token().await.unwrap_err(), permanent());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_good_does_not_outlive_a_401() {
    let (keeper, _) = keeper(vec![Ok(600), Err(permanent()), Ok(600)]);
    let old = keeper.token().await.unwrap();
    pass(300).await;
    keeper.token().await.unwrap();
    settle().await;
    keeper.refused(&old);
    assert_eq!(name(&keeper).await, "token-2", "the secret was mended meanwhile");
}

#[tokio::test(start_paused = true)]
async fn a_token_of_another_tenant_ends_the_old_one_at_once() {
    let found = "11111111-ab13-4fae-a276-55daa05f1119".parse().unwrap();
    let wrong = TokenError::WrongTenant { expected: fake::tenant(), found, method: Method::AzureCli };
    let (keeper, _) = keeper(vec![Ok(600), Err(wrong.clone())]);
    keeper.token().await.unwrap();
    pass(300).await;
    keeper.token().await.unwrap();
    settle().await;
    assert_eq!(keeper.token().await.unwrap_err(), wrong);
}

#[tokio::test(start_paused = true)]
async fn twenty_lifetimes_never_leave_a_caller_without_a_valid_token() {
    let cases = [(3_600, None), (4_500, Some(passing(None))), (5_400, Some(passing(Some(60)))), (60, Some(passing(None)))];
    for (life, blip) in cases {
        let line = || blip.clone().map(Err).into_iter().chain([Ok(life)]);
        let (keeper, script) = keeper(std::iter::once(Ok(life)).chain((0..60).flat_map(|_| line())).collect());
        let (mut held, mut since, mut tokens) = (String::new(), 0, 0);
        for now in (0..life * 20).step_by(usize::try_from(life / 60).unwrap()) {
            let token = name(&keeper).await;
            settle().await;
            if token != held {
                (held, since, tokens) = (token, now, tokens + 1);
            }
            assert!(now - since < life, "{life}: {held} is handed out beyond its life at {now} s");
            pass(life / 60).await;
        }
        assert!(tokens >= 20 && script.asked.load(Ordering::SeqCst) <= 2 * tokens + 1, "{life}: {tokens} tokens");
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_token_again_is_not_asked_for_ever_more_often() {
    let (mut state, mut asked, mut count) = (State::default(), Instant::now(), 0);
    let (end, bearer) = (asked + Duration::from_mins(10), fake::bearer(0));
    while asked < end {
        state.land(Ok(Fresh { bearer: bearer.clone(), life: end - asked }), asked).unwrap();
        (asked, count) = (state.kept.as_ref().unwrap().renew, count + 1);
        assert!(count <= 10, "{:?} before the end", end - asked);
    }
}

#[test]
fn a_new_token_for_another_app_is_not_taken() {
    let of = |app: &str| {
        let claims = Claims { app: Some(app.to_owned()), ..Claims::default() };
        Fresh { bearer: Bearer::new("token".into(), Method::AzureCli, claims), life: Duration::from_mins(1) }
    };
    let mut state = State::default();
    assert!(state.same(Fresh { bearer: fake::bearer(0), life: Duration::from_mins(1) }, "contoso").is_ok(), "opaque");
    assert!(["ours", "OURS"].iter().all(|app| state.same(of(app), "contoso").is_ok()));
    let error = state.same(of("theirs"), "contoso").unwrap_err().to_string();
    assert_eq!(error, "sign in to contoso: the new token is for app theirs, and the first one was for app ours");
}
