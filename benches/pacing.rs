//! How much of a quota is used, and how much of what is sent is refused, over sockets: for each way in which a service may
//! count, the documented quota, a lower one, and one that is halved on the way.
//!
//! All cases run at once, each on a thread with a service of its own: they wait most of the time.

use std::num::NonZeroU32;
use std::thread;
use std::time::Duration;

use bulk_revoke::clock::Clock;
use bulk_revoke::exec;
use bulk_revoke::sim::{Behaviour, Counting, LogEntry, Quota, RetryAfter, Server, Span};

use super::run::{Run, policy, write_list};
use super::service::{Access, TENANT, options, runtime};
use super::{Outcome, line};

/// Requests in flight: the default of `--concurrency`.
const CONCURRENCY: u32 = 16;
/// The quota that the program is told of. The window is a quarter of the documented one, so that it takes two minutes.
const TOLD: u32 = 100;
const WINDOW: Duration = Duration::from_secs(5);
/// Not a whole number of windows of any case: an odd item at the end would cost a whole one.
const ITEMS: u32 = 1_525;
/// When the quota is halved, where it is: between two windows of a run that has used ten.
const HALVED_AFTER: Duration = Duration::from_secs(50);
/// From sending to answer.
const LATENCY: (Duration, Span) = (Duration::from_millis(150), Span::of_millis(100, 200));

/// What the service does about the quota that it has documented.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    quota: u32,
    halved_after: Option<Duration>,
    retry_after: RetryAfter,
}

const DOCUMENTED: Case = Case { name: "documented quota", quota: TOLD, halved_after: None, retry_after: RetryAfter::Integer };
const LOWER: Case = Case { name: "60 % of it, with Retry-After", quota: 60, ..DOCUMENTED };
const HALVED: Case = Case { name: "halved on the way, with Retry-After", halved_after: Some(HALVED_AFTER), ..DOCUMENTED };
const CASES: [Case; 5] = [
    DOCUMENTED,
    LOWER,
    Case { name: "60 % of it, without", retry_after: RetryAfter::Absent, ..LOWER },
    HALVED,
    Case { name: "halved on the way, without", retry_after: RetryAfter::Absent, ..HALVED },
];

/// How a case went.
struct Went {
    /// Against quota x T / (T + latency).
    efficiency: f64,
    /// In percent.
    throttled: f64,
}

pub(super) fn pacing() -> Outcome<()> {
    println!("{ITEMS} items over loopback, quota {TOLD} in {WINDOW:?}, latency 100 to 200 ms, {CONCURRENCY} in flight");
    println!("  {:<42}{:>20}{:>20}{:>20}", "efficiency, requests throttled", "sliding window", "fixed window", "bucket");
    let lines = thread::scope(|scope| {
        let start = |case: Case| Counting::ALL.map(|counting| scope.spawn(move || case.run(counting)));
        let handles = CASES.map(|case| (case.name, start(case)));
        handles.map(|(name, handles)| (name, handles.map(|handle| handle.join().unwrap_or_else(|_| Err("a bug".to_owned())))))
    });
    for (name, cells) in lines {
        let cell = |Went { efficiency, throttled }| format!("{efficiency:>11.3}{throttled:>7.2} %");
        line(name, cells.into_iter().map(|went| went.map(cell)).collect::<Result<Vec<String>, String>>()?);
    }
    Ok(())
}

impl Case {
    /// One run against one service. Errors are texts because they come from another thread.
    fn run(self, counting: Counting) -> Result<Went, String> {
        let runtime = runtime().map_err(|error| error.to_string())?;
        runtime.block_on(self.send(counting)).map_err(|error| format!("{}, {counting:?}: {error}", self.name))
    }

    async fn send(self, counting: Counting) -> Outcome<Went> {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        write_list(folder.path(), ITEMS)?;
        let clock = Clock::system();
        let run = Run::plan(folder.path(), clock)?;
        let server = Server::start(options(self.behaviour(counting), ITEMS)).await?;
        let access = Access::new(server.url(), CONCURRENCY as usize)?;
        access.tokens.token(TENANT).await?;
        let quota = exec::Quota { count: NonZeroU32::try_from(TOLD)?, per: WINDOW };
        let began = clock.now();
        let run = run.send(&access, policy(CONCURRENCY as usize, Some(quota))?, clock).await?;
        let took = clock.now().saturating_sub(began);
        run.check()?;
        let log = server.log();
        let answered = |status| log.iter().filter(move |entry: &&LogEntry| entry.status == Some(status)).count();
        let (accepted, throttled) = (u32::try_from(answered(204))?, u32::try_from(answered(429))?);
        let throttled = 100.0 * f64::from(throttled) / f64::from(accepted + throttled);
        Ok(Went { efficiency: self.best().as_secs_f64() / took.as_secs_f64(), throttled })
    }

    fn behaviour(self, counting: Counting) -> Behaviour {
        Behaviour {
            latency: LATENCY.1,
            write_quota: Quota::new(TOLD, WINDOW),
            hidden_write_quota: Quota::new(self.quota, WINDOW),
            halved_after: self.halved_after,
            counting: vec![counting],
            retry_after: vec![self.retry_after],
            ..Behaviour::immediate()
        }
    }

    /// What a client would take that knows the quota at any time and keeps a slot for a window after each answer.
    fn best(self) -> Duration {
        let (mut at, mut left) = (Duration::ZERO, ITEMS);
        loop {
            let is_halved = self.halved_after.is_some_and(|after| at >= after);
            let quota = if is_halved { self.quota / 2 } else { self.quota };
            if left <= quota {
                return at + LATENCY.0 * left.div_ceil(CONCURRENCY);
            }
            (left, at) = (left - quota, at + WINDOW + LATENCY.0);
        }
    }
}
