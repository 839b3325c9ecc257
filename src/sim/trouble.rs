//! Which fault a request meets, by script or by chance, and what that makes of the exchange: how it
//! ends, and when the effect happens.

use std::time::Duration;

use super::answer::{Answer, Ending};
use super::context::Context;
use super::dice::{Dice, Topic};
use super::fault::{self, Call, Effect, Fault, Kind, Target};
use super::service::Service;
use super::span::Span;
use super::throttle::{self, RetryAfter};

/// A fault as applied to one exchange.
pub(super) struct Trouble {
    /// How it ends; `None` where it ends as it would without the fault.
    pub(super) ending: Option<Ending>,
    /// How much longer the exchange takes.
    pub(super) slower: Duration,
    /// When the effect happens after the end of the exchange; `None` for never.
    pub(super) effect: Option<Happens>,
}

/// When an effect happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happens {
    Before,
    After(Duration),
}

/// How long a faulty answer asks to wait: short, for it means one server and not a quota.
const SHORT: Span = Span::of_secs(1, 5);

impl Trouble {
    /// No trouble at all.
    pub(super) const NONE: Self = Self { ending: None, slower: Duration::ZERO, effect: Some(Happens::Before) };

    /// What a fault does to this exchange.
    pub(super) fn of(fault: &Fault, context: &Context) -> Self {
        let mut dice = context.dice(3);
        let effect = match fault.effect {
            Effect::Never => None,
            Effect::Before => Some(Happens::Before),
            Effect::Later(by) => Some(Happens::After(dice.within(by))),
        };
        let answer = |answer| Some(Ending::Answer(answer));
        let ending = match &fault.kind {
            Kind::None => return Self::NONE,
            Kind::Slow(by) => {
                return Self { slower: dice.within(*by), ..Self::NONE };
            }
            Kind::Status { status, retry_after } => answer(server_error(context, *status, *retry_after)),
            Kind::Throttle(shape) => answer(context.dress(throttle::throttled(context, *shape, dice.within(SHORT)))),
            Kind::Page => answer(page(200, "Please sign in to continue")),
            Kind::Canned(canned) => answer(context.dress(canned.answer())),
            Kind::TokenExpired => {
                answer(context.dress(context.unauthenticated("Lifetime validation failed, the token is expired.")))
            }
            Kind::Claims => answer(context.dress(context.challenged(context.at))),
            Kind::Hang => Some(Ending::Hang),
            Kind::Cut => Some(Ending::Cut),
        };
        Self { ending, slower: Duration::ZERO, effect }
    }
}

impl Service {
    /// What this request runs into; `apply` makes the exchange out of the fault it meets.
    pub(super) fn trouble(
        &mut self,
        context: &Context,
        target: Target,
        apply: impl FnOnce(&mut Self, &Fault) -> Trouble,
    ) -> Trouble {
        let nth = self.count(target);
        let Some(fault) = self.draw(&Target { nth, ..target }) else {
            return Trouble::NONE;
        };
        if let Some(entry) = self.log.entry(context.ordinal) {
            entry.fault = (fault.kind != Kind::None).then(|| fault.to_string());
        }
        apply(self, &fault)
    }

    /// The fault of the first rule that matches, else one by chance.
    fn draw(&mut self, target: &Target) -> Option<Fault> {
        for (rule, used) in self.behaviour.rules.iter().zip(&mut self.used) {
            if rule.times.is_none_or(|times| *used < times) && rule.matches(target) {
                *used = used.saturating_add(1);
                return Some(rule.fault.clone());
            }
        }
        let odds = match target.call {
            Call::Revoke => &self.behaviour.write_faults,
            Call::Token | Call::DeviceCode | Call::Discovery | Call::Platform => &self.behaviour.token_faults,
            Call::Organization | Call::List | Call::Get | Call::Approvals => &self.behaviour.read_faults,
        };
        let about = target.collection.map_or(0, |collection| 1 + collection as u64);
        let mut dice = Dice::new(self.seed, Topic::Fault)
            .nth(target.call as u64)
            .nth(about)
            .about(target.id.unwrap_or_default())
            .nth(u64::from(target.nth));
        fault::draw(odds, dice.unit()).cloned()
    }

    /// Counts a request that reached the service; which one for its object, or of its kind, it is.
    fn count(&mut self, target: Target) -> u32 {
        let object = target.collection.zip(target.id);
        let place = object.and_then(|(collection, id)| self.store.place(target.tenant, collection, id));
        if let Some(record) = place.and_then(|place| self.store.record_mut(place)) {
            let counter = if target.call == Call::Revoke { &mut record.writes } else { &mut record.reads };
            *counter = counter.saturating_add(1);
            return u32::from(*counter);
        }
        let counter = self.others.entry(target).or_default();
        *counter = counter.saturating_add(1);
        *counter
    }
}

/// What something between client and service says: not Graph, so without any of Graph's headers.
fn page(status: u16, title: &str) -> Answer {
    let html = format!("<!DOCTYPE html><html><head><title>{title}</title></head><body>{title}</body></html>");
    Answer::text(status, "text/html; charset=utf-8", html)
}

/// A server error in one of the forms in which they come: Graph's, Intune's, a gateway's page, or nothing.
fn server_error(context: &Context, status: u16, retry_after: Option<RetryAfter>) -> Answer {
    let (code, message) = match status {
        500 => ("InternalServerError", "An internal server error has occurred."),
        502 => ("BadGateway", "The gateway received an invalid response."),
        503 => ("ServiceUnavailable", "CancelledOnServiceTimeout"),
        504 => ("GatewayTimeout", "The upstream service did not answer in time."),
        _ => ("UnknownError", ""),
    };
    let mut dice = context.dice(4);
    let wait = dice.within(SHORT);
    let answer = match dice.below(4) {
        _ if retry_after == Some(RetryAfter::Nested) => {
            context.intune(status, code, message, Some(throttle::whole_seconds(wait)))
        }
        0 => context.graph(status, code, message),
        1 => context.intune(status, code, message, None),
        2 => page(status, message),
        _ => Answer::empty(status),
    };
    let answer = match retry_after.and_then(|shape| shape.header(wait, context)) {
        Some(value) => answer.with("retry-after", value),
        None => answer,
    };
    context.dress(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_effect_comes_after_the_cut() {
        let fault = Fault::new(Kind::Cut).with_late_effect(Span::exactly(Duration::from_secs(3)));
        let trouble = Trouble::of(&fault, &Context::for_tests());
        assert_eq!(trouble.ending, Some(Ending::Cut));
        assert_eq!(trouble.effect, Some(Happens::After(Duration::from_secs(3))));
    }

    #[test]
    fn a_slow_answer_is_still_the_right_one() {
        let trouble = Trouble::of(&Fault::new(Kind::Slow(Span::of_secs(1, 2))), &Context::for_tests());
        assert_eq!((trouble.ending, trouble.effect), (None, Some(Happens::Before)));
        assert!(trouble.slower >= Duration::from_secs(1));
    }

    #[test]
    fn a_server_error_can_ask_to_wait() {
        let answer = server_error(&Context::for_tests(), 503, Some(RetryAfter::Integer));
        assert!(answer.headers.iter().any(|(name, value)| *name == "retry-after" && value.parse::<u8>().is_ok()));
    }
}
