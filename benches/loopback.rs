//! The whole way over loopback, without a quota, beside a bare HTTP loop and curl: the same requests to the same service.

use std::io::Write as _;
use std::time::Duration;

use bulk_revoke::clock::Clock;

use super::run::{Run, policy, write_list};
use super::service::{Place, TENANT, runtime, threads};
use super::{Outcome, peers, rate};

/// Items of each measurement: a few seconds of work.
const ITEMS: u32 = 20_000;
/// Each figure is the median of so many rounds.
const ROUNDS: usize = 3;
/// Requests in flight: the default of `--concurrency`, and four times that.
const CONCURRENCY: [usize; 2] = [16, 64];
/// Writes that are timed to tell a slow disk from a slow program.
const SYNCS: u32 = 200;

/// One way to send the requests.
type Contender = fn(&Place, usize) -> Outcome<Option<f64>>;

/// Those that are compared. The bare loop is measured on both runtimes, and its better one counts.
const CONTENDERS: [Contender; 4] = [
    ours,
    |place, concurrency| peers::bare(&runtime()?, place, ITEMS, concurrency).map(Some),
    |place, concurrency| peers::bare(&threads()?, place, ITEMS, concurrency).map(Some),
    |place, concurrency| peers::curl(place, ITEMS, concurrency),
];

pub(super) fn loopback() -> Outcome<()> {
    CONCURRENCY.into_iter().try_for_each(compare)
}

/// Each contender against a fresh service; the order changes from round to round.
fn compare(concurrency: usize) -> Outcome<()> {
    let mut rates = CONTENDERS.map(|_| Vec::new());
    for round in 0..ROUNDS {
        for step in 0..CONTENDERS.len() {
            let contender = (round + step) % CONTENDERS.len();
            let seconds = CONTENDERS[contender](&Place::start(ITEMS, concurrency)?, concurrency)?;
            rates[contender].extend(seconds.map(|seconds| f64::from(ITEMS) / seconds));
        }
    }
    let [ours, one_thread, threads, curl] = rates.map(median);
    let bare = if one_thread > threads { (one_thread, "one thread") } else { (threads, "threads") };
    let ours = ours.unwrap_or_default();
    let line = |name: &str, rate: Option<f64>| match rate {
        Some(rate) => println!("  {name:<42}{rate:>11.0} requests/s  (ours is {:.2} of it)", ours / rate),
        None => println!("  {name:<42}  not installed"),
    };
    println!("{ITEMS} items over loopback, {concurrency} in flight, median of {ROUNDS} rounds");
    println!("  {:<42}{:>11.0} durable writes/s", "disk, for comparison", disk()?);
    println!("  {:<42}{ours:>11.0} items/s", "this program, durable ledger");
    line(&format!("bare reqwest loop, no record, {}", bare.1), bare.0);
    line("curl --parallel", curl);
    Ok(())
}

fn ours(place: &Place, concurrency: usize) -> Outcome<Option<f64>> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    write_list(folder.path(), ITEMS)?;
    let clock = Clock::system();
    let (run, runtime, access) = (Run::plan(folder.path(), clock)?, runtime()?, &place.access);
    // All contenders get their token before the time is taken.
    runtime.block_on(access.tokens.token(TENANT))?;
    let began = clock.now();
    let run = runtime.block_on(run.send(access, policy(concurrency, None)?, clock))?;
    let seconds = clock.now().saturating_sub(began).as_secs_f64();
    run.check()?;
    Ok(Some(seconds))
}

/// Small writes that are durable, per second: what every commit of the ledger has to wait for.
fn disk() -> Outcome<f64> {
    let mut file = tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR"))?;
    let clock = Clock::system();
    for _ in 0..SYNCS {
        file.write_all(&[1; 4096])?;
        file.sync_data()?;
    }
    Ok(rate(SYNCS, clock, Duration::ZERO))
}

fn median(mut rates: Vec<f64>) -> Option<f64> {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied()
}
