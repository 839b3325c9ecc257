//! The transition function, by example and by chance.

use proptest::prelude::*;

use super::*;
use crate::model::{Expiry, Seen};

fn reply(then: Then) -> What {
    What::Reply(Box::new(Reply {
        reached: Reached::Answered,
        sent_at: Stamp(5),
        elapsed_ms: 1,
        http_status: Some(204),
        error_code: None,
        message: None,
        request_id: None,
        approval_code: None,
        then,
    }))
}

fn settled() -> Then {
    Then::Settled { status: Status::Accepted, reason: String::new() }
}

fn event(what: What) -> Event {
    Event { item: None, at: Stamp(9), what }
}

#[test]
fn a_throttled_item_keeps_its_attempts() {
    let mut progress = Progress::default();
    for then in [Then::Throttled, Then::Again, settled()] {
        progress.apply(&event(What::Intent { client_request_id: Uuid::nil() })).unwrap();
        progress.apply(&event(reply(then))).unwrap();
    }
    assert_eq!((progress.attempts, progress.throttled, progress.status()), (2, 1, Status::Accepted));
    assert_eq!((progress.sent_at, progress.finished_at), (Some(Stamp(5)), Some(Stamp(9))));
}

#[test]
fn an_intent_without_a_reply_is_unknown_and_cannot_be_sent_again() {
    let mut progress = Progress::default();
    progress.apply(&event(What::Intent { client_request_id: Uuid::nil() })).unwrap();
    assert_eq!((progress.status(), progress.requests()), (Status::Unknown, 1));
    assert_eq!(progress.first_sent_at(), Some(Stamp(9)));
    assert!(progress.apply(&event(What::Intent { client_request_id: Uuid::nil() })).is_err());
}

fn look(then: AfterLook) -> What {
    let seen = Seen::Android { expiry: Expiry::Never, created: None };
    What::Looked(Box::new(Look { reading: Some(Snapshot { date: None, name: Some("n".to_owned()), seen, about: None }), then }))
}

#[test]
fn an_intent_of_a_dead_process_is_an_attempt_once_its_object_is_read() {
    let mut progress = Progress::default();
    progress.apply(&event(What::Intent { client_request_id: Uuid::nil() })).unwrap();
    progress.apply(&event(look(AfterLook::Again))).unwrap();
    assert_eq!((progress.phase, progress.attempts, progress.sent_at), (Phase::InDoubt, 1, Some(Stamp(9))));
    progress.apply(&event(look(AfterLook::Untouched))).unwrap();
    assert_eq!((progress.status(), progress.requests(), progress.doubted), (Status::NotAttempted, 1, true));
}

#[test]
fn what_the_service_said_yes_to_is_never_sent_again() {
    let mut progress = Progress::default();
    progress.apply(&event(What::Intent { client_request_id: Uuid::nil() })).unwrap();
    progress.apply(&event(reply(Then::Confirm))).unwrap();
    assert_eq!(progress.status(), Status::Unconfirmed);
    for what in [What::Intent { client_request_id: Uuid::nil() }, look(AfterLook::Untouched), look(AfterLook::Pin)] {
        assert!(progress.apply(&event(what)).is_err());
    }
    progress.apply(&event(look(AfterLook::Settled(Outcome::new(Status::Revoked, ""))))).unwrap();
    assert!(progress.is_final());
}

#[test]
fn reading_back_that_is_over_twice_is_over() {
    let mut progress = Progress::default();
    progress.apply(&event(look(AfterLook::Follow))).unwrap();
    for exhausted in [false, true] {
        progress.apply(&event(What::Settled { status: Status::Unconfirmed, reason: "x".into() })).unwrap();
        assert_eq!((progress.exhausted, progress.is_final()), (exhausted, false));
    }
}

fn any_status() -> impl Strategy<Value = Status> {
    prop::sample::select(Status::ALL.to_vec())
}

fn any_what() -> impl Strategy<Value = What> {
    prop_oneof![
        3 => Just(What::Intent { client_request_id: Uuid::nil() }),
        1 => Just(What::Released),
        4 => prop::sample::select(vec![Then::Again, Then::SignIn, Then::Throttled, Then::Justify]).prop_map(reply),
        2 => Just(reply(Then::Settled { status: Status::AwaitingApproval, reason: "x".into() })),
        2 => prop::sample::select(vec![Ruling::Granted, Ruling::Look { otherwise: None }]).prop_map(What::Ruled),
        1 => Just(reply(Then::Confirm)),
        2 => any_status().prop_map(|status| reply(Then::Look { otherwise: Some(Outcome::new(status, "x")) })),
        2 => Just(reply(Then::Look { otherwise: None })),
        1 => any_status().prop_map(|status| reply(Then::Settled { status, reason: "x".into() })),
        1 => any_status().prop_map(|status| What::Settled { status, reason: "x".into() }),
        1 => any_status().prop_map(|status| look(AfterLook::Settled(Outcome::new(status, "x")))),
        2 => prop::sample::select(vec![AfterLook::Planned, AfterLook::Pin, AfterLook::Again, AfterLook::Untouched, AfterLook::Follow]).prop_map(look),
        1 => Just(What::Ended { stopped_by: None, spent: Box::default() }),
    ]
}

/// Whether an event shows that nothing that was sent had an effect.
fn clears(what: &What) -> bool {
    match what {
        What::Released => true,
        What::Reply(reply) => matches!(reply.then, Then::Again | Then::SignIn | Then::Throttled | Then::Justify),
        What::Looked(look) => look.then == AfterLook::Untouched,
        // What was queued had no effect.
        What::Ruled(ruling) => *ruling == Ruling::Granted,
        What::Intent { .. }
        | What::Settled { .. }
        | What::TenantStopped(_)
        | What::Bound { .. }
        | What::Resumed { .. }
        | What::Ended { .. } => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_final_never_moves_and_refused_events_change_nothing(whats in prop::collection::vec(any_what(), 0..40)) {
        let mut progress = Progress::default();
        for what in whats {
            let before = progress.clone();
            let refused = progress.apply(&event(what)).is_err();
            if refused || before.is_final() {
                prop_assert!(refused);
                prop_assert_eq!(&before, &progress);
            }
        }
    }

    #[test]
    fn no_request_follows_another_that_was_not_shown_to_be_without_effect(whats in prop::collection::vec(any_what(), 0..40)) {
        let mut progress = Progress::default();
        let (mut intents, mut clear) = (0, true);
        for what in whats {
            if progress.apply(&event(what.clone())).is_err() {
                continue;
            }
            if matches!(what, What::Intent { .. }) {
                prop_assert!(clear, "sent again without proof");
                (intents, clear) = (intents + 1, false);
            }
            clear |= clears(&what);
        }
        let released = intents - progress.throttled - progress.requests();
        prop_assert!(progress.requests() + progress.throttled <= intents, "{released} released");
    }

    #[test]
    fn the_same_events_give_the_same_progress_wherever_they_are_cut(
        whats in prop::collection::vec(any_what(), 0..40),
        cut in 0_usize..40,
    ) {
        let mut legal = Vec::new();
        let mut whole = Progress::default();
        for what in whats {
            let event = event(what);
            if whole.apply(&event).is_ok() {
                legal.push(serde_json::to_string(&event).unwrap());
            }
        }
        // What comes back from the ledger is text: a session that begins there knows as much as one that went on.
        let read = |text: &String| serde_json::from_str::<Event>(text).unwrap();
        let mut later = Progress::default();
        legal.iter().take(cut).for_each(|text| later.apply(&read(text)).unwrap());
        legal.iter().skip(cut).for_each(|text| later.apply(&read(text)).unwrap());
        prop_assert_eq!(whole, later);
    }
}
