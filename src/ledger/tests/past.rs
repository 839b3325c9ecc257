//! What earlier runs left undone, and what they did to an object.

use super::rig::{TENANT, accepted, commit, intent, new_run, planned, row, write};
use crate::ledger::past::TOKEN_ELSEWHERE;
use crate::ledger::plan::kind_number;
use crate::ledger::replay::ROW;
use crate::ledger::{Ledger, NewRun, Planned, RunNo};
use crate::model::{
    AfterLook, Disposition, Event, ItemNo, Kind, Look, Outcome, Phase, RunState, SourceRow, Stamp, Status, StopCause, StoppedBy,
    TenantId, TenantRow, TenantStop, What,
};

fn of_job(ledger: &mut Ledger, run: &str, job: &str) -> RunNo {
    let mut writer = ledger.plan(&NewRun { job: job.to_owned(), ..new_run(run) }).unwrap();
    writer.add(&row(2, Kind::VppToken, Disposition::Send)).unwrap();
    commit(writer).no
}

fn unfinished(ledger: &Ledger, job: Option<&str>) -> Option<String> {
    ledger.unfinished(job).unwrap().map(|(_, header)| header.run)
}

#[test]
fn a_run_is_unfinished_when_it_was_killed_or_left_something() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    let first = of_job(&mut ledger, "1", "a");
    assert_eq!(unfinished(&ledger, None), None, "nothing was sent");
    ledger.set_state(first, RunState::Running).unwrap();
    assert_eq!(unfinished(&ledger, Some("a")).as_deref(), Some("1"), "killed");
    ledger.end_run(first, RunState::Ended, Stamp(9), 2).unwrap();
    let (no, header) = ledger.unfinished(Some("a")).unwrap().unwrap();
    assert_eq!((no, header.pending), (first, 2));
    assert_eq!(unfinished(&ledger, Some("b")), None);

    // Runs that only looked, were refused, or did not come that far do not stand for the job.
    for (run, state) in [("2", RunState::Dry), ("3", RunState::Refused), ("4", RunState::Planned)] {
        let other = of_job(&mut ledger, run, "a");
        ledger.end_run(other, state, Stamp(9), 5).unwrap();
    }
    assert_eq!(unfinished(&ledger, Some("a")).as_deref(), Some("1"));

    let last = of_job(&mut ledger, "5", "a");
    ledger.end_run(last, RunState::Ended, Stamp(9), 0).unwrap();
    assert_eq!(unfinished(&ledger, Some("a")), None, "its last run is finished");
    assert_eq!(unfinished(&ledger, None).as_deref(), Some("1"), "of all, it is still the latest that is not");
    let other = of_job(&mut ledger, "6", "b");
    ledger.set_state(other, RunState::Running).unwrap();
    assert_eq!(unfinished(&ledger, None).as_deref(), Some("6"));
}

#[test]
fn what_stopped_a_run_stops_it_no_longer_once_it_is_taken_up() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    let run = planned(&mut ledger, "a").no;
    let event = |what| Event { item: None, at: Stamp(3), what };
    let stop = TenantStop { tenant: TENANT, service: None, cause: StopCause::SignIn, message: "no".to_owned() };
    let ended = event(What::Ended { stopped_by: Some(StoppedBy::Deadline), spent: Box::default() });
    let ledger = write(ledger, run, &[event(What::TenantStopped(stop.clone())), ended]);
    let header = ledger.run(run).unwrap();
    assert_eq!((header.tenant_stops, header.stopped_by), (vec![stop], Some(StoppedBy::Deadline)));
    let resumed = event(What::Resumed { operator: "me".to_owned(), tool: "0".to_owned(), justification: None });
    let header = write(ledger, run, &[resumed]).run(run).unwrap();
    assert_eq!((header.tenant_stops, header.stopped_by), (Vec::new(), None));
}

#[test]
fn a_run_is_bound_to_the_app_that_a_token_showed() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    let run = planned(&mut ledger, "a").no;
    let planned = ledger.run(run).unwrap().tenants;
    let bound = What::Bound { tenant: TENANT, app: "the token's".to_owned() };
    let ledger = write(ledger, run, &[Event { item: None, at: Stamp(3), what: bound }]);
    let bound = ledger.run(run).unwrap().tenants;
    assert_ne!(planned[0].app, bound[0].app);
    assert_eq!(bound[0], TenantRow { app: "the token's".to_owned(), ..planned[0].clone() });
    assert!(ledger.audit(run, None).is_ok(), "the plan is as it was");
}

#[test]
fn the_history_of_an_object_is_every_row_that_named_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    let first = planned(&mut ledger, "1");
    let mut writer = ledger.plan(&new_run("2")).unwrap();
    let twice = row(2, Kind::AndroidDeviceOwner, Disposition::Settled { status: Status::Skipped, reason: "line 2".to_owned() });
    let again = writer.add(&row(2, Kind::AndroidDeviceOwner, Disposition::Send)).unwrap();
    writer.add(&twice).unwrap();
    let second = commit(writer);
    let ledger = write(ledger, first.no, &[intent(ItemNo(1)), accepted(ItemNo(1)), intent(ItemNo(2))]);
    let ledger = write(ledger, second.no, &[intent(again)]);
    let past = ledger.history(twice.id.unwrap()).unwrap();
    let told: Vec<(&str, Phase, usize)> =
        past.iter().map(|past| (&past.header.run[..], past.row.progress.phase, past.events.len())).collect();
    assert_eq!(told, [("1", Phase::Settled(Status::Accepted), 2), ("2", Phase::InFlight, 1), ("2", Phase::Ready, 0)]);
    assert_eq!(past[0].tenant.as_ref().map(|tenant| tenant.id), Some(TENANT));
    assert_eq!((past[0].header.events, past[1].header.events), (3, 1));
    assert_eq!(past[2].row.disposition, twice.disposition);
    assert!(ledger.history(row(77, Kind::VppToken, Disposition::Send).id.unwrap()).unwrap().is_empty());
}

/// A run with one VPP token, the same in each, of this tenant; others stand before it in the list of tenants.
fn with_token(ledger: &mut Ledger, run: &str, tenants: &[TenantId]) -> (Planned, ItemNo) {
    let mut writer = ledger.plan(&new_run(run)).unwrap();
    let mut token = row(9, Kind::VppToken, Disposition::Send);
    token.tenant = Some(u32::try_from(tenants.len()).unwrap() - 1);
    let no = writer.add(&token).unwrap();
    let rows: Vec<TenantRow> = tenants.iter().map(|id| TenantRow { id: *id, label: String::new(), app: String::new() }).collect();
    let sources = [SourceRow { name: "list.csv".to_owned(), columns: Vec::new() }];
    (writer.commit(&sources, &rows).unwrap(), no)
}

fn settled(item: ItemNo, status: Status) -> Event {
    let then = AfterLook::Settled(Outcome::new(status, ""));
    Event { item: Some(item), at: Stamp(9_000), what: What::Looked(Box::new(Look { reading: None, then })) }
}

#[test]
fn tokens_of_earlier_runs_are_found_through_their_index() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    with_token(&mut ledger, "a", &[TENANT]);
    let query = format!("EXPLAIN QUERY PLAN {ROW} WHERE {TOKEN_ELSEWHERE} ORDER BY no");
    let plan: String = ledger.db.query_row(&query, ([0_u8; 16], 1), |row| row.get(3)).unwrap();
    assert!(plan.contains("items_of_token"), "{plan}");
    assert_eq!(Kind::ALL.map(kind_number), [0, 1, 2], "written into every ledger");
}

#[test]
fn a_token_that_another_run_revoked_lately_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    let other = TenantId(uuid::Uuid::nil());
    let (now, item) = with_token(&mut ledger, "now", &[TENANT]);
    let named = |ledger: &Ledger, since| ledger.recently_revoked(now.no, Stamp(since)).unwrap();

    // Each of these is not one: another tenant, refused there, never sent, only looked, and this run itself.
    let (elsewhere, token) = with_token(&mut ledger, "elsewhere", &[TENANT, other]);
    let mut ledger = write(ledger, elsewhere.no, &[intent(token), accepted(token)]);
    ledger.set_state(elsewhere.no, RunState::Running).unwrap();
    for (run, state, events) in [
        ("refused", RunState::Ended, &[Status::Refused][..]),
        ("adopted", RunState::Ended, &[]),
        ("dry", RunState::Dry, &[Status::Revoked]),
    ] {
        let (planned, token) = with_token(&mut ledger, run, &[TENANT]);
        let events: Vec<Event> = events.iter().flat_map(|status| [intent(token), settled(token, *status)]).collect();
        let adopted = [settled(token, Status::Revoked)];
        ledger = write(ledger, planned.no, if events.is_empty() { &adopted } else { &events });
        ledger.end_run(planned.no, state, Stamp(9_000), 0).unwrap();
    }
    ledger = write(ledger, now.no, &[intent(item)]);
    ledger.set_state(now.no, RunState::Running).unwrap();
    assert_eq!(named(&ledger, 0), []);

    // One that was killed after the 204, in a run that names its tenants in another order.
    let (killed, token) = with_token(&mut ledger, "killed", &[other, TENANT]);
    ledger = write(ledger, killed.no, &[intent(token), accepted(token)]);
    ledger.set_state(killed.no, RunState::Running).unwrap();
    assert_eq!(named(&ledger, 2_000), [(item, "killed".to_owned(), Stamp(2_000))]);
    assert_eq!(named(&ledger, 2_001), []);

    // The latest counts, and of it the last request.
    let (latest, token) = with_token(&mut ledger, "latest", &[TENANT]);
    let again = Event { at: Stamp(8_000), ..intent(token) };
    let untouched = What::Looked(Box::new(Look { reading: None, then: AfterLook::Untouched }));
    let untouched = Event { item: Some(token), at: Stamp(7_000), what: untouched };
    ledger = write(ledger, latest.no, &[intent(token), untouched, again, settled(token, Status::Revoked)]);
    ledger.end_run(latest.no, RunState::Ended, Stamp(9_000), 0).unwrap();
    assert_eq!(named(&ledger, 2_001), [(item, "latest".to_owned(), Stamp(8_000))]);
}
