//! Asks the guards, and then the person.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, BufRead as _, Write as _};

use super::context::Context;
use super::exit::{Exit, Quit};
use super::lists::Counts;
use super::planning::Prepared;
use super::run::Job;
use super::survey::{Survey, open};
use crate::exec::{Listed, Policy, forecast};
use crate::model::{Lane, Service, TenantId, TenantRow};
use crate::plan::{Refusal, Share, guard};
use crate::report::{forecast_text, plain};

/// Tenants that are named one by one before a run; nobody reads more.
const MOST_TENANTS: usize = 20;

impl Job<'_> {
    /// Says what is about to happen, and whether it may. Dry runs ask the guards and nobody else; simulated ones harm nobody.
    pub(super) fn allow(&self, prepared: &Prepared, survey: &Survey) -> Result<(), Quit> {
        let (context, settings) = (self.session.context, &self.session.settings);
        let is_simulated = self.args.simulate.is_some();
        let lanes = left(prepared, survey);
        if !self.mode.is_shown() {
            context.say(&announcement(prepared, survey, &lanes));
            self.how_long(prepared, survey).iter().for_each(|text| context.say(text));
        }
        let facts = self.facts(prepared, survey)?;
        let refused = |refusal: Refusal| Quit::new(Exit::Refused, refusal.to_string()).hint("nothing was sent");
        guard(&facts, &settings.guards).map_err(refused)?;
        let to_send = facts.to_send;
        if is_simulated || self.mode.is_dry() || self.mode.is_sure() || to_send == 0 {
            return Ok(());
        }
        if !context.can_ask {
            let line = "nobody can be asked whether to send; nothing was sent";
            return Err(Quit::new(Exit::Refused, line).hint("give --yes to send without asking"));
        }
        self.confirm(to_send)
    }

    /// How long a run would take, as far as that can be known.
    pub(super) fn how_long(&self, prepared: &Prepared, survey: &Survey) -> Option<String> {
        let mut policy = self.session.settings.policy.clone();
        self.args.certainty.limit(&mut policy);
        how_long(&policy, &open(&left(prepared, survey), &survey.stops), &prepared.subject.tenants)
    }

    /// A signal ends the question as well.
    fn confirm(&self, items: u64) -> Result<(), Quit> {
        let _ = write!(io::stderr(), "this cannot be undone; type the number of items ({items}) to go on: ");
        let (typed, answer) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = io::stdin().lock().read_line(&mut line);
            let _ = typed.send(read.map(|_| line).unwrap_or_default());
        });
        let answer = self.session.interrupts.wait(&self.session.runtime, answer)?.unwrap_or_default();
        if answer.trim() == items.to_string() { Ok(()) } else { Err(Quit::new(Exit::Refused, "not confirmed; nothing was sent")) }
    }
}

/// What would be sent of what each tenant has.
pub(super) fn shares(prepared: &Prepared, survey: &Survey) -> Vec<Share> {
    let tenants = &prepared.subject.tenants;
    if survey.kinds.is_empty() && survey.unreached == 0 {
        return vec![Share { of: "the tenant (--no-preflight)".to_owned(), to_send: survey.to_send, objects: None }];
    }
    let share = |found: &crate::exec::Surveyed| {
        let label = tenants.iter().find(|row| row.id == found.tenant).map(|row| plain(&row.label)).unwrap_or_default();
        let objects = match found.list {
            Some(Listed::Read { objects, .. }) => Some(objects),
            Some(Listed::Unreadable) | None => None,
        };
        Share { of: format!("{} of {label}", found.kind), to_send: found.to_send, objects }
    };
    // Of a tenant that was stopped while it was read, nobody knows what it has.
    let surveyed = open(&prepared.subject.lanes, &survey.stops);
    let unreached = |lane: &Lane| {
        let label = tenants.iter().find(|row| row.id == lane.tenant).map(|row| plain(&row.label)).unwrap_or_default();
        Share { of: format!("{} of {label}", lane.service), to_send: lane.items, objects: None }
    };
    let unread = prepared.subject.lanes.iter().filter(|lane| !surveyed.contains(lane)).map(unreached);
    survey.kinds.iter().map(share).chain(unread).collect()
}

/// What is left to be sent after the survey. What could not be read is all to be sent.
fn left(prepared: &Prepared, survey: &Survey) -> Vec<Lane> {
    let mut found: HashMap<(TenantId, Service), u64> = HashMap::new();
    for kind in &survey.kinds {
        *found.entry((kind.tenant, kind.kind.facts().service)).or_default() += kind.to_send;
    }
    let lane = |lane: &Lane| Lane { items: found.get(&(lane.tenant, lane.service)).copied().unwrap_or(lane.items), ..*lane };
    prepared.subject.lanes.iter().map(lane).collect()
}

/// Says how long it will take to send what these lanes have, as far as that can be known.
pub(super) fn say_how_long(context: &Context, policy: &Policy, lanes: &[Lane], tenants: &[TenantRow]) {
    if let Some(text) = how_long(policy, lanes, tenants) {
        context.say(&text);
    }
}

fn how_long(policy: &Policy, lanes: &[Lane], tenants: &[TenantRow]) -> Option<String> {
    forecast(policy, lanes).map(|forecast| forecast_text(&forecast, tenants))
}

/// What is about to happen, per tenant and service.
fn announcement(prepared: &Prepared, survey: &Survey, lanes: &[Lane]) -> String {
    let Counts { rows, protected, invalid, .. } = prepared.counts;
    let mut text = format!("{rows} rows: {} to send", survey.to_send);
    for (count, what) in [(prepared.counts.repeated(), "repeated"), (protected, "protected"), (invalid, "invalid")] {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    for (status, count) in &survey.settled {
        let _ = write!(text, ", {count} {}", status.name().replace('_', " "));
    }
    if survey.unreached > 0 {
        let _ = write!(text, ", {} in tenants that cannot be reached now", survey.unreached);
    }
    if survey.adopted > 0 {
        let _ = write!(text, ", {} at work already", survey.adopted);
    }
    let senders = prepared.senders();
    for row in senders.iter().take(MOST_TENANTS) {
        let parts = sent(lanes, row.id);
        if !parts.is_empty() {
            let id = row.id.to_string();
            let id = if row.label == id { String::new() } else { format!(" ({id})") };
            let _ = write!(text, "\n  {}{id}: {parts}", plain(&row.label));
        }
    }
    if let Some(more) = senders.len().checked_sub(MOST_TENANTS).filter(|more| *more > 0) {
        let _ = write!(text, "\n  and {more} more tenants");
    }
    text
}

/// What would be sent in a tenant: `6 Android, 3 VPP`.
fn sent(lanes: &[Lane], tenant: TenantId) -> String {
    let lanes = lanes.iter().filter(|lane| lane.tenant == tenant && lane.items > 0);
    lanes.map(|lane| format!("{} {}", lane.items, lane.service)).collect::<Vec<_>>().join(", ")
}
