//! What answers teach: the consequences for a lane, a tenant and the run. Pure.

use std::time::Duration;

use super::gate::{DENIED_ALL, Stream};
use super::policy::Scope;
use super::port::{Answer, NoToken, Sight, Verdict};
use super::schedule::Scheduler;
use super::taken::Exchange;
use super::tenant::Access;
use crate::clock::Moment;
use crate::model::{Class, Reached, Status, StopCause, StoppedBy, TenantId, TenantStop};

/// What an exchange teaches about the service.
enum Lesson<'a> {
    Throttled(Option<Duration>),
    Unauthorized(&'a str),
    /// Nothing will be answered otherwise, whatever the token.
    Hopeless(&'a str),
    NeverLeft,
    Unreachable,
    /// It may have been answered by anybody on the way.
    Unclear,
    Answered,
}

impl Scheduler {
    /// Takes in how asking for a token went, and says what is to be recorded.
    pub(super) fn signed_in(&mut self, id: TenantId, result: Result<(), NoToken>, now: Moment) -> Option<TenantStop> {
        let longest = self.policy.max_pause;
        let place = self.tenants.iter().position(|tenant| tenant.id == id)?;
        self.sign_in_ended(place);
        let tenant = &mut self.tenants[place];
        let NoToken { message, retry } = match result {
            Ok(()) => {
                tenant.signed_in();
                return None;
            }
            Err(refused) => refused,
        };
        let pause = retry.map(|after| tenant.no_token(now, after));
        let dry = tenant.signed_out_for(now);
        tracing::warn!(tenant = %id, ?pause, "{message}");
        match (pause, retry) {
            (Some(_), Some(asked)) if asked > longest => {
                let message = format!("{message}; a pause of {asked:.0?} is longer than --max-pause ({longest:.0?})");
                self.stop_tenant(id, StopCause::MaxPause, message)
            }
            (Some(_), _) if dry < longest => None,
            (Some(_) | None, _) => self.stop_tenant(id, StopCause::SignIn, message),
        }
    }

    /// Draws the consequences of an answer for the lane and the tenant.
    pub(super) fn learn(&mut self, index: usize, exchange: &Exchange<Answer>) -> Option<TenantStop> {
        let (times, token) = ((exchange.began, exchange.ended), exchange.answer.token);
        self.lanes[index].is_quiet_since(exchange.ended);
        let lesson = match &exchange.answer.verdict {
            Verdict::Throttled { after } => Lesson::Throttled(*after),
            Verdict::Unauthorized => Lesson::Unauthorized(words(&exchange.answer)),
            Verdict::NoToken => Lesson::NeverLeft,
            Verdict::StopTenant { reason, .. } => Lesson::Hopeless(reason),
            Verdict::Again { reached: Reached::NotSent, .. } => Lesson::Unreachable,
            Verdict::Again { reached: Reached::Maybe, .. } => Lesson::Unclear,
            Verdict::Settled { .. } => {
                let denied = self.lanes[index].gate.answered(Stream::Write, false);
                self.count(Status::Refused, denied);
                Lesson::Answered
            }
            Verdict::Denied { reason } => {
                self.lanes[index].denied.get_or_insert_with(|| reason.clone());
                Lesson::Answered
            }
            Verdict::NeedsApproval { .. } | Verdict::Again { reached: Reached::Answered, .. } => Lesson::Answered,
        };
        let asked_why = matches!(exchange.answer.verdict, Verdict::NeedsApproval { .. }).then(|| self.asked_why(index)).flatten();
        self.take_lesson(index, Stream::Write, (&lesson, token), times).or(asked_why)
    }

    /// Draws the consequences of a read.
    pub(super) fn learn_read<T>(
        &mut self,
        index: usize,
        sight: &Sight<T>,
        token: Option<u64>,
        times: (Moment, Moment),
    ) -> Option<TenantStop> {
        let lesson = match sight {
            Sight::Throttled { after } => Lesson::Throttled(*after),
            Sight::Unauthorized { reason } => Lesson::Unauthorized(reason.as_deref().unwrap_or("reading was refused")),
            Sight::NoToken => Lesson::NeverLeft,
            Sight::StopTenant { reason } => Lesson::Hopeless(reason),
            Sight::Again { reached: false, .. } => Lesson::Unreachable,
            Sight::Again { reached: true, .. } => Lesson::Unclear,
            Sight::Denied { reason } => {
                self.lanes[index].denied.get_or_insert_with(|| reason.clone());
                self.lanes[index].gate.answered(Stream::Read, true);
                Lesson::Answered
            }
            Sight::Shown(_) | Sight::Gone | Sight::Refused { .. } => {
                self.lanes[index].reads_well(times.1);
                self.lanes[index].gate.answered(Stream::Read, false);
                Lesson::Answered
            }
        };
        self.take_lesson(index, Stream::Read, (&lesson, token), times)
    }

    fn take_lesson(
        &mut self,
        index: usize,
        stream: Stream,
        (lesson, token): (&Lesson<'_>, Option<u64>),
        (began, now): (Moment, Moment),
    ) -> Option<TenantStop> {
        let lane = &mut self.lanes[index];
        let tenant = &mut self.tenants[lane.tenant];
        let id = tenant.id;
        match lesson {
            Lesson::Throttled(after) => {
                let pause = lane.gate.throttled(stream, began, now, *after);
                tracing::info!(tenant = %id, service = %lane.lane.service, ?stream, ?after, ?pause, "throttled");
                return self.bound_pause(id, stream, Some(pause), now);
            }
            Lesson::Unauthorized(words) => {
                lane.gate.replied(stream, began, now, false);
                if tenant.token_refused(token) {
                    let message = format!("the service refused a token that had just come: {words}");
                    return self.stop_tenant(id, StopCause::SignIn, message);
                }
            }
            Lesson::Hopeless(words) => {
                lane.gate.replied(stream, began, now, false);
                return self.stop_tenant(id, StopCause::SignIn, (*words).to_owned());
            }
            Lesson::NeverLeft => lane.gate.never_left(stream, began),
            Lesson::Unreachable => {
                lane.gate.unreachable(stream, began, now);
                return self.bound_pause(id, stream, None, now);
            }
            Lesson::Unclear => {
                lane.gate.replied(stream, began, now, false);
                // A service that answers no read is as good as one that cannot be reached.
                if stream == Stream::Read {
                    return self.bound_pause(id, stream, None, now);
                }
            }
            Lesson::Answered => {
                lane.gate.replied(stream, began, now, true);
                tenant.answered(stream, token);
            }
        }
        None
    }

    /// Counts items that were sent and are settled, and heeds the breaker.
    pub(super) fn count(&mut self, status: Status, times: u32) {
        let is_harmless = status.class() == Class::Success || matches!(status, Status::NotFound | Status::Superseded);
        if matches!(self.policy.scope, Scope::Canaries(_)) && times > 0 && !is_harmless {
            self.stop(StoppedBy::Canary);
        }
        (0..times).for_each(|_| self.breaker.count(status));
        if self.breaker.is_open(self.policy.max_fail) {
            self.stop(StoppedBy::Breaker);
        }
    }

    /// Stops a tenant that is told to wait too long, or that has had nothing accepted for too long.
    fn bound_pause(&mut self, id: TenantId, stream: Stream, asked: Option<Duration>, now: Moment) -> Option<TenantStop> {
        let longest = self.policy.max_pause;
        let dry = self.tenants.iter_mut().find(|tenant| tenant.id == id)?.dry_for(stream, now);
        let message = match asked.filter(|asked| *asked > longest) {
            Some(asked) => format!("the service asked for a pause of {asked:.0?}, longer than --max-pause ({longest:.0?})"),
            None if dry >= longest => format!("no request was accepted for {dry:.0?} (--max-pause is {longest:.0?})"),
            None => return None,
        };
        self.stop_tenant(id, StopCause::MaxPause, message)
    }

    /// Stops a lane whose first items were all denied: the app may not do this, whatever else it may do.
    pub(super) fn close_denied(&mut self, index: usize) -> Option<TenantStop> {
        let lane = &mut self.lanes[index];
        let all = match self.policy.scope {
            Scope::Canaries(_) if lane.open == 0 => Some(1),
            Scope::All if lane.left == 0 && !lane.is_picked => Some(DENIED_ALL),
            Scope::Canaries(_) | Scope::All | Scope::Unsettled => None,
        };
        if lane.stopped || !lane.gate.is_denied_alike(all) {
            return None;
        }
        lane.stopped = true;
        let service = lane.lane.service;
        let stop = TenantStop {
            tenant: lane.lane.tenant,
            service: Some(service),
            cause: StopCause::Permission,
            message: format!(
                "every one of the first {service} items was denied: {}; grant the app {} with admin consent",
                lane.denied.as_deref().unwrap_or("no reason given"),
                service.permission()
            ),
        };
        self.tenant_stops.push(stop.clone());
        Some(stop)
    }

    fn stop_tenant(&mut self, id: TenantId, cause: StopCause, message: String) -> Option<TenantStop> {
        let tenant = self.tenants.iter_mut().find(|tenant| tenant.id == id)?;
        if std::mem::replace(&mut tenant.access, Access::Closed) == Access::Closed {
            return None;
        }
        let stop = TenantStop { tenant: id, service: None, cause, message };
        self.tenant_stops.push(stop.clone());
        Some(stop)
    }
}

fn words(answer: &Answer) -> &str {
    answer.message.as_deref().unwrap_or("no reason given")
}
