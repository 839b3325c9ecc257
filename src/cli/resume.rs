//! Takes up a run again: to finish it, or only to read back what it left open. The plan in the ledger counts, not the list.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::approvals;
use super::args::{JobArgs, ResumeArgs};
use super::binding::{self, bind, may_be};
use super::consent::say_how_long;
use super::context::{Context, invalid};
use super::credentials::Access;
use super::exit::{Exit, Quit};
use super::flags::{Approval, Certainty};
use super::open_items::OpenItems;
use super::pastime;
use super::planning::resolve;
use super::preflight::{self, Service};
use super::protect::{PROTECTED, spared};
use super::session::{Session, Spell, Subject};
use super::survey;
use super::tenants::{Book, Mode};
use crate::clock::Clock;
use crate::exec::{Goal, concerns};
use crate::ledger::{Ledger, RunNo, TenantLock};
use crate::model::{
    Event, ItemNo, Outcome, Phase, Problem, Ruling, RunHeader, RunState, Spent, Status, TenantRow, TenantStop, What, Work,
};
use crate::plan::TenantBook as _;
use crate::report::plain;

/// An unfinished run, and the ledger that holds it.
pub(super) struct Last {
    ledger: Ledger,
    no: RunNo,
    pub(super) header: RunHeader,
}

/// `resume [RUN]`: finishes a run. Nothing left to do is no failure.
pub(super) fn resume(context: &Context, args: &ResumeArgs) -> Result<Exit, Quit> {
    take_up(context, args, Goal::Revoke)
}

/// `verify [RUN]`: reads back, and sends nothing.
pub(super) fn verify(context: &Context, args: &ResumeArgs) -> Result<Exit, Quit> {
    take_up(context, args, Goal::Confirm)
}

fn take_up(context: &Context, args: &ResumeArgs, goal: Goal) -> Result<Exit, Quit> {
    let settings = context.settings(&args.place, crate::config::RunOptions::default(), args.flags(), Vec::new())?;
    let state_dir = settings.state_dir.clone();
    let session = Session::begin(context, settings, state_dir, args.limits.lock_wait)?;
    let taken = Taken { session: &session, goal, certainty: &args.certainty, approval: &args.approval, out: args.out.as_deref() };
    let nothing = || {
        context.say("no run yet: nothing to do");
        Ok(Exit::Ok)
    };
    let last = found(&session, args.run.as_deref(), goal);
    let done = last.and_then(|last| last.map_or_else(nothing, |last| taken.go(last)));
    session.end();
    done
}

/// The run that is meant: the one that is named, else the latest that there is something to do for, else the latest.
fn found(session: &Session<'_>, run: Option<&str>, goal: Goal) -> Result<Option<Last>, Quit> {
    let ledger = Ledger::open(&session.state_dir)?;
    let unfinished = if run.is_none() && goal == Goal::Revoke { ledger.unfinished(None)? } else { None };
    let found = match (run, unfinished) {
        (_, Some(found)) => Some(found),
        (Some(run), None) => Some(ledger.find(Some(run))?),
        (None, None) => match ledger.find(None) {
            Err(crate::ledger::LedgerError::NoSuchRun(_)) => None,
            found => Some(found?),
        },
    };
    Ok(found.map(|(no, header)| Last { ledger, no, header }))
}

/// A job's last run, if it is unfinished and nobody is at work on it: whoever is, is waited for as long as was wished.
pub(super) fn unfinished(session: &Session<'_>, job: &str) -> Result<Option<Last>, Quit> {
    let ledger = Ledger::open(&session.state_dir)?;
    let mut found = ledger.unfinished(Some(job))?;
    if let Some((_, header)) = &found
        && header.state == RunState::Running
    {
        drop(session.lock(&header.run, header.tenants.iter().map(|tenant| tenant.id))?);
        // Whoever held the locks may have brought it to its end.
        found = ledger.unfinished(Some(job))?;
    }
    Ok(found.map(|(no, header)| Last { ledger, no, header }))
}

/// Why a new run must not begin: the last one of its job is unfinished.
pub(super) fn refusal(header: &RunHeader) -> Quit {
    let line = format!("the last run of job {:?} ({}) is unfinished; nothing was sent", header.job, header.run);
    Quit::new(Exit::Refused, plain(&line))
        .hint(format!("finish it: bulk-revoke resume {}", header.run))
        .hint("or begin another job under another name: --job NAME")
}

/// Takes up a job's unfinished run on behalf of `run --continue`.
pub(super) fn go_on(session: &Session<'_>, last: Last, args: &JobArgs, out: Option<&Path>) -> Result<Exit, Quit> {
    session.context.say(&plain(&format!("run {} of job {:?} is unfinished: going on with it", last.header.run, last.header.job)));
    Taken { session, goal: Goal::Revoke, certainty: &args.certainty, approval: &args.approval, out }.go(last)
}

/// A run that is taken up again.
struct Taken<'s, 'a> {
    session: &'s Session<'a>,
    goal: Goal,
    certainty: &'s Certainty,
    approval: &'s Approval,
    out: Option<&'s Path>,
}

impl Taken<'_, '_> {
    fn go(&self, last: Last) -> Result<Exit, Quit> {
        let Last { ledger, no, header } = last;
        let session = self.session;
        self.may_be_taken_up(&header)?;
        let open = self.open_items(&ledger, no)?;
        if header.state == RunState::Ended && open.count == 0 {
            let what = if self.goal == Goal::Confirm { "nothing can be read back" } else { "nothing is left to do" };
            session.context.say(&format!("run {}: {what}", header.run));
            let dir = session.report_dir(&header.run, self.out);
            let exit = pastime::write(session.context, &session.settings, &ledger, no, &dir)?;
            return Ok(if self.goal == Goal::Confirm { exit } else { Exit::Ok });
        }
        // Nobody signs in to a tenant that is finished: it may have lost its secret, or its app, since.
        let is_open = |row: &&TenantRow| open.concern(row.id);
        let senders: Vec<TenantRow> = header.tenants.iter().filter(is_open).cloned().collect();
        let mut lanes = ledger.lanes(no)?;
        lanes.retain(|lane| open.concern(lane.tenant));
        match self.prepare(&header, &senders) {
            Ok((locks, service, stops)) => {
                // Whoever held the locks may have brought it further.
                let events = header.events;
                let header = ledger.run(no)?;
                let open = if header.events == events { open } else { self.open_items(&ledger, no)? };
                // To read back does not mend what stopped a tenant that there is nothing to read back in.
                let still = header.tenant_stops.iter().filter(|stop| self.goal == Goal::Confirm && !open.concern(stop.tenant));
                let stops: Vec<TenantStop> = stops.into_iter().chain(still.cloned()).collect();
                let justification = self.approval.justification.clone().or(header.justification);
                let justification = justification.or_else(|| self.approval.justification(header.ticket.as_ref()));
                let tenants = bind(&service, &header.tenants)?;
                let subject = Subject {
                    ledger,
                    no,
                    run: header.run,
                    tenants,
                    lanes,
                    service,
                    justification,
                    asks_why: Vec::new(),
                    counted: None,
                };
                let done = self.work(subject, &stops, &open);
                drop(locks);
                done
            }
            Err(quit) if matches!(quit.exit, Exit::Interrupted | Exit::Deadline) => {
                let dir = session.report_dir(&header.run, self.out);
                pastime::write(session.context, &session.settings, &ledger, no, &dir)?;
                Err(quit)
            }
            Err(quit) => Err(quit),
        }
    }

    /// Locks the run's tenants and signs in to those that it has something for.
    fn prepare(&self, header: &RunHeader, senders: &[TenantRow]) -> Result<(Vec<TenantLock>, Service, Vec<TenantStop>), Quit> {
        let session = self.session;
        let accesses = self.accesses(&header.run, senders)?;
        let locks = session.lock(&header.run, header.tenants.iter().map(|tenant| tenant.id))?;
        let (root, authority) = (session.settings.root.clone(), session.settings.authority.clone());
        let service = preflight::service(&session.settings, root, authority, accesses)?;
        let signed_in = session.interrupts.wait(&session.runtime, preflight::sign_in(&service, senders));
        let stops = signed_in.flatten()?;
        Ok((locks, service, stops))
    }

    fn work(&self, mut subject: Subject, stops: &[TenantStop], open: &OpenItems) -> Result<Exit, Quit> {
        let session = self.session;
        self.may_spare(&subject.run, open)?;
        let clock = Clock::system();
        let (spared, rulings) = self.rulings(&mut subject, stops, open, clock)?;
        subject.ledger.set_state(subject.no, RunState::Running)?;
        let mut policy = session.settings.policy.clone();
        self.certainty.limit(&mut policy);
        policy.goal = self.goal;
        // A sealed plan is finished as it was reviewed.
        let header = subject.ledger.run(subject.no)?;
        policy.allow_reissued |= header.reissued;
        let bound = binding::events(&header.tenants, &subject.tenants, clock.stamp());
        let (operator, tool) = (session.context.env.operator(), env!("CARGO_PKG_VERSION").to_owned());
        let stopped = stops.iter().map(|stop| What::TenantStopped(stop.clone()));
        let first =
            std::iter::once(What::Resumed { operator, tool, justification: self.approval.justification.clone() }).chain(stopped);
        let first = first.map(|what| Event { item: None, at: clock.stamp(), what });
        let granted = approvals::granted(&rulings);
        let first = first.chain(bound).chain(spared.iter().cloned()).chain(rulings).collect();
        let lanes = survey::open(&open.begin(&subject.lanes), stops);
        let to_send = survey::open(&open.to_send(&subject.lanes), stops);
        if self.goal == Goal::Revoke {
            let send = open.lanes.values().map(|lane| lane.to_send).sum::<u64>() + granted;
            let are = if open.count == 1 { "item is" } else { "items are" };
            let count = spared.len();
            let protected = if count == 0 { String::new() } else { format!(", {count} protected by now") };
            session.context.say(&format!("run {}: {} {are} left, {send} of them to send{protected}", subject.run, open.count));
        }
        say_how_long(session.context, &policy, &to_send, &subject.tenants);
        let mut watch = session.watch(open.count, &subject.tenants);
        let spell = Spell { policy, clock, lists: &[], lanes: &lanes, first, spent: Spent::default() };
        let (ended, subject) = if self.goal == Goal::Revoke {
            session.bring_forward(subject, spell, self.approval.approval_wait, &mut watch)?
        } else {
            session.work(subject, spell, &mut watch)?
        };
        session.over(&ended, &mut watch);
        drop(watch);
        session.finish(subject, &ended, RunState::Ended, self.out)
    }

    /// What becomes of items that are protected by now, and of those that wait for a second administrator. What somebody
    /// else may have done is read back, protected or not; nothing protected is sent.
    fn rulings(
        &self,
        subject: &mut Subject,
        stops: &[TenantStop],
        open: &OpenItems,
        clock: Clock,
    ) -> Result<(Vec<Event>, Vec<Event>), Quit> {
        let mut spared = open.spared.clone();
        if self.goal != Goal::Revoke {
            return Ok((spared, Vec::new()));
        }
        let waiting = approvals::waiting(subject, &survey::open(&subject.lanes, stops))?;
        let mut rulings = match self.session.rulings(subject, &waiting, clock) {
            Err(Quit { exit: Exit::Interrupted, .. }) => {
                let dir = self.session.report_dir(&subject.run, self.out);
                pastime::write(self.session.context, &self.session.settings, &subject.ledger, subject.no, &dir)?;
                return Err(Quit::new(Exit::Interrupted, "interrupted; nothing more was sent"));
            }
            rulings => rulings?.events,
        };
        let protected: HashSet<Option<ItemNo>> = spared.iter().map(|event| event.item).collect();
        for ruling in rulings.iter_mut().filter(|ruling| protected.contains(&ruling.item)) {
            if let What::Ruled(Ruling::Look { otherwise }) = &mut ruling.what {
                otherwise.get_or_insert_with(|| Outcome::new(Status::Skipped, PROTECTED));
            }
        }
        let reads = |event: &Event| matches!(event.what, What::Ruled(Ruling::Look { .. }));
        rulings.retain(|ruling| reads(ruling) || !protected.contains(&ruling.item));
        let ruled: HashSet<Option<ItemNo>> = rulings.iter().map(|event| event.item).collect();
        spared.retain(|event| !ruled.contains(&event.item));
        Ok((spared, rulings))
    }

    /// Whether what is protected by now may be left out.
    fn may_spare(&self, run: &str, open: &OpenItems) -> Result<(), Quit> {
        if open.spared.is_empty() || !self.session.settings.guards.refuse_protected {
            return Ok(());
        }
        refuse(&format!(
            "{} items that run {run} has left are protected by now and protect_mode is \"refuse\": take them out of \
             [guard] protect, or set protect_mode = \"skip\" to leave them out",
            open.spared.len()
        ))
    }

    /// Whether it has sent anything, and is bound to where we would go on.
    fn may_be_taken_up(&self, header: &RunHeader) -> Result<(), Quit> {
        match header.state {
            RunState::Running | RunState::Ended => {}
            RunState::Dry => return refuse(&format!("run {} was a dry run: there is nothing to go on with", header.run)),
            RunState::Refused | RunState::Planned => {
                return refuse(&format!("run {} ended before it was allowed to send anything: start it anew", header.run));
            }
        }
        if header.sealed.is_some() && self.certainty.allow_reissued {
            return refuse(&format!("run {} carries out a sealed plan: --allow-reissued is for plan --save", header.run));
        }
        let settings = &self.session.settings;
        let places = [
            ("Graph root", &header.root, settings.root.to_string()),
            ("authority", &header.authority, settings.authority.to_string()),
        ];
        for (what, bound, now) in places {
            if *bound != now {
                return refuse(&format!("run {} is bound to the {what} {bound}, and the configuration names {now}", header.run));
            }
        }
        Ok(())
    }

    fn open_items(&self, ledger: &Ledger, no: RunNo) -> Result<OpenItems, Quit> {
        let mut open = OpenItems { count: 0, lanes: BTreeMap::new(), spared: Vec::new() };
        let at = self.session.context.clock.stamp();
        let protected = if self.goal == Goal::Revoke { self.session.protected()? } else { HashSet::new() };
        open.count = ledger.count(no, |Work { item, progress }| {
            let lane = open.lanes.entry((item.tenant, item.kind.facts().service)).or_default();
            let is_open = concerns(self.goal, progress);
            let spared = if protected.contains(&item.id) { spared(item.no, progress.phase, at) } else { None };
            lane.take(item.no, is_open, is_open && progress.phase == Phase::Ready && spared.is_none());
            open.spared.extend(spared);
            is_open
        })?;
        Ok(open)
    }

    /// What each tenant of the run signs in with; the apps must be those that it began with.
    fn accesses(&self, run: &str, tenants: &[TenantRow]) -> Result<Vec<Access>, Quit> {
        let session = self.session;
        let mut book = Book::new(Mode::Real, &session.settings);
        let problems = loop {
            let named = tenants.iter().map(|tenant| book.find(Some(&tenant.id.to_string())));
            let problems: Vec<Problem> = named.filter_map(Result::err).map(|message| Problem::of(run, message)).collect();
            if !book.has_unresolved() {
                break problems;
            }
            resolve(session, &mut book)?;
        };
        if let Some(problem) = problems.first() {
            return refuse(&format!("run {run} is bound to a tenant that the configuration does not name: {}", problem.message));
        }
        for row in tenants {
            let now = book.rows().iter().find(|known| known.id == row.id).map(|known| known.app.clone()).unwrap_or_default();
            if !may_be(&now, &row.app) {
                return refuse(&format!(
                    "run {run} is bound to the app {} in tenant {}, and the configuration names {now}",
                    row.app, row.label
                ));
            }
        }
        let mut problems = Vec::new();
        let accesses = book.accesses(&session.context.env, &mut problems);
        if problems.is_empty() { Ok(accesses) } else { Err(invalid(&problems)) }
    }
}

/// Why a run must not be taken up from here.
fn refuse<T>(line: &str) -> Result<T, Quit> {
    Err(Quit::new(Exit::Refused, plain(line)).hint("nothing more was sent"))
}
