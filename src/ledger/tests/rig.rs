//! A run to write and to ask about: its plan, its rows, what happens to its items.

use std::sync::Arc;

use uuid::Uuid;

use crate::exec::Journal as _;
use crate::ledger::{Ledger, LedgerError, NewRun, PlanWriter, Planned, RunNo};
use crate::model::{
    Disposition, Event, ItemNo, Kind, ObjectId, Place, PlannedRow, Reached, Reply, Row, SourceRow, Stamp, Status, TenantId,
    TenantRow, Then, VppOptions, What,
};

pub(super) const TENANT: TenantId = TenantId(Uuid::from_u128(7));

pub(super) fn new_run(run: &str) -> NewRun {
    NewRun {
        run: run.to_owned(),
        job: "kiosks".to_owned(),
        started_at: Stamp(1_000),
        tool: "0.1.0".to_owned(),
        operator: "me".to_owned(),
        ticket: Some("CHG-1".to_owned()),
        justification: None,
        sealed: None,
        reissued: false,
        root: "https://graph.example".to_owned(),
        authority: "https://login.example".to_owned(),
    }
}

pub(super) fn row(line: u32, kind: Kind, disposition: Disposition) -> PlannedRow {
    PlannedRow {
        place: Place { source: 0, line },
        tenant: Some(0),
        kind: Some(kind),
        id: Some(ObjectId(Uuid::from_u128(line.into()))),
        options: VppOptions { notify_managed_devices: true, revoke_untracked_licenses: false },
        cells: vec![format!("cell {line}"), "\u{20ac}\"".to_owned()],
        disposition,
    }
}

/// Three items to send (two Android, one VPP) and a duplicate.
pub(super) fn planned(ledger: &mut Ledger, run: &str) -> Planned {
    let mut writer = ledger.plan(&new_run(run)).unwrap();
    let duplicate = Disposition::Settled { status: Status::Skipped, reason: "duplicate of line 2".to_owned() };
    for (line, kind, disposition) in [
        (2, Kind::AndroidDeviceOwner, Disposition::Send),
        (3, Kind::VppToken, Disposition::Send),
        (4, Kind::AndroidDeviceOwner, duplicate),
        (5, Kind::AndroidForWork, Disposition::Send),
    ] {
        writer.add(&row(line, kind, disposition)).unwrap();
    }
    commit(writer)
}

/// The plan's end: one list, one tenant.
pub(super) fn commit(writer: PlanWriter<'_>) -> Planned {
    let sources = [SourceRow { name: "list.csv".to_owned(), columns: vec!["note".to_owned(), "x".to_owned()] }];
    let tenants = [TenantRow { id: TENANT, label: "contoso".to_owned(), app: "app".to_owned() }];
    writer.commit(&sources, &tenants).unwrap()
}

pub(super) fn rows(ledger: &Ledger, run: RunNo) -> Vec<Row> {
    let mut rows = Vec::new();
    ledger
        .rows(run, |row| {
            rows.push(row);
            Ok::<(), LedgerError>(())
        })
        .unwrap();
    rows
}

pub(super) fn intent(item: ItemNo) -> Event {
    Event { item: Some(item), at: Stamp(2_000), what: What::Intent { client_request_id: Uuid::from_u128(1) } }
}

pub(super) fn accepted(item: ItemNo) -> Event {
    let reply = Reply {
        reached: Reached::Answered,
        sent_at: Stamp(2_000),
        elapsed_ms: 10,
        http_status: Some(204),
        error_code: None,
        message: None,
        request_id: Some("r".to_owned()),
        approval_code: None,
        then: Then::Settled { status: Status::Accepted, reason: String::new() },
    };
    Event { item: Some(item), at: Stamp(2_010), what: What::Reply(Box::new(reply)) }
}

/// Hands the events to the run's journal, as if by a session that is over then.
pub(super) fn write(ledger: Ledger, run: RunNo, events: &[Event]) -> Ledger {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut journal = ledger.journal(run, vec![TENANT]).unwrap();
    runtime.block_on(journal.commit(Arc::new(events.to_vec()))).unwrap();
    journal.close().unwrap()
}
