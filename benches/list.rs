//! Lists of several lengths: planned and half sent by one process, taken up again, finished and reported by the next.
//! Both are this program again, so that each peak of memory is that of its own work.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bulk_revoke::clock::Clock;
use bulk_revoke::exec::{Answer, NextPage, NoToken, Order, Page, Reading, Sight, Stop, Transport, Verdict};
use bulk_revoke::model::{Item, Kind, Snapshot, Status, TenantId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::run::{Run, policy, write_list};
use super::service::runtime;
use super::{Outcome, line, rate};

/// Requests in flight: the default of `--concurrency`.
const CONCURRENCY: usize = 16;

/// What the first process tells. Rates are per second, times in seconds.
#[derive(Serialize, Deserialize)]
struct Begun {
    planning: f64,
    first_request: f64,
    sending: f64,
    peak: Option<u64>,
}

/// What the second one tells.
#[derive(Serialize, Deserialize)]
struct Finished {
    first_request: f64,
    reporting: f64,
    peak: Option<u64>,
}

/// One list, far beyond what a tenant holds.
pub(super) fn list() -> Outcome<()> {
    table(&[200_000])
}

/// From a short list to the longest that is promised.
pub(super) fn memory() -> Outcome<()> {
    table(&[1_000, 100_000, 1_000_000])
}

/// A column for each length.
fn table(lengths: &[u32]) -> Outcome<()> {
    let columns: Vec<(Begun, Finished)> = lengths.iter().map(|rows| measure(*rows)).collect::<Outcome<_>>()?;
    let figures = |name: &str, figure: &dyn Fn(&(Begun, Finished)) -> String| {
        line(name, columns.iter().map(|column| format!("{:>11}", figure(column))));
    };
    println!("one tenant, no HTTP, {CONCURRENCY} in flight");
    line("rows of the list", lengths.iter().map(|rows| format!("{rows:>11}")));
    figures("plan: list, checks, ledger, rows/s", &|(begun, _)| format!("{:.0}", begun.planning));
    figures("list to first request, s", &|(begun, _)| format!("{:.3}", begun.first_request));
    figures("loop and ledger, items/s", &|(begun, _)| format!("{:.0}", begun.sending));
    figures("peak memory until half is sent, MiB", &|(begun, _)| mebibytes(begun.peak));
    figures("half-finished ledger to first request, s", &|(_, finished)| format!("{:.3}", finished.first_request));
    figures("report: four files, rows/s", &|(_, finished)| format!("{:.0}", finished.reporting));
    figures("peak memory of the second half, MiB", &|(_, finished)| mebibytes(finished.peak));
    Ok(())
}

fn mebibytes(kibibytes: Option<u64>) -> String {
    kibibytes.map_or_else(|| "unknown".to_owned(), |kibibytes| (kibibytes / 1024).to_string())
}

/// Both halves of a list, each by a process of its own.
fn measure(rows: u32) -> Outcome<(Begun, Finished)> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    Ok((half("--begin", rows, folder.path())?, half("--finish", rows, folder.path())?))
}

fn half<T: DeserializeOwned>(name: &str, rows: u32, folder: &Path) -> Outcome<T> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.args([name, &rows.to_string()]).arg(folder).stderr(Stdio::inherit()).output()?;
    if output.status.success() { Ok(serde_json::from_slice(&output.stdout)?) } else { Err(format!("{name} went wrong").into()) }
}

/// The first half, in a process of its own: the list, the plan, half of the items. It ends as if it had been killed.
pub(super) fn begin(rows: u32, folder: &Path) -> Outcome<()> {
    write_list(folder, rows)?;
    let clock = Clock::system();
    let run = Run::plan(folder, clock)?;
    let planning = rate(rows, clock, Duration::ZERO);
    let (transport, stop) = Instant::new(clock, rows / 2);
    runtime()?.block_on(run.drive(Arc::clone(&transport), policy(CONCURRENCY, None)?, clock, stop))?;
    let first = transport.first()?;
    let sending = rate(transport.sent.load(Ordering::Relaxed), clock, first);
    let begun = Begun { planning, first_request: first.as_secs_f64(), sending, peak: peak() };
    println!("{}", serde_json::to_string(&begun)?);
    Ok(())
}

/// The second half, in a process of its own: the rest of the items, and the report.
pub(super) fn finish(rows: u32, folder: &Path) -> Outcome<()> {
    let clock = Clock::system();
    let run = Run::resume(folder)?;
    let (transport, stop) = Instant::new(clock, u32::MAX);
    let run = runtime()?.block_on(run.drive(Arc::clone(&transport), policy(CONCURRENCY, None)?, clock, stop))?;
    run.check()?;
    let began = clock.now();
    run.report(folder)?;
    let reporting = rate(rows, clock, began);
    let finished = Finished { first_request: transport.first()?.as_secs_f64(), reporting, peak: peak() };
    println!("{}", serde_json::to_string(&finished)?);
    Ok(())
}

/// The most memory that this process ever had in use, in kibibytes, where the system tells.
fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A service that says yes before it is asked: what is left is the loop and the ledger.
struct Instant {
    clock: Clock,
    first: OnceLock<Duration>,
    sent: AtomicU32,
    /// After so many it says stop.
    most: u32,
    stop: watch::Sender<Stop>,
}

impl Instant {
    fn new(clock: Clock, most: u32) -> (Arc<Self>, watch::Receiver<Stop>) {
        let (stop, heard) = watch::channel(Stop::Run);
        (Arc::new(Self { clock, first: OnceLock::new(), sent: AtomicU32::new(0), most, stop }), heard)
    }

    /// When the first request came.
    fn first(&self) -> Outcome<Duration> {
        Ok(*self.first.get().ok_or("nothing was sent")?)
    }
}

impl Transport for Instant {
    fn is_ready(&self, _: TenantId) -> bool {
        true
    }

    async fn sign_in(&self, _: TenantId) -> Result<(), NoToken> {
        Ok(())
    }

    async fn send(&self, _: Order) -> Answer {
        self.first.get_or_init(|| self.clock.now());
        if self.sent.fetch_add(1, Ordering::Relaxed) + 1 == self.most {
            self.stop.send_replace(Stop::Drain);
        }
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
