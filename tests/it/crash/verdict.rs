//! What must hold after a storm, whatever happened in it.

use std::collections::BTreeMap;

use bulk_revoke::sim::{Collection, LogEntry};
use uuid::Uuid;

use super::weather::COLLECTIONS;
use super::{KINDS, NUMBERS, Storm};
use crate::kit::{Left, Row, id};

/// An object: the place of its kind, and its id.
type Object = (usize, Uuid);

impl Storm {
    /// Holds the report of the last session against the simulator's log, and the ledger against both.
    pub(super) fn judge(&self, left: &Left) {
        let summary = left.summary();
        let run = summary["run"].as_str().unwrap_or_default();
        let mut rows = left.rows();
        let repeated = rows.split_off(rows.len() - 2);
        assert!(repeated.iter().all(|row| row["result_status"] == "skipped"), "{repeated:?}");
        let rows: BTreeMap<Object, Row> = rows.into_iter().map(|row| (object(&row), row)).collect();
        let numbers = NUMBERS.map(|(_, _, numbers)| numbers).into_iter().flatten();
        let objects: Vec<Object> = numbers.flat_map(|n| (0..KINDS.len()).map(move |kind| (kind, id(n)))).collect();
        assert_eq!(rows.len(), objects.len(), "a row was lost");
        for object in objects {
            self.judge_row(object, &rows[&object], run);
        }
        assert!(self.graph.posts().iter().all(|post| post.id.is_some_and(|id| rows.keys().any(|(_, known)| *known == id))));
        self.judge_ledger(left, run, summary["ledger_head"].as_str().unwrap_or_default());
    }

    fn judge_row(&self, (kind, id): Object, row: &Row, run: &str) {
        let collection = COLLECTIONS[kind];
        let effects = self.graph.effects(collection, id);
        let of_it = |post: &LogEntry| post.collection == Some(collection) && post.id == Some(id);
        let posts: Vec<LogEntry> = self.graph.posts().into_iter().filter(of_it).collect();
        let told = format!("{collection} {id}: {effects} effects, {row:?}, {posts:?}");
        assert!(effects <= 1, "revoked twice: {told}");
        // The simulator notes the end of an exchange also when it is the client that ends: the kill closes the
        // connection. So a request whose client is dead is not in flight any more, and none has to be left out here;
        // what it may still do to the object is what the effects above have counted.
        assert!(self.graph.max_in_flight(collection, id) <= 1, "two at once: {told}");
        // Every request has its intent; an intent whose request never left is counted as well, as it must be.
        let number = |name: &str| row[name].parse::<usize>().unwrap_or_default();
        assert!(posts.len() <= number("result_attempts") + number("result_throttled"), "not told: {told}");
        let mut reissues = self.reissued.iter().filter(|(of, which, _)| (*of, *which) == (kind, id));
        let touched = |at: u64| posts.iter().any(|post| post.effect && post.ordinal > at);
        assert!(
            !reissues.clone().any(|(.., at)| touched(*at)),
            "a new token was revoked: {told}\n{:?}\n{}",
            self.reissued,
            self.history(id)
        );
        let holds = match row["result_status"].as_str() {
            "revoked" => effects == 1,
            "partial" => effects == 1 && collection == Collection::VppTokens,
            "already_inactive" => posts.is_empty() && collection != Collection::VppTokens,
            "not_found" => posts.is_empty(),
            "refused" => effects == 0 && !posts.is_empty(),
            "failed" => effects == 0,
            "superseded" => reissues.next().is_some(),
            // A token without an end may look the same before and after.
            "unconfirmed" => effects == 1 && self.is_endless(id, run),
            "unknown" => self.is_endless(id, run),
            _ => false,
        };
        assert!(holds, "{told}\n{}", self.history(id));
    }

    /// What the tool knows of an object, for whoever must find out what went wrong.
    fn history(&self, id: Uuid) -> String {
        self.home.run(&format!("history {id}")).stdout
    }

    /// Whether an object of this id had no end that could be read when it was pinned.
    fn is_endless(&self, id: Uuid, run: &str) -> bool {
        let told = self.home.run(&format!("history {id} --format json")).exits(0).stdout;
        let mut of_run = told.lines().filter(|line| line.contains(run));
        of_run.any(|line| line.contains("\"expiry\":\"never\"") || line.contains("\"expiry\":\"unreadable\""))
    }

    /// The report is a function of the ledger, and the ledger is as it was written.
    fn judge_ledger(&self, left: &Left, run: &str, head: &str) {
        self.home.run(&format!("report {run} --out again"));
        assert!(left.report("out") == left.report("again"), "the live report is not the one that the ledger gives");
        let audit = self.home.run(&format!("audit verify {run} --head {head}")).exits(0);
        assert!(audit.stdout.contains(head), "{}", audit.stdout);
        self.home.run("audit verify").exits(0);
    }
}

fn object(row: &Row) -> Object {
    let kind = KINDS.iter().position(|kind| row["result_kind"] == *kind);
    (kind.unwrap_or(KINDS.len()), row["result_id"].parse().unwrap_or_default())
}
