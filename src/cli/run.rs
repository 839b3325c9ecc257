//! The main job, end to end: read, plan, check, send, report.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Runtime;

use super::args::RunArgs;
use super::context::{Context, simulated};
use super::exit::{Exit, Quit};
use super::lists::Inputs;
use super::planning::Prepared;
use super::signal::Interrupts;
use super::{pastime, preflight, streams};
use crate::clock::Clock;
use crate::config::{OnEmpty, Settings};
use crate::exec::{self, Ended, Journal as _, Observer as _, Pulse};
use crate::graph::Graph;
use crate::ledger::TenantLock;
use crate::model::{Event, RunState, StoppedBy, TenantId, TenantStop, What};
use crate::report::{Watch, plain};

/// A run, before it has items.
pub(super) struct Job<'a> {
    pub(super) context: &'a Context,
    pub(super) args: &'a RunArgs,
    pub(super) settings: Settings,
    pub(super) inputs: Inputs,
    pub(super) interrupts: Interrupts,
    pub(super) runtime: Runtime,
}

/// Reads, plans, checks, sends, reports.
pub(super) fn run(context: &Context, args: &RunArgs) -> Result<Exit, Quit> {
    let inputs = Inputs::read(&args.lists)?;
    let settings = context.settings(&args.place, inputs.run, args.flags(), inputs.problems.clone())?;
    let runtime = runtime()?;
    let job = Job { context, args, settings, inputs, interrupts: Interrupts::listen(&runtime), runtime };
    let done = job.plan().and_then(|prepared| job.go(prepared));
    // A look-up that hangs in the system's resolver must not hold us.
    job.runtime.shutdown_background();
    done
}

/// The runtime of everything that waits.
pub(super) fn runtime() -> Result<Runtime, Quit> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Quit::new(Exit::Internal, format!("failed to start the runtime: {error}")))
}

impl Job<'_> {
    /// Brings a planned run to its end, whichever it is. One that ends before anything could be sent is recorded so.
    fn go(&self, prepared: Prepared) -> Result<Exit, Quit> {
        let watch = self.watch(&prepared);
        self.interrupts.hang(watch.curtain());
        self.context.start_log(&self.settings, watch.curtain());
        match self.check(&prepared) {
            Ok((stops, _locks)) => {
                let (ended, prepared) = self.send(prepared, watch, &stops)?;
                self.finish(prepared, &ended)
            }
            Err(quit) => {
                prepared.ledger.end_run(prepared.planned.no, RunState::Refused, self.context.clock.stamp())?;
                prepared.ledger.set_exit_code(prepared.planned.no, quit.exit.code())?;
                if quit.lines.is_empty() { Ok(quit.exit) } else { Err(quit) }
            }
        }
    }

    /// Everything that may forbid a run, in its order: nothing to do, another run, sign-in, guards, the person.
    fn check(&self, prepared: &Prepared) -> Result<(Vec<TenantStop>, Vec<TenantLock>), Quit> {
        if prepared.counts.rows == 0 {
            return Err(self.nothing());
        }
        let locks = if self.args.dry_run { Vec::new() } else { self.lock(prepared)? };
        let senders = prepared.senders();
        let signed_in = self.interrupts.wait(&self.runtime, preflight::sign_in(&prepared.service.tokens, &senders));
        let allowed = signed_in.flatten().and_then(|stops| self.allow(prepared).map(|()| stops));
        match allowed {
            // The run is there, and ends like one that is interrupted later: with a report.
            Err(quit) if quit.exit == Exit::Interrupted && !self.args.dry_run => Ok((Vec::new(), locks)),
            allowed => allowed.map(|stops| (stops, locks)),
        }
    }

    /// Where this run's ledger and locks are; simulated runs are never mixed with real ones.
    pub(super) fn state_dir(&self) -> PathBuf {
        let directory = &self.settings.state_dir;
        if self.args.simulate.is_some() { simulated(directory) } else { directory.clone() }
    }

    fn nothing(&self) -> Quit {
        if self.settings.on_empty == OnEmpty::Ok {
            return Quit { exit: Exit::Ok, lines: Vec::new() };
        }
        let filtered = self.args.lists.only.is_some() || self.args.lists.only_tenant.is_some();
        let which = if filtered { " that --only or --only-tenant lets through" } else { "" };
        let quit = Quit::new(Exit::Nothing, format!("the lists hold no rows{which}: nothing to do"));
        quit.hint("--on-empty ok makes that a success")
    }

    fn watch(&self, prepared: &Prepared) -> Watch {
        let (total, tenants) = (prepared.counts.to_send, &prepared.tenants);
        if self.context.draws() {
            Watch::bar(total, tenants)
        } else if self.context.is_lined() {
            Watch::lines(total, tenants, Box::new(streams::note))
        } else {
            Watch::nothing()
        }
    }

    /// Locks every tenant that has something to send, in the order of their ids, so that two runs never wait for each other.
    fn lock(&self, prepared: &Prepared) -> Result<Vec<TenantLock>, Quit> {
        let (operator, since) = (self.context.env.operator(), self.context.clock.stamp());
        let owner = format!("run {}, {operator} (pid {}), since {since}", prepared.run, std::process::id());
        let mut tenants: Vec<TenantId> = prepared.senders().iter().map(|row| row.id).collect();
        tenants.sort_unstable();
        let directory = self.state_dir();
        tenants.into_iter().map(|tenant| TenantLock::take(&directory, tenant, &owner).map_err(Quit::from)).collect()
    }

    /// Sends, with everything durable before it is shown. A dry run only notes which tenants it could not sign in to.
    fn send(&self, prepared: Prepared, mut watch: Watch, stops: &[TenantStop]) -> Result<(Ended, Prepared), Quit> {
        let Prepared { ledger, planned, service, tenants, .. } = prepared;
        if !self.args.dry_run {
            ledger.set_state(planned.no, RunState::Running)?;
        }
        let mut journal = ledger.journal(planned.no, tenants.iter().map(|row| row.id).collect())?;
        let is_open = |tenant: TenantId| stops.iter().all(|stop| stop.tenant != tenant);
        let lanes: Vec<_> = planned.lanes.iter().filter(|lane| is_open(lane.tenant)).copied().collect();
        // Its zero is the first moment at which something may be sent: no deadline counts how long a person thought.
        let clock = Clock::system();
        let stopped = |stop: &TenantStop| Event { item: None, at: clock.stamp(), what: What::TenantStopped(stop.clone()) };
        let ended = self.runtime.block_on(async {
            if let Err(error) = journal.commit(Arc::new(stops.iter().map(stopped).collect())).await {
                return Ended { stopped_by: Some(StoppedBy::Ledger), journal_error: Some(error), ..Ended::default() };
            }
            if self.args.dry_run {
                return Ended::default();
            }
            let run = exec::Run {
                policy: self.settings.policy.clone(),
                lanes: &lanes,
                transport: Arc::new(Graph::new(service.client.clone(), service.root.clone(), Arc::clone(&service.tokens), clock)),
                journal: &mut journal,
                observer: &mut watch,
                clock,
                stop: self.interrupts.receiver(),
            };
            let mut ended = exec::run(run).await;
            let over = Event { item: None, at: clock.stamp(), what: What::Ended { stopped_by: ended.stopped_by } };
            match journal.commit(Arc::new(vec![over.clone()])).await {
                Ok(()) => watch.observe(&[over], &Pulse::default()),
                Err(error) => drop(ended.journal_error.get_or_insert(error)),
            }
            ended
        });
        let ledger = journal.close()?;
        Ok((ended, Prepared { ledger, planned, tenants, service, ..prepared }))
    }

    /// Writes the report from the ledger, shows the summary, and derives the exit code.
    fn finish(&self, prepared: Prepared, ended: &Ended) -> Result<Exit, Quit> {
        let Prepared { ledger, planned, out, run, simulator, .. } = prepared;
        drop(simulator);
        if let Some(error) = &ended.journal_error {
            // What the ledger has is still worth a report; what it lacks is told here and now.
            tell_unrecorded(&ended.unrecorded);
            let _ = pastime::write(self.context, &self.settings, &ledger, planned.no, &out);
            let hint = format!("free the disk, then write the report again: bulk-revoke report {run}");
            return Err(Quit::new(Exit::Record, format!("failed to {error}")).hint(hint));
        }
        let state = if self.args.dry_run { RunState::Dry } else { RunState::Ended };
        ledger.end_run(planned.no, state, self.context.clock.stamp())?;
        let exit = pastime::write(self.context, &self.settings, &ledger, planned.no, &out)?;
        if self.args.out.is_none() && !self.args.dry_run {
            latest(&self.settings.report_dir, &run);
        }
        Ok(exit)
    }
}

/// Outcomes that are known and could not be made durable: the ledger will call these items unknown.
fn tell_unrecorded(events: &[Event]) {
    for event in events {
        if let (Some(no), Ok(what)) = (event.item, serde_json::to_string(&event.what)) {
            streams::note(&format!("not recorded: item {} at {}: {}", no.0, event.at, plain(&what)));
        }
    }
}

/// Points `latest` at this run's directory. It is a convenience: where it cannot be made, nothing is lost.
fn latest(report_dir: &Path, run: &str) {
    #[cfg(unix)]
    {
        let (link, fresh) = (report_dir.join("latest"), report_dir.join(format!(".latest.{run}")));
        let made = std::os::unix::fs::symlink(run, &fresh).and_then(|()| std::fs::rename(&fresh, &link));
        if let Err(error) = made {
            tracing::warn!(%error, link = %link.display(), "failed to point latest at this run");
        }
    }
    #[cfg(not(unix))]
    let _ = (report_dir, run);
}
