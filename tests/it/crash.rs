//! The crash matrix: the real process on a bad day, killed or interrupted at moments that nobody chose, and taken up
//! again until it is done. Judged by the simulator's own log and not by what the tool says of itself.

use serde_json::Value;
use uuid::Uuid;

use self::weather::{Dice, behaviour};
use crate::kit::{APP, Graph, Home, Left, OTHER, Process, TENANT, all_at_once, id, rows};

mod verdict;
mod weather;

/// Storms that rage side by side.
const STORMS: u64 = 6;

/// How often each of them strikes.
const STRIKES: u32 = 8;

/// How many of them may come before anything was sent.
const EARLY: u32 = 2;

/// How the ledger says that an object was read before anything was sent.
const PIN: &str = "\"then\":\"pin\"";

/// `CRASH_ROUNDS=20 cargo test --test it crash::` makes it a long one.
fn rounds() -> u64 {
    option_env!("CRASH_ROUNDS").and_then(|count| count.parse().ok()).unwrap_or(1)
}

/// What a lost request may still do, it does within `--settle` (ten times that for VPP): that is what the tool is told.
const LIMITS: &str = "--quota none --concurrency 3 --max-fail 100% --max-attempts 20 --settle 150ms --timeout 800ms \
     --verify-deadline 7s";

/// Kinds as the list names them, and where their objects lie.
const KINDS: [&str; 3] = ["androidForWorkEnrollmentProfile", "androidDeviceOwnerEnrollmentProfile", "vppToken"];

/// The numbers of each tenant's objects. No id is in both, for the simulator counts effects by their ids.
const NUMBERS: [(&str, Uuid, std::ops::RangeInclusive<u128>); 2] = [("contoso", TENANT, 1..=6), ("fabrikam", OTHER, 21..=26)];

/// How often the process was ended from outside, and how.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    kills: u32,
    signals: u32,
    sessions: u32,
}

/// One run and everything that befalls it.
struct Storm {
    dice: Dice,
    graph: Graph,
    home: Home,
    count: Count,
    /// Tokens that were re-issued while no process lived, and the number of the exchange before that.
    reissued: Vec<(usize, Uuid, u64)>,
}

/// Says which storm it was, if it ends badly.
struct Seed(u64);

impl Drop for Seed {
    #[expect(clippy::print_stderr, reason = "a failure that cannot be repeated is worth little")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this was storm {}", self.0);
        }
    }
}

/// What `runs` says of the newest run: its id, its state, and whether something of it is left to do.
struct Newest {
    run: String,
    state: String,
    is_left: bool,
}

fn list() -> String {
    let of_tenant = |(tenant, _, numbers): &(&str, Uuid, std::ops::RangeInclusive<u128>)| {
        KINDS.map(|kind| rows(numbers.clone(), |n| format!("{tenant},{kind},{},\"row {n}, {tenant}\"\n", id(n)))).concat()
    };
    let repeated = format!("fabrikam,{},{},again\ncontoso,{},{},again\n", KINDS[0], id(21), KINDS[2], id(1));
    format!("tenant,kind,id,note\n{}{repeated}", NUMBERS.each_ref().map(of_tenant).concat())
}

fn config() -> String {
    let table =
        |name: &str, tenant: Uuid| format!("[tenants.{name}]\ntenant_id = \"{tenant}\"\nclient_secret = \"env:SECRET\"\n");
    format!("[auth]\nclient_id = \"{APP}\"\n{}{}", table("contoso", TENANT), table("fabrikam", OTHER))
}

impl Storm {
    fn new(seed: u64) -> Self {
        let home = Home::new().with("SECRET", "simulated").file("config.toml", config()).file("list.csv", list());
        Self {
            dice: Dice(seed),
            graph: Graph::seeded(behaviour(seed), seed),
            home,
            count: Count::default(),
            reissued: Vec::new(),
        }
    }

    /// Begins the run and takes it up again until it is done. What its last session left.
    fn rage(&mut self) -> Left {
        let (mut strikes, mut looks) = (STRIKES, 2);
        loop {
            let newest = self.newest();
            if newest.as_ref().is_none_or(|newest| !matches!(newest.state.as_str(), "running" | "ended")) {
                assert!(self.graph.posts().is_empty(), "something was sent before a run was allowed to");
            }
            let is_over = newest.as_ref().is_some_and(|newest| newest.state == "ended" && !newest.is_left);
            let command = self.command(newest.as_ref());
            let mut process = self.home.start(&format!("{command} --out out {LIMITS} {}", self.graph.places()));
            self.count.sessions += 1;
            if strikes > 0 && !is_over {
                strikes -= 1;
                let has_begun = newest.as_ref().is_some_and(|newest| newest.state == "running" || newest.state == "ended");
                self.strike(&mut process, has_begun || strikes >= STRIKES - EARLY);
            }
            let left = self.home.left(process);
            match left.code {
                None => self.count.kills += 1,
                Some(130) => self.count.signals += 1,
                // Reading back ended before the service let itself be read; whoever resumes reads once more.
                // And a tenant whose tokens were refused twice in a row is left out until then.
                Some(code) if looks > 0 && (code == 4 || code == 8 || self.newest().is_some_and(|newest| newest.is_left)) => {
                    (strikes, looks) = (0, looks - 1);
                }
                code => {
                    assert!(matches!(code, Some(0 | 7 | 8 | 9)), "{code:?} from {command}: {}{}", left.stdout, left.stderr);
                    return left;
                }
            }
            if let Some(newest) = newest.filter(|newest| newest.state == "running") {
                self.change(&newest.run);
            }
        }
    }

    /// The newest run of the ledger as the tool tells it; a ledger whose writer was killed can be read at once.
    fn newest(&self) -> Option<Newest> {
        let told = self.home.run("runs --format json").exits(0).stdout;
        let run: Value = serde_json::from_str(told.lines().next()?).unwrap_or_default();
        let text = |name: &str| run[name].as_str().unwrap_or_default().to_owned();
        Some(Newest { run: text("run"), state: text("state"), is_left: run["pending"] != 0 })
    }

    /// A run that was allowed to send is taken up again; one that was not is begun anew.
    fn command(&mut self, newest: Option<&Newest>) -> String {
        let begin = "run list.csv --job storm --yes";
        match newest {
            Some(Newest { run, state, is_left }) if state == "running" || state == "ended" => match self.dice.below(4) {
                0 if *is_left => format!("{begin} --continue"),
                1 if *is_left => {
                    let refused = self.home.run(&format!("{begin} {}", self.graph.places())).exits(6);
                    refused.says(&[&format!("bulk-revoke resume {run}")]);
                    "resume".to_owned()
                }
                2 => "resume".to_owned(),
                _ => format!("resume {run}"),
            },
            _ if self.dice.below(2) == 0 => format!("{begin} --continue"),
            _ => begin.to_owned(),
        }
    }

    /// Waits for a moment and strikes. One that is not any moment comes after something was sent.
    fn strike(&mut self, process: &mut Process, at_any: bool) {
        if !at_any {
            self.graph.wait_for_posts(1, process);
        }
        let before = self.graph.log().len();
        match self.dice.below(10) {
            // While it starts, plans, signs in.
            0..2 => drop(process.ends_within(self.dice.up_to(250))),
            // At any request, whatever it is for, and whatever became of it by then.
            2..8 => {
                let after = before + 1 + usize::try_from(self.dice.below(50)).unwrap_or_default();
                self.graph.wait_until(process, |log| log.len() >= after);
                process.ends_within(self.dice.up_to(30));
            }
            // While it waits for the service to show what happened.
            _ => drop(process.ends_within(self.dice.up_to(2_000))),
        }
        if self.dice.below(4) > 0 {
            return process.signal("KILL");
        }
        let times = 1 + self.dice.below(3);
        for _ in 0..times {
            process.signal(self.dice.one_of(&["INT", "TERM", "HUP"]));
            process.ends_within(self.dice.up_to(150));
        }
    }

    /// What the world does while no process lives: lists change, and administrators re-issue tokens.
    fn change(&mut self, run: &str) {
        match self.dice.below(4) {
            0 => self.home.write("list.csv", "tenant,kind,id\nfabrikam,vpp,\"never closed\n"),
            1 => self.home.write("list.csv", format!("tenant,kind,id\ncontoso,afw,{}\n", id(39))),
            _ => {}
        }
        if self.dice.below(3) > 0 {
            return;
        }
        let (_, tenant, numbers) = self.dice.one_of(&NUMBERS);
        let (collection, id) = (1 + usize::from(self.dice.below(2) == 0), id(numbers.start() + u128::from(self.dice.below(6))));
        let of_kind = weather::COLLECTIONS[collection];
        // An effect that is still on its way could meet either token, and nobody could say which it was meant for.
        let is_sent = self.graph.posts().iter().any(|post| (post.collection, post.id) == (Some(of_kind), Some(id)));
        let is_settled = !is_sent || self.graph.effects(of_kind, id) == 1;
        // A tenant that was stopped before its objects were read has no pins that could tell the old token.
        let told = self.home.run(&format!("history {id} --format json")).stdout;
        let is_pinned = told.lines().any(|line| [run, KINDS[collection], PIN].iter().all(|part| line.contains(part)));
        if is_settled && is_pinned && self.graph.reissue(tenant, of_kind, id) {
            // Not every number is in the log: a request that a kill cut short has one as well.
            let last = self.graph.log().iter().map(|entry| entry.ordinal).max();
            self.reissued.push((collection, id, last.unwrap_or_default()));
        }
    }
}

fn rage(seed: u64) -> Count {
    let seed = Seed(seed);
    let mut storm = Storm::new(seed.0);
    let left = storm.rage();
    storm.judge(&left);
    storm.count
}

#[test]
fn whatever_moment_it_is_killed_at_nothing_is_lost_and_nothing_is_revoked_twice() {
    let counts = std::sync::Mutex::new(Count::default());
    for round in 0..rounds() {
        all_at_once(0..STORMS, |storm| {
            let count = rage(1 + round * STORMS + storm);
            let mut sum = counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            sum.kills += count.kills;
            sum.signals += count.signals;
            sum.sessions += count.sessions;
        });
    }
    let Count { kills, signals, sessions } = counts.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    if option_env!("CRASH_ROUNDS").is_some() {
        tell(&format!("{kills} kills and {signals} interruptions in {sessions} sessions of {} runs", STORMS * rounds()));
    }
    assert!(u64::from(kills) >= 3 * STORMS * rounds(), "only {kills} kills");
}

#[expect(clippy::print_stderr, reason = "whoever runs it by hand wants the figures")]
fn tell(line: &str) {
    eprintln!("{line}");
}
