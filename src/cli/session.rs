//! A session: one spell of work on a run, whether it begins the run, takes it up again or only reads back.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::context::Context;
use super::exit::{Exit, Quit};
use super::preflight::Service;
use super::signal::Interrupts;
use super::{pastime, streams};
use crate::clock::Clock;
use crate::config::Settings;
use crate::exec::{self, Counted, Ended, Goal, Journal as _, Justification, Observer, Policy, Pulse};
use crate::graph::Graph;
use crate::ledger::{Ledger, LockError, RunNo, TenantLock};
use crate::model::{Event, Kind, Lane, RunState, Spent, StoppedBy, TenantId, TenantRow, What};
use crate::report::{Watch, plain};

/// How often a lock that another run holds is tried.
const LOCK_POLL: Duration = Duration::from_millis(200);

/// What every session has.
pub(super) struct Session<'a> {
    pub(super) context: &'a Context,
    pub(super) settings: Settings,
    pub(super) interrupts: Interrupts,
    pub(super) runtime: Runtime,
    /// Where ledger and locks are.
    pub(super) state_dir: PathBuf,
    pub(super) lock_wait: Duration,
}

/// The run that is worked on.
pub(super) struct Subject {
    pub(super) ledger: Ledger,
    pub(super) no: RunNo,
    pub(super) run: String,
    pub(super) tenants: Vec<TenantRow>,
    pub(super) lanes: Vec<Lane>,
    pub(super) service: Service,
    /// What is said where a second administrator decides.
    pub(super) justification: Option<String>,
    /// Tenants that are known to ask why requests are made.
    pub(super) asks_why: Vec<TenantId>,
    /// What the service may still count; none: only the ledger knows.
    pub(super) counted: Option<Vec<Counted>>,
}

/// One pass of the executor over a run.
pub(super) struct Spell<'s> {
    pub(super) policy: Policy,
    /// Its zero is the beginning of the spell: no deadline counts how long a person thought.
    pub(super) clock: Clock,
    /// The lists whose size is known.
    pub(super) lists: &'s [(TenantId, Kind, Option<usize>)],
    /// What is worked on.
    pub(super) lanes: &'s [Lane],
    /// What is recorded before anything else.
    pub(super) first: Vec<Event>,
    /// Where the time went that was spent on what went before it.
    pub(super) spent: Spent,
}

impl<'a> Session<'a> {
    /// Begins to listen to signals.
    pub(super) fn begin(
        context: &'a Context,
        settings: Settings,
        state_dir: PathBuf,
        lock_wait: Option<Duration>,
    ) -> Result<Self, Quit> {
        let runtime = runtime()?;
        let interrupts = Interrupts::listen(&runtime);
        Ok(Self { context, settings, interrupts, runtime, state_dir, lock_wait: lock_wait.unwrap_or_default() })
    }

    /// Ends it. A look-up that hangs in the system's resolver must not hold us.
    pub(super) fn end(self) {
        self.runtime.shutdown_background();
    }

    /// Shows how a spell over so many items is doing, and starts the log beside it.
    pub(super) fn watch(&self, items: u64, tenants: &[TenantRow]) -> Watch {
        let watch = if self.context.draws() {
            Watch::bar(items, tenants)
        } else if self.context.is_lined() {
            Watch::lines(items, tenants, Box::new(streams::note))
        } else {
            Watch::nothing()
        };
        self.interrupts.hang(watch.curtain());
        self.context.start_log(&self.settings, watch.curtain());
        watch
    }

    /// Locks tenants in the order of their ids, so that two runs never wait for each other.
    pub(super) fn lock(&self, run: &str, tenants: impl Iterator<Item = TenantId>) -> Result<Vec<TenantLock>, Quit> {
        let (operator, since) = (self.context.env.operator(), self.context.clock.stamp());
        let owner = format!("run {run}, {operator} (pid {}), since {since}", std::process::id());
        let mut tenants: Vec<TenantId> = tenants.collect();
        tenants.sort_unstable();
        tenants.dedup();
        let until = self.context.clock.now() + self.lock_wait;
        tenants.into_iter().map(|tenant| self.lock_one(tenant, &owner, until)).collect()
    }

    fn lock_one(&self, tenant: TenantId, owner: &str, until: Duration) -> Result<TenantLock, Quit> {
        let mut told = false;
        loop {
            let now = self.context.clock.now();
            match TenantLock::take(&self.state_dir, tenant, owner) {
                Err(held @ LockError::Held { .. }) if now < until => {
                    if !std::mem::replace(&mut told, true) {
                        self.context.say(&plain(&format!("{held}; waiting for it")));
                    }
                    let pause = LOCK_POLL.min(until.saturating_sub(now));
                    self.interrupts.wait(&self.runtime, async { tokio::time::sleep(pause).await })?;
                }
                taken => return taken.map_err(Quit::from),
            }
        }
    }

    /// Brings the run's items forward, with everything durable before it is shown.
    pub(super) fn work(
        &self,
        subject: Subject,
        spell: Spell<'_>,
        observer: &mut impl Observer,
    ) -> Result<(Ended, Subject), Quit> {
        let Spell { mut policy, clock, lists, lanes, first, mut spent } = spell;
        let Subject { ledger, no, run, service, lanes: planned, tenants, justification, asks_why, counted } = subject;
        policy.justification = justification.as_ref().map_or(Justification::None, |_| self.settings.justification);
        let graph = Graph::new(service.client.clone(), service.root.clone(), Arc::clone(&service.tokens), clock);
        let graph = graph.because(justification.as_deref());
        let counted = match (counted, policy.quota) {
            (Some(counted), _) => counted,
            (None, Some(quota)) => {
                let (root, times) = (service.root.to_string(), (quota.per, self.settings.timeout));
                ledger.sent_lately((&root, &tenants), clock.stamp(), times)?
            }
            (None, None) => Vec::new(),
        };
        let mut journal = ledger.journal(no, tenants.iter().map(|row| row.id).collect())?;
        let is_last = policy.goal != Goal::Survey;
        let mut ended = spell_runtime()?.block_on(async {
            let first = Arc::new(first);
            if let Err(error) = journal.commit(Arc::clone(&first)).await {
                return Ended { stopped_by: Some(StoppedBy::Ledger), journal_error: Some(error), ..Ended::default() };
            }
            let known: Vec<Event> = first.iter().filter(|event| event.item.is_some()).cloned().collect();
            if !known.is_empty() {
                observer.observe(&known, &Pulse { at: clock.stamp(), ..Pulse::default() });
            }
            let run = exec::Run {
                policy,
                lanes,
                lists,
                counted: &counted,
                asks_why: &asks_why,
                transport: Arc::new(graph),
                journal: &mut journal,
                observer,
                clock,
                stop: self.interrupts.receiver(),
            };
            let mut ended = exec::run(run).await;
            spent += ended.spent;
            if is_last {
                let what = What::Ended { stopped_by: ended.stopped_by, spent: Box::new(spent) };
                let over = Event { item: None, at: clock.stamp(), what };
                if let Err(error) = journal.commit(Arc::new(vec![over])).await {
                    ended.journal_error.get_or_insert(error);
                }
            }
            ended
        });
        let ledger = journal.close()?;
        let counted = Some(std::mem::take(&mut ended.counted));
        let asks_why = std::mem::take(&mut ended.asks_why);
        Ok((ended, Subject { ledger, no, run, tenants, lanes: planned, service, justification, asks_why, counted }))
    }

    /// Shows that it is over.
    pub(super) fn over(&self, ended: &Ended, watch: &mut Watch) {
        let what = What::Ended { stopped_by: ended.stopped_by, spent: Box::default() };
        let at = self.context.clock.stamp();
        watch.observe(&[Event { item: None, at, what }], &Pulse { at, ..Pulse::default() });
    }

    /// Writes the report from the ledger, shows the summary, and derives the exit code.
    pub(super) fn finish(&self, subject: Subject, ended: &Ended, state: RunState, out: Option<&Path>) -> Result<Exit, Quit> {
        let Subject { ledger, no, run, .. } = subject;
        let (context, settings) = (self.context, &self.settings);
        let dir = self.report_dir(&run, out);
        if let Some(error) = &ended.journal_error {
            // What the ledger has is still worth a report; what it lacks is told here and now.
            tell_unrecorded(&ended.unrecorded);
            let _ = pastime::write(context, settings, &ledger, no, &dir);
            let hint = format!("free the disk, then finish the run: bulk-revoke resume {run}");
            return Err(Quit::new(Exit::Record, format!("failed to {error}")).hint(hint));
        }
        let pending = ledger.pending(no)?;
        ledger.end_run(no, state, context.clock.stamp(), pending)?;
        let exit = pastime::write(context, settings, &ledger, no, &dir)?;
        if out.is_none() && state == RunState::Ended {
            latest(&settings.report_dir, &run);
        }
        Ok(exit)
    }

    /// Where a run's report goes.
    pub(super) fn report_dir(&self, run: &str, out: Option<&Path>) -> PathBuf {
        out.map_or_else(|| self.settings.report_dir.join(run), Path::to_owned)
    }
}

/// The runtime of everything that waits.
pub(super) fn runtime() -> Result<Runtime, Quit> {
    built(&mut tokio::runtime::Builder::new_multi_thread())
}

/// One thread drives all requests of a spell: no answer waits for another thread to wake up. What it leaves of
/// connections ends with it.
fn spell_runtime() -> Result<Runtime, Quit> {
    built(&mut tokio::runtime::Builder::new_current_thread())
}

fn built(builder: &mut tokio::runtime::Builder) -> Result<Runtime, Quit> {
    builder.enable_all().build().map_err(|error| Quit::new(Exit::Internal, format!("failed to start the runtime: {error}")))
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
