//! Prints how fast a run is where the service is not what limits it: planning, the loop, the report, and the whole
//! way over loopback beside a bare HTTP loop and curl. Prints only; nothing fails because it was slow.
//! The embedded Graph runs in a child process of its own (this program again, with `--serve`).

#![expect(clippy::print_stdout, reason = "figures are what a bench is for")]

mod peers;
mod service;

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bulk_revoke::clock::Clock;
use bulk_revoke::exec::{
    self, Answer, Goal, NextPage, NoToken, Order, Page, PerService, Policy, Reading, Sight, Transport, Verdict,
};
use bulk_revoke::graph::Graph;
use bulk_revoke::input::{Format, List, Options};
use bulk_revoke::ledger::{Ledger, NewRun, PlanWriter, Planned};
use bulk_revoke::model::{Bounds, Item, Kind, RunState, Snapshot, SourceRow, Status, TenantId, TenantRow};
use bulk_revoke::plan::{Defaults, PlanPolicy, Planner, TenantBook, TenantNo};
use bulk_revoke::report::{ReportWriter, Style, Watch, prepare};
use service::{Place, TENANT, id};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Items of each measurement over loopback: a few seconds of work.
const ITEMS: u32 = 20_000;
/// Rows of the list that is planned and reported: far beyond what one tenant holds.
const ROWS: u32 = 200_000;
/// Each figure over loopback is the median of so many rounds.
const ROUNDS: usize = 3;
/// Requests in flight: the default of `--concurrency`, and four times that.
const CONCURRENCY: [usize; 2] = [16, 64];
/// Writes that are timed to tell a slow disk from a slow program.
const SYNCS: u32 = 200;
/// The scheduler lets no more go in a second: Graph's limit per app over all tenants is 130,000 in 10 s.
const CEILING: &str = "(held to 13000/s by the app-wide limit)";

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--serve", count] => service::serve(count.parse()?),
        // `cargo test --all-targets` starts this program as well, and timing has no place in tests.
        words if !words.contains(&"--bench") => Ok(()),
        _ => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            list(&runtime)?;
            CONCURRENCY.into_iter().try_for_each(|concurrency| loopback(&runtime, concurrency))?;
            println!("peak memory of this process at the end: {}", peak());
            Ok(())
        }
    }
}

/// A long list: read, planned, sent to nobody, reported.
fn list(runtime: &Runtime) -> Outcome<()> {
    println!("a list of {ROWS} rows, one tenant");
    let clock = Clock::system();
    let mut run = Run::plan(ROWS, clock)?;
    println!("  plan: list, checks, ledger      {:>9.0} rows/s", run.planning);
    let seconds = run.drive(runtime, Arc::new(Instant), CONCURRENCY[0], clock)?;
    println!("  loop and ledger, no HTTP        {:>9.0} items/s  {CEILING}", f64::from(ROWS) / seconds);
    let began = clock.now();
    run.report()?;
    println!("  report: four files              {:>9.0} rows/s", f64::from(ROWS) / seconds_since(clock, began));
    println!("  peak memory                     {:>9}", peak());
    Ok(())
}

/// The same requests three ways, each against a fresh service; the order changes from round to round.
fn loopback(runtime: &Runtime, concurrency: usize) -> Outcome<()> {
    let mut rates: [Vec<f64>; 3] = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        for step in 0..rates.len() {
            let contender = (round + step) % rates.len();
            let place = Place::start(ITEMS, concurrency)?;
            let seconds = match contender {
                0 => ours(runtime, &place, concurrency).map(Some)?,
                1 => runtime.block_on(peers::bare(&place, ITEMS, concurrency)).map(Some)?,
                _ => peers::curl(runtime, &place, ITEMS, concurrency)?,
            };
            rates[contender].extend(seconds.map(|seconds| f64::from(ITEMS) / seconds));
        }
    }
    let [ours, bare, curl] = rates.map(median);
    println!("{ITEMS} items over loopback, {concurrency} in flight, median of {ROUNDS} rounds");
    println!("  disk, for comparison            {:>9.0} durable writes/s", disk()?);
    println!("  this program, durable ledger    {:>9.0} items/s     {CEILING}", ours.unwrap_or_default());
    println!("  bare reqwest loop, no record    {:>9.0} requests/s  {}", bare.unwrap_or_default(), ratio(ours, bare));
    match curl {
        Some(rate) => println!("  curl --parallel                 {rate:>9.0} requests/s  {}", ratio(ours, curl)),
        None => println!("  curl --parallel                 not installed"),
    }
    Ok(())
}

fn ours(runtime: &Runtime, place: &Place, concurrency: usize) -> Outcome<f64> {
    let clock = Clock::system();
    let mut run = Run::plan(ITEMS, clock)?;
    let graph = Graph::new(place.client.clone(), place.root.clone(), Arc::clone(&place.tokens), clock);
    // All contenders get their token before the time is taken.
    runtime.block_on(place.tokens.token(TENANT))?;
    run.drive(runtime, Arc::new(graph), concurrency, clock)
}

/// A run with a ledger on disk, in a folder that goes with it.
struct Run {
    folder: TempDir,
    ledger: Option<Ledger>,
    planned: Planned,
    /// Rows per second.
    planning: f64,
}

impl Run {
    /// Writes a list and plans it as the command line does.
    fn plan(rows: u32, clock: Clock) -> Outcome<Self> {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let path = folder.path().join("list.csv");
        write_list(&path, rows)?;
        let began = clock.now();
        let mut ledger = Ledger::open(&folder.path().join("state"))?;
        let planned = plan(&path, ledger.plan(&new_run(clock))?)?;
        let planning = f64::from(rows) / seconds_since(clock, began);
        ledger.set_state(planned.no, RunState::Running)?;
        Ok(Self { folder, ledger: Some(ledger), planned, planning })
    }

    /// Brings all items to their outcomes; returns how many seconds that took.
    fn drive<T: Transport>(&mut self, runtime: &Runtime, transport: Arc<T>, concurrency: usize, clock: Clock) -> Outcome<f64> {
        let ledger = self.ledger.take().ok_or("the ledger is gone")?;
        let mut journal = ledger.journal(self.planned.no, vec![TENANT])?;
        let mut observer = Watch::nothing();
        // Its sender lives as long as the run, as that of the signals does.
        let (_stopper, stop) = watch::channel(exec::Stop::Run);
        let began = clock.now();
        let run = exec::Run {
            policy: policy(concurrency)?,
            lanes: &self.planned.lanes,
            lists: &[],
            transport,
            journal: &mut journal,
            observer: &mut observer,
            clock,
            stop,
        };
        let ended = runtime.block_on(exec::run(run));
        let seconds = seconds_since(clock, began);
        let ledger = journal.close()?;
        let mut accepted = 0;
        ledger.rows(self.planned.no, |row| -> Outcome<()> {
            accepted += u64::from(row.progress.status() == Status::Accepted);
            Ok(())
        })?;
        self.ledger = Some(ledger);
        if accepted == self.planned.rows {
            Ok(seconds)
        } else {
            Err(format!("only {accepted} of {} items were accepted: {ended:?}", self.planned.rows).into())
        }
    }

    fn report(&self) -> Outcome<()> {
        let ledger = self.ledger.as_ref().ok_or("the ledger is gone")?;
        let out = self.folder.path().join("report");
        prepare(&out)?;
        let header = ledger.run(self.planned.no)?;
        let mut writer = ReportWriter::create(&out, &header, Style::default())?;
        ledger.rows(self.planned.no, |row| -> Outcome<()> { Ok(writer.row(&row)?) })?;
        writer.finish(|_| 0)?;
        Ok(())
    }
}

/// Rows as an export has them: kind, id and a column of the user's own.
fn write_list(path: &Path, rows: u32) -> Outcome<()> {
    let mut file = BufWriter::new(File::create(path)?);
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
    let told = |problem: &dyn std::fmt::Display| problem.to_string();
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
        root: "http://127.0.0.1".to_owned(),
        authority: "http://127.0.0.1".to_owned(),
    }
}

fn policy(concurrency: usize) -> Outcome<Policy> {
    Ok(Policy {
        concurrency: NonZeroUsize::try_from(concurrency)?,
        quota: None,
        rate: None,
        max_attempts: NonZeroU32::MIN,
        max_pause: Duration::from_mins(1),
        deadline: None,
        max_fail: Bounds::default(),
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

/// A service that says yes before it is asked: what is left is the loop and the ledger.
struct Instant;

impl Transport for Instant {
    fn is_ready(&self, _: TenantId) -> bool {
        true
    }

    async fn sign_in(&self, _: TenantId) -> Result<(), NoToken> {
        Ok(())
    }

    async fn send(&self, _: Order) -> Answer {
        Answer {
            token: None,
            verdict: Verdict::Settled { status: Status::Accepted, reason: String::new() },
            http_status: Some(204),
            error_code: None,
            message: None,
            request_id: None,
            approval_code: None,
        }
    }

    async fn look(&self, _: Item) -> Reading<Snapshot> {
        Reading { sight: Sight::Gone, token: None }
    }

    async fn list(&self, _: TenantId, _: Kind, _: Option<NextPage>) -> Reading<Page> {
        Reading { sight: Sight::Gone, token: None }
    }
}

/// Small writes that are durable, per second: what every commit of the ledger has to wait for.
fn disk() -> Outcome<f64> {
    let mut file = tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR"))?;
    let clock = Clock::system();
    for _ in 0..SYNCS {
        file.write_all(&[1; 4096])?;
        file.sync_data()?;
    }
    Ok(f64::from(SYNCS) / clock.now().as_secs_f64())
}

fn seconds_since(clock: Clock, began: Duration) -> f64 {
    clock.now().saturating_sub(began).as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> Option<f64> {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied()
}

fn ratio(ours: Option<f64>, theirs: Option<f64>) -> String {
    ours.zip(theirs).map_or_else(String::new, |(ours, theirs)| format!("(ours is {:.2} of it)", ours / theirs))
}

/// The most memory that was ever in use, where the system tells.
fn peak() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()).and_then(|text| text.parse::<u64>().ok());
    kilobytes.map_or_else(|| "unknown".to_owned(), |kilobytes| format!("{} MB", kilobytes / 1024))
}
