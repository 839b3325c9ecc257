//! Takes up a run again: to finish it, or only to read back what it left open. The plan in the ledger counts, not the list.

use std::path::Path;

use super::args::ResumeArgs;
use super::context::{Context, invalid};
use super::exit::{Exit, Quit};
use super::flags::Certainty;
use super::pastime;
use super::preflight::{self, Service};
use super::session::{Session, Spell, Subject};
use super::survey;
use super::tenants::{Book, Mode};
use crate::auth::{SignIn, discover};
use crate::clock::Clock;
use crate::exec::{Goal, concerns};
use crate::ledger::{Ledger, RunNo, TenantLock};
use crate::model::{Disposition, Event, Problem, RunHeader, RunState, TenantStop, What};
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
    let taken = Taken { session: &session, goal, certainty: &args.certainty, out: args.out.as_deref() };
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
pub(super) fn go_on(session: &Session<'_>, last: Last, certainty: &Certainty, out: Option<&Path>) -> Result<Exit, Quit> {
    session.context.say(&plain(&format!("run {} of job {:?} is unfinished: going on with it", last.header.run, last.header.job)));
    Taken { session, goal: Goal::Revoke, certainty, out }.go(last)
}

/// A run that is taken up again.
struct Taken<'s, 'a> {
    session: &'s Session<'a>,
    goal: Goal,
    certainty: &'s Certainty,
    out: Option<&'s Path>,
}

impl Taken<'_, '_> {
    fn go(&self, last: Last) -> Result<Exit, Quit> {
        let Last { ledger, no, header } = last;
        let session = self.session;
        self.may_be_taken_up(&header)?;
        if header.state == RunState::Ended && self.open_items(&ledger, no)? == 0 {
            let what = if self.goal == Goal::Confirm { "nothing can be read back" } else { "nothing is left to do" };
            session.context.say(&format!("run {}: {what}", header.run));
            let dir = session.report_dir(&header.run, self.out);
            let exit = pastime::write(session.context, &session.settings, &ledger, no, &dir)?;
            return Ok(if self.goal == Goal::Confirm { exit } else { Exit::Ok });
        }
        match self.prepare(&header) {
            Ok((locks, service, stops)) => {
                // Whoever held the locks may have brought it further.
                let header = ledger.run(no)?;
                let (lanes, tenants) = (ledger.lanes(no)?, header.tenants);
                let done = self.work(Subject { ledger, no, run: header.run, tenants, lanes, service }, &stops);
                drop(locks);
                done
            }
            Err(quit) if quit.exit == Exit::Interrupted => {
                let dir = session.report_dir(&header.run, self.out);
                pastime::write(session.context, &session.settings, &ledger, no, &dir)?;
                Err(quit)
            }
            Err(quit) => Err(quit),
        }
    }

    /// Locks the run's tenants and signs in to them.
    fn prepare(&self, header: &RunHeader) -> Result<(Vec<TenantLock>, Service, Vec<TenantStop>), Quit> {
        let session = self.session;
        let sign_ins = self.sign_ins(header)?;
        let locks = session.lock(&header.run, header.tenants.iter().map(|tenant| tenant.id))?;
        let (root, authority) = (session.settings.root.clone(), session.settings.authority.clone());
        let service = preflight::service(&session.settings, root, authority, sign_ins)?;
        let signed_in = session.interrupts.wait(&session.runtime, preflight::sign_in(&service.tokens, &header.tenants));
        let stops = signed_in.flatten()?;
        Ok((locks, service, stops))
    }

    fn work(&self, subject: Subject, stops: &[TenantStop]) -> Result<Exit, Quit> {
        let session = self.session;
        subject.ledger.set_state(subject.no, RunState::Running)?;
        let clock = Clock::system();
        let mut policy = session.settings.policy.clone();
        self.certainty.limit(&mut policy);
        policy.goal = self.goal;
        let (operator, tool) = (session.context.env.operator(), env!("CARGO_PKG_VERSION").to_owned());
        let stopped = stops.iter().map(|stop| What::TenantStopped(stop.clone()));
        let first = std::iter::once(What::Resumed { operator, tool }).chain(stopped);
        let first = first.map(|what| Event { item: None, at: clock.stamp(), what }).collect();
        let lanes = survey::open(&subject.lanes, stops);
        let mut watch = session.watch(self.open_items(&subject.ledger, subject.no)?, &subject.tenants);
        let (ended, subject) = session.work(subject, Spell { policy, clock, lists: &[], lanes: &lanes, first }, &mut watch)?;
        drop(watch);
        session.finish(subject, &ended, RunState::Ended, self.out)
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

    /// How many items there is something to do for: those that are left to do, and those of which nobody knows.
    fn open_items(&self, ledger: &Ledger, no: RunNo) -> Result<u64, Quit> {
        let mut open = 0_u64;
        ledger.rows(no, |row| {
            let is_planned = row.disposition == Disposition::Send;
            open += u64::from(is_planned && concerns(self.goal, &row.progress));
            Ok::<(), Quit>(())
        })?;
        Ok(open)
    }

    /// What each tenant of the run signs in with; the apps must be those that it began with.
    fn sign_ins(&self, header: &RunHeader) -> Result<Vec<SignIn>, Quit> {
        let session = self.session;
        let client = preflight::http(&session.settings, session.settings.authority.base().is_loopback())?;
        let mut book = Book::new(Mode::Real, &session.settings);
        let problems = loop {
            let named = header.tenants.iter().map(|tenant| book.find(Some(&tenant.id.to_string())));
            let problems: Vec<Problem> = named.filter_map(Result::err).map(|message| Problem::of(&header.run, message)).collect();
            if !book.has_unresolved() {
                break problems;
            }
            for domain in book.unresolved() {
                let found = session.interrupts.wait(&session.runtime, discover(&client, &session.settings.authority, &domain))?;
                book.resolve(domain, found.map_err(|error| format!("failed to {error}")));
            }
        };
        if let Some(problem) = problems.first() {
            return refuse(&format!(
                "run {} is bound to a tenant that the configuration does not name: {}",
                header.run, problem.message
            ));
        }
        for row in &header.tenants {
            let now = book.rows().iter().find(|known| known.id == row.id).map(|known| known.app.clone()).unwrap_or_default();
            if now != row.app {
                return refuse(&format!(
                    "run {} is bound to the app {} in tenant {}, and the configuration names {now}",
                    header.run, row.app, row.label
                ));
            }
        }
        let mut problems = Vec::new();
        let sign_ins = book.sign_ins(&session.context.env, &mut problems);
        if problems.is_empty() { Ok(sign_ins) } else { Err(invalid(&problems)) }
    }
}

/// Why a run must not be taken up from here.
fn refuse<T>(line: &str) -> Result<T, Quit> {
    Err(Quit::new(Exit::Refused, plain(line)).hint("nothing more was sent"))
}
