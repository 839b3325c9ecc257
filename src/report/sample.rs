//! Tests: a run with two lists and two tenants, to be reported on.

use crate::model::{
    Disposition, Kind, Phase, Place, Progress, Row, RunHeader, RunState, SourceRow, Spent, Stamp, Status, TenantRow, VppOptions,
};

/// 2026-11-22T04:14:53.007Z.
pub(super) const START: i64 = 1_795_320_893_007;

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

pub(super) fn tenants() -> Vec<TenantRow> {
    let tenant = |id: &str, label: &str| TenantRow { id: id.parse().unwrap(), label: label.into(), app: "app".into() };
    vec![tenant("11111111-1111-1111-1111-111111111111", "contoso"), tenant("22222222-2222-2222-2222-222222222222", "fabrikam")]
}

pub(super) fn header() -> RunHeader {
    RunHeader {
        run: "20261122-0414-ab12".into(),
        job: "retire-kiosks".into(),
        state: RunState::Ended,
        started_at: Stamp(START),
        ended_at: Some(Stamp(START + 401_500)),
        tool: "0.1.0".into(),
        operator: "ops".into(),
        ticket: Some("CHG-4711".into()),
        justification: None,
        sealed: None,
        reissued: false,
        to_send: 0,
        root: "https://graph.microsoft.com".into(),
        authority: "https://login.microsoftonline.com".into(),
        sources: vec![
            SourceRow { name: "a.csv".into(), columns: strings(&["id", "Note", "\0"]) },
            SourceRow { name: "b.csv".into(), columns: strings(&["owner", "id"]) },
        ],
        tenants: tenants(),
        stopped_by: None,
        tenant_stops: Vec::new(),
        spent: Spent::default(),
        pending: 0,
        exit_code: Some(7),
        head: "c0ffee".into(),
        events: 42,
    }
}

/// A row of the first list that was sent once and has this status.
pub(super) fn row(line: u32, status: Status, cells: &[&str]) -> Row {
    Row {
        place: Place { source: 0, line },
        tenant: Some(0),
        kind: Some(Kind::AndroidDeviceOwner),
        id: Some("9dfb369b-ab13-4fae-a276-55daa05f1119".parse().unwrap()),
        options: VppOptions::default(),
        cells: strings(cells),
        disposition: Disposition::Send,
        progress: Progress {
            phase: Phase::Settled(status),
            name: Some("Kiosk".into()),
            attempts: 1,
            sent_at: Some(Stamp(START)),
            finished_at: Some(Stamp(START + 250)),
            http_status: Some(204),
            ..Progress::default()
        },
    }
}

/// The same, as the service or we refused it.
pub(super) fn refused(line: u32, code: &str, message: &str) -> Row {
    let mut row = row(line, Status::Refused, &["x"]);
    row.progress.http_status = Some(403);
    row.progress.error_code = Some(code.into());
    row.progress.message = Some(message.into());
    row
}

/// A row that was settled before anything was sent.
pub(super) fn settled(line: u32, status: Status, reason: &str) -> Row {
    let disposition = Disposition::Settled { status, reason: reason.into() };
    Row { disposition, id: None, progress: Progress::default(), ..row(line, status, &["-x", "two\nlines", "gone"]) }
}
