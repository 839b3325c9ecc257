//! The fault matrix over real sockets: everything that can happen to a request, for every kind and every shape that a
//! revocation may have afterwards. One object per cell; every fault meets the first request for its object.

use std::collections::BTreeMap;

use bulk_revoke::sim::{Behaviour, Call, Collection, Fault, Kind, LogEntry, Meanwhile, Retention, Rule, Span, Trace, Vpp};

use crate::kit::{Graph, Home, Row, all_at_once, id};

/// What becomes of an Apple licence revocation.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Done,
    Partly,
    Failed,
}

/// What the service is like after a revocation: one Graph for each of them.
#[derive(Clone, Copy, Debug)]
struct Shape {
    trace: Trace,
    end: End,
    retention: Retention,
    meanwhile: Meanwhile,
}

/// Every shape of VPP, and beside them every trace of Android, at least twice.
fn shapes() -> Vec<Shape> {
    let ends = [End::Done, End::Partly, End::Failed];
    let of_vpp = ends.into_iter().flat_map(|end| {
        let retentions = Retention::ALL.into_iter();
        retentions.flat_map(move |retention| Meanwhile::ALL.map(|meanwhile| (end, retention, meanwhile)))
    });
    let traces = Trace::SHOWN.into_iter().cycle();
    of_vpp.zip(traces).map(|((end, retention, meanwhile), trace)| Shape { trace, end, retention, meanwhile }).collect()
}

impl Shape {
    fn behaviour(self, rules: Vec<Rule>) -> Behaviour {
        let certainly = |end| if self.end == end { 1.0 } else { 0.0 };
        Behaviour {
            rules,
            latency: Span::of_millis(2, 10),
            traces: vec![self.trace],
            vpp: Vpp {
                pending: Span::of_millis(20, 150),
                active: Span::of_millis(20, 200),
                partly: certainly(End::Partly),
                failed: certainly(End::Failed),
                history: 0.5,
                meanwhile: vec![self.meanwhile],
                retention: vec![self.retention],
            },
            ..Behaviour::immediate()
        }
    }
}

/// Every way in which a request is lost or answered wrongly, and whether it has its effect all the same.
fn faults() -> Vec<(Fault, bool)> {
    // Sooner than `--settle`, which says how late an effect may be.
    let late = Span::of_millis(40, 120);
    let endings = [Kind::Cut, Kind::Hang, Kind::Page, status(500), status(503), status(504)];
    let of_ending = |kind: Kind| {
        let fault = Fault::new(kind);
        [(fault.clone(), false), (fault.clone().after_effect(), true), (fault.with_late_effect(late), true)]
    };
    let slower_than_the_timeout = Fault::new(Kind::Slow(Span::of_millis(2_100, 2_100)));
    endings.into_iter().flat_map(of_ending).chain([(slower_than_the_timeout, true)]).collect()
}

const fn status(status: u16) -> Kind {
    Kind::Status { status, retry_after: None }
}

/// The collections, with the names of their kinds.
const KINDS: [(Collection, &str); 3] = [
    (Collection::AndroidForWork, "androidForWorkEnrollmentProfile"),
    (Collection::AndroidDeviceOwner, "androidDeviceOwnerEnrollmentProfile"),
    (Collection::VppTokens, "vppToken"),
];

/// Runs all faults of all kinds against one shape. Says how many requests met their fault.
fn matrix(shape: Shape) -> usize {
    let cells: Vec<(u128, Fault, bool)> = (1..).zip(faults()).map(|(n, (fault, took_effect))| (n, fault, took_effect)).collect();
    let rules = cells.iter().flat_map(|(n, fault, _)| {
        let rule = Rule::on(Call::Revoke, fault.clone()).of(id(*n)).nth(1);
        KINDS.map(|(collection, _)| rule.clone().within(collection))
    });
    let graph = Graph::of(shape.behaviour(rules.collect()));
    let list = cells.iter().flat_map(|(n, ..)| KINDS.map(|(_, kind)| format!("{kind},{}\n", id(*n))));
    let home = Home::signed_in().file("list.csv", format!("kind,id\n{}", list.collect::<String>()));
    let limits = "--quota none --max-fail 100% --settle 250ms --timeout 1s --verify-deadline 20s";
    let left = home.run(&format!("run list.csv {limits} {}", graph.flags()));
    let left = left.exits(if shape.end == End::Done { 0 } else { 7 });
    let rows: BTreeMap<(String, String), Row> =
        left.rows().into_iter().map(|row| ((row["result_kind"].clone(), row["result_id"].clone()), row)).collect();
    assert_eq!(rows.len(), cells.len() * KINDS.len());
    let posts = graph.posts();
    for (n, fault, took_effect) in &cells {
        for (collection, kind) in KINDS {
            let row = &rows[&(kind.to_owned(), id(*n).to_string())];
            let posts: Vec<&LogEntry> =
                posts.iter().filter(|post| post.collection == Some(collection) && post.id == Some(id(*n))).collect();
            let cell = format!("{shape:?}, {collection}, {fault}: {row:?}, {posts:?}");
            holds(shape, (collection, *took_effect), (row, &posts), &cell);
            assert_eq!((graph.effects(collection, id(*n)), graph.max_in_flight(collection, id(*n))), (1, 1), "{cell}");
        }
    }
    posts.iter().filter(|post| post.fault.is_some()).count()
}

/// One cell: one effect, no request that was not needed, and a report that knows both.
fn holds(shape: Shape, (collection, took_effect): (Collection, bool), (row, posts): (&Row, &[&LogEntry]), cell: &str) {
    // What had its effect is not sent again; what had none is, once.
    let attempts = if took_effect { 1 } else { 2 };
    assert_eq!(posts.len(), attempts, "{cell}");
    assert_eq!(row["result_attempts"], attempts.to_string(), "{cell}");
    let is_whole = collection != Collection::VppTokens || shape.end == End::Done;
    assert_eq!(row["result_status"], if is_whole { "revoked" } else { "partial" }, "{cell}");
    assert_eq!(row["result_reason"].contains("licences were not revoked"), !is_whole, "{cell}");
    assert!(posts[0].fault.is_some() && posts.iter().skip(1).all(|post| post.fault.is_none()), "{cell}");
}

/// What the README says: so many faults injected, none lost, none doubled.
const INJECTED: usize = 18 * 19 * 3;

#[test]
fn no_fault_loses_an_item_or_revokes_it_twice() {
    let injected = std::sync::atomic::AtomicUsize::new(0);
    let shapes = shapes();
    // A few at a time: a machine that is busy answers late, and lateness is what is measured here.
    for few in shapes.chunks(6) {
        all_at_once(few.to_vec(), |shape| {
            injected.fetch_add(matrix(shape), std::sync::atomic::Ordering::Relaxed);
        });
    }
    assert_eq!(injected.into_inner(), INJECTED);
}
