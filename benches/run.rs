//! A run as the command line makes it: planned from a list into a ledger on disk, sent, taken up again, reported.

use std::fmt::Display;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bulk_revoke::clock::Clock;
use bulk_revoke::exec::{self, Goal, Justification, PerService, Policy, Quota, Scope, Stop, Transport, concerns};
use bulk_revoke::graph::Graph;
use bulk_revoke::input::{Format, List, Options};
use bulk_revoke::ledger::{Ledger, NewRun, PlanWriter, Planned, RunNo};
use bulk_revoke::model::{Bounds, ItemNo, Lane, RunState, SourceRow, Status, TenantRow};
use bulk_revoke::plan::{Defaults, PlanPolicy, Planner, TenantBook, TenantNo};
use bulk_revoke::report::{ReportWriter, Style, Watch, prepare};
use tokio::sync::watch;

use super::Outcome;
use super::service::{Access, TENANT, id};

/// A run with its ledger on disk.
pub(super) struct Run {
    ledger: Ledger,
    no: RunNo,
    lanes: Vec<Lane>,
}

impl Run {
    /// Plans the list of a folder as the command line does, into a ledger beside it.
    pub(super) fn plan(folder: &Path, clock: Clock) -> Outcome<Self> {
        let mut ledger = Ledger::open(&folder.join("state"))?;
        let Planned { no, lanes, .. } = plan(&folder.join("list.csv"), ledger.plan(&new_run(clock))?)?;
        ledger.set_state(no, RunState::Running)?;
        Ok(Self { ledger, no, lanes })
    }

    /// Takes up the unfinished run of a folder as the command line does, the count of what is left included.
    pub(super) fn resume(folder: &Path) -> Outcome<Self> {
        let ledger = Ledger::open(&folder.join("state"))?;
        let (no, _) = ledger.unfinished(None)?.ok_or("no run is unfinished")?;
        let (mut passed, mut last, mut has_open) = (0, ItemNo(0), false);
        ledger.count(no, |work| {
            has_open |= concerns(Goal::Revoke, &work.progress);
            if !has_open {
                (passed, last) = (passed + 1, work.item.no);
            }
            has_open
        })?;
        // There is one lane. What was finished at its beginning is passed over.
        let lanes = ledger.lanes(no)?.into_iter().map(|lane| Lane { after: last, items: lane.items - passed, ..lane });
        Ok(Self { lanes: lanes.collect(), ledger, no })
    }

    /// Sends all items over HTTP.
    pub(super) async fn send(self, access: &Access, policy: Policy, clock: Clock) -> Outcome<Self> {
        let graph = Graph::new(access.client.clone(), access.root.clone(), Arc::clone(&access.tokens), clock);
        // Its sender lives as long as the run, as that of the signals does.
        let (_stopper, stop) = watch::channel(Stop::Run);
        self.drive(Arc::new(graph), policy, clock, stop).await
    }

    /// Brings items to their outcomes until all have one, or somebody says stop.
    pub(super) async fn drive<T: Transport>(
        self,
        transport: Arc<T>,
        policy: Policy,
        clock: Clock,
        stop: watch::Receiver<Stop>,
    ) -> Outcome<Self> {
        let Self { ledger, no, lanes } = self;
        let (mut journal, mut watch) = (ledger.journal(no, vec![TENANT])?, Watch::nothing());
        let ended = exec::run(exec::Run {
            policy,
            lanes: &lanes,
            lists: &[],
            counted: &[],
            asks_why: &[],
            transport,
            journal: &mut journal,
            observer: &mut watch,
            clock,
            stop,
        })
        .await;
        let ledger = journal.close()?;
        ended.journal_error.map_or(Ok(Self { ledger, no, lanes }), |error| Err(error.into()))
    }

    /// An error unless every item was accepted.
    pub(super) fn check(&self) -> Outcome<()> {
        let left = self.ledger.count(self.no, |work| work.progress.status() != Status::Accepted)?;
        if left == 0 { Ok(()) } else { Err(format!("{left} items were not accepted").into()) }
    }

    /// Writes the report's files into a folder.
    pub(super) fn report(&self, folder: &Path) -> Outcome<()> {
        let out = folder.join("report");
        prepare(&out)?;
        let header = self.ledger.run(self.no)?;
        let mut writer = ReportWriter::create(&out, &header, Style::default())?;
        self.ledger.rows(self.no, |row| -> Outcome<()> { Ok(writer.row(&row)?) })?;
        writer.finish(|_| 0)?;
        Ok(())
    }
}

/// Writes the list of a folder. Rows as an export has them: kind, id and a column of the user's own.
pub(super) fn write_list(folder: &Path, rows: u32) -> Outcome<()> {
    let mut file = BufWriter::new(File::create(folder.join("list.csv"))?);
    writeln!(file, "kind,id,displayName")?;
    for row in 0..rows {
        writeln!(file, "androidDeviceOwnerEnrollmentProfile,{},\"Kiosk, hall {row}\"", id(row))?;
    }
    Ok(file.flush()?)
}

/// Every row is of the one tenant.
struct OneTenant;

impl TenantBook for OneTenant {
    fn find(&mut self, _: Option<&str>) -> Result<TenantNo, String> {
        Ok(0)
    }
}

fn plan(path: &Path, mut writer: PlanWriter<'_>) -> Outcome<Planned> {
    let options = Options { format: Format::Csv, id_column: None };
    let told = |problem: &dyn Display| problem.to_string();
    let list = List::open(0, "list.csv", File::open(path)?, &options);
    let list = list.map_err(|problems| problems.iter().map(|problem| told(problem)).collect::<Vec<_>>().join("\n"))?;
    let source = list.source().clone();
    let mut planner = Planner::new(PlanPolicy::default());
    planner.source(source.clone());
    for entry in list {
        let entry = entry.map_err(|problem| told(&problem))?;
        if let Some(row) = planner.judge(entry, &Defaults::default(), &mut OneTenant) {
            writer.add(&row)?;
        }
    }
    let tenant = TenantRow { id: TENANT, label: "contoso".to_owned(), app: String::new() };
    Ok(writer.commit(&[SourceRow { name: source.name, columns: source.columns }], &[tenant])?)
}

fn new_run(clock: Clock) -> NewRun {
    NewRun {
        run: "bench".to_owned(),
        job: "bench".to_owned(),
        started_at: clock.stamp(),
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        operator: "bench".to_owned(),
        ticket: None,
        justification: None,
        sealed: None,
        reissued: false,
        root: "http://127.0.0.1".to_owned(),
        authority: "http://127.0.0.1".to_owned(),
    }
}

/// Sends and nothing else: what a bench measures is neither reading before nor reading back.
pub(super) fn policy(concurrency: usize, quota: Option<Quota>) -> Outcome<Policy> {
    Ok(Policy {
        concurrency: NonZeroUsize::try_from(concurrency)?,
        quota,
        rate: None,
        max_attempts: NonZeroU32::MIN,
        max_pause: Duration::from_mins(1),
        deadline: None,
        max_fail: Bounds::default(),
        scope: Scope::All,
        justification: Justification::None,
        goal: Goal::Revoke,
        settle: PerService { android: Duration::ZERO, vpp: Duration::ZERO },
        verify: false,
        verify_deadline: PerService { android: Duration::ZERO, vpp: Duration::ZERO },
        pins: false,
        pin_max_age: Duration::from_mins(1),
        pinned_until: Duration::ZERO,
        allow_reissued: false,
    })
}
