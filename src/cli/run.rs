//! The main job, end to end: read, plan, check, send, report.

use std::path::Path;

use super::args::{JobArgs, PlanArgs, RunArgs};
use super::binding::{self, bind};
use super::context::{Context, simulated};
use super::exit::{Exit, Quit};
use super::lists::Inputs;
use super::planning::Prepared;
use super::preflight;
use super::resume::{self, unfinished};
use super::sealed::Sealed;
use super::session::{Session, Spell, Subject};
use super::survey::{self, Survey};
use crate::clock::Clock;
use crate::config::OnEmpty;
use crate::exec::Ended;
use crate::ledger::TenantLock;
use crate::model::{RunState, TenantRow, TenantStop};
use crate::report::Watch;

/// A run, before it has items.
pub(super) struct Job<'a> {
    pub(super) session: Session<'a>,
    pub(super) args: &'a JobArgs,
    pub(super) mode: Mode<'a>,
    pub(super) inputs: Inputs,
}

/// How far a run is to go.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mode<'a> {
    /// Up to the first write, for people to look at.
    Plan(&'a PlanArgs),
    /// To its end, or with `--dry-run` up to the first write with a report.
    Run(&'a RunArgs),
}

/// The tenants of a run, once they are locked and signed in to.
struct Entered {
    locks: Vec<TenantLock>,
    /// Those that cannot be signed in to.
    stops: Vec<TenantStop>,
    /// All of them, with the apps that the run is bound to.
    tenants: Vec<TenantRow>,
}

/// What may be sent, and under which locks.
struct Cleared {
    survey: Survey,
    _locks: Vec<TenantLock>,
}

/// Reads, plans, checks, sends, reports.
pub(super) fn run(context: &Context, args: &mut RunArgs) -> Result<Exit, Quit> {
    let sealed = Sealed::of(context, args)?;
    begin(context, &args.job, Mode::Run(args), sealed)
}

/// The same up to the first write.
pub(super) fn plan(context: &Context, args: &PlanArgs) -> Result<Exit, Quit> {
    begin(context, &args.job, Mode::Plan(args), None)
}

fn begin(context: &Context, args: &JobArgs, mode: Mode<'_>, sealed: Option<Sealed>) -> Result<Exit, Quit> {
    let inputs = sealed.map_or_else(|| Inputs::read(&args.lists), |sealed| Ok(Inputs::sealed(sealed)))?;
    // A run that goes on has its plan in the ledger: what is wrong with its list by now is no matter.
    let problems = if mode.goes_on() { Vec::new() } else { inputs.problems.clone() };
    let settings = context.settings(&args.place, inputs.run, args.flags(), problems)?;
    if let Some(sealed) = &inputs.sealed {
        sealed.is_for(&settings)?;
    }
    let directory = settings.state_dir.clone();
    let state_dir = if args.simulate.is_some() { simulated(&directory) } else { directory };
    let session = Session::begin(context, settings, state_dir, args.limits.lock_wait)?;
    let job = Job { session, args, mode, inputs };
    let done = job.begin();
    job.session.end();
    done
}

impl<'a> Mode<'a> {
    /// Whether nothing is to be sent.
    pub(super) const fn is_dry(self) -> bool {
        match self {
            Self::Plan(_) => true,
            Self::Run(args) => args.dry_run,
        }
    }

    /// Whether nobody is to be asked.
    pub(super) const fn is_sure(self) -> bool {
        matches!(self, Self::Run(RunArgs { yes: true, .. }))
    }

    /// Whether an unfinished run is to be taken up.
    const fn goes_on(self) -> bool {
        matches!(self, Self::Run(RunArgs { go_on: true, .. }))
    }

    /// Where the report files are wished for.
    pub(super) fn out(self) -> Option<&'a Path> {
        match self {
            Self::Plan(_) => None,
            Self::Run(args) => args.out.as_deref(),
        }
    }
}

impl Job<'_> {
    /// Begins a new run, unless the last one of this job is unfinished.
    fn begin(&self) -> Result<Exit, Quit> {
        if self.args.simulate.is_none()
            && let Some(last) = unfinished(&self.session, &self.name())?
        {
            let lists = &self.args.lists;
            if self.mode.goes_on() && (lists.only_tenant.is_some() || lists.only.is_some()) {
                let line = format!("run {} is unfinished and goes on as it was planned; nothing was sent", last.header.run);
                return Err(Quit::new(Exit::Refused, line).hint("--only-tenant and --only are for new runs"));
            }
            if self.mode.goes_on() {
                return resume::go_on(&self.session, last, self.args, self.mode.out());
            }
            return Err(resume::refusal(&last.header));
        }
        if self.mode.goes_on() && !self.inputs.problems.is_empty() {
            return Err(super::context::invalid(&self.inputs.problems));
        }
        self.plan().and_then(|prepared| self.go(prepared))
    }

    /// The job's name unless the user gives one.
    pub(super) fn name(&self) -> String {
        self.args.job.clone().unwrap_or_else(|| self.inputs.name())
    }

    /// Brings a planned run to its end, whichever it is. One that ends before anything could be sent is recorded so.
    fn go(&self, prepared: Prepared) -> Result<Exit, Quit> {
        let mut watch = self.session.watch(prepared.counts.to_send, &prepared.subject.tenants);
        let (prepared, checked) = self.check(prepared, &mut watch)?;
        match checked {
            Ok(cleared) => self.send(prepared, &cleared, watch),
            Err(quit) => self.refuse(&prepared, quit),
        }
    }

    /// Everything that may forbid a run, in its order: nothing to do, another run, sign-in, what the tenants have,
    /// guards, the person.
    fn check(&self, prepared: Prepared, watch: &mut Watch) -> Result<(Prepared, Result<Cleared, Quit>), Quit> {
        let Entered { locks, stops, tenants } = match self.lock_and_sign_in(&prepared) {
            Ok(entered) => entered,
            Err(quit) => return Ok((prepared, Err(quit))),
        };
        let subject = Subject { tenants, ..prepared.subject };
        let (subject, surveyed) = self.survey(subject, stops, watch)?;
        let prepared = Prepared { subject, ..prepared };
        let shown = surveyed.and_then(|survey| self.show(&prepared, &survey).map(|()| survey));
        let allowed = shown.and_then(|survey| self.allow(&prepared, &survey).map(|()| survey));
        let allowed = allowed.and_then(|survey| self.save(&prepared, &survey).map(|()| survey));
        Ok((prepared, allowed.map(|survey| Cleared { survey, _locks: locks })))
    }

    fn lock_and_sign_in(&self, prepared: &Prepared) -> Result<Entered, Quit> {
        if prepared.counts.rows == 0 {
            return Err(self.nothing());
        }
        let session = &self.session;
        let senders = prepared.senders();
        let ids = senders.iter().map(|row| row.id).filter(|_| !self.mode.is_dry());
        let locks = session.lock(&prepared.subject.run, ids)?;
        // Another run of this job that was still being prepared when we looked may have begun, and ended, since.
        if self.args.simulate.is_none()
            && let Some((_, last)) = prepared.subject.ledger.unfinished(Some(&self.name()))?
        {
            return Err(resume::refusal(&last));
        }
        self.is_new(&prepared.subject.ledger)?;
        let service = &prepared.subject.service;
        let stops = session.interrupts.wait(&session.runtime, preflight::sign_in(service, &senders)).flatten()?;
        let tenants = &prepared.subject.tenants;
        let bound = self.inputs.sealed.as_ref().map(|sealed| sealed.bound(tenants));
        let tenants = bind(service, bound.as_ref().unwrap_or(tenants))?;
        self.advise(prepared, &senders)?;
        Ok(Entered { locks, stops, tenants })
    }

    /// Records why a run ended before anything could be sent. One that was cut off has a report all the same.
    fn refuse(&self, prepared: &Prepared, quit: Quit) -> Result<Exit, Quit> {
        let (ledger, no) = (&prepared.subject.ledger, prepared.subject.no);
        ledger.end_run(no, RunState::Refused, self.session.context.clock.stamp(), 0)?;
        ledger.set_exit_code(no, quit.exit.code())?;
        if matches!(quit.exit, Exit::Interrupted | Exit::Deadline) && !self.mode.is_dry() {
            let out = self.session.report_dir(&prepared.subject.run, self.mode.out());
            super::pastime::write(self.session.context, &self.session.settings, ledger, no, &out)?;
        }
        if quit.lines.is_empty() { Ok(quit.exit) } else { Err(quit) }
    }

    fn nothing(&self) -> Quit {
        if self.session.settings.on_empty == OnEmpty::Ok {
            return Quit { exit: Exit::Ok, lines: Vec::new() };
        }
        let filtered = self.args.lists.only.is_some() || self.args.lists.only_tenant.is_some();
        let which = if filtered { " that --only or --only-tenant lets through" } else { "" };
        let quit = Quit::new(Exit::Nothing, format!("the lists hold no rows{which}: nothing to do"));
        quit.hint("--on-empty ok makes that a success")
    }

    /// Sends what may be sent, reads back, and reports.
    fn send(&self, prepared: Prepared, cleared: &Cleared, mut watch: Watch) -> Result<Exit, Quit> {
        // The embedded Graph lives as long as it is asked.
        let Prepared { subject, simulator: _simulator, .. } = prepared;
        let (session, out) = (&self.session, self.mode.out());
        if let Mode::Plan(_) = self.mode {
            return self.end_plan(&subject);
        }
        if self.mode.is_dry() {
            return session.finish(subject, &Ended::default(), RunState::Dry, out);
        }
        subject.ledger.set_to_send(subject.no, cleared.survey.to_send + cleared.survey.unreached)?;
        subject.ledger.set_state(subject.no, RunState::Running)?;
        let clock = Clock::system();
        let mut policy = session.settings.policy.clone();
        self.args.certainty.limit(&mut policy);
        policy.pinned_until = policy.pin_max_age.saturating_sub(cleared.survey.age());
        let lists = cleared.survey.lists();
        let first = binding::events(&subject.ledger.run(subject.no)?.tenants, &subject.tenants, clock.stamp());
        let lanes = survey::open(&subject.lanes, &cleared.survey.stops);
        let spell = Spell { policy, clock, lists: &lists, lanes: &lanes, first, spent: cleared.survey.spent };
        let (ended, subject) = session.bring_forward(subject, spell, self.args.approval.approval_wait, &mut watch)?;
        session.over(&ended, &mut watch);
        drop(watch);
        session.finish(subject, &ended, RunState::Ended, out)
    }
}
