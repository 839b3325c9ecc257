//! A report is a valid list: whatever its cells held comes back, and failed.csv needs no flags.

use std::fs::File;

use bulk_revoke::input::{Format, List};
use bulk_revoke::model::{
    Disposition, Kind, ObjectId, Phase, Place, Progress, Row, RunHeader, RunState, SourceRow, Spent, Stamp, Status, TenantId,
    TenantRow, VppOptions,
};
use bulk_revoke::report::{ReportWriter, Style};
use proptest::prelude::*;
use uuid::Uuid;

const ID: Uuid = Uuid::from_u128(0x9dfb_369b_ab13_4fae_a276_55da_a05f_1119);

fn header(columns: Vec<String>) -> RunHeader {
    RunHeader {
        run: "r".into(),
        job: "j".into(),
        state: RunState::Ended,
        started_at: Stamp(0),
        ended_at: None,
        tool: "0".into(),
        operator: "o".into(),
        ticket: None,
        justification: None,
        sealed: None,
        reissued: false,
        to_send: 0,
        root: String::new(),
        authority: String::new(),
        sources: vec![SourceRow { name: "-".into(), columns }],
        tenants: vec![TenantRow { id: TenantId(Uuid::nil()), label: "contoso".into(), app: String::new() }],
        stopped_by: None,
        tenant_stops: Vec::new(),
        spent: Spent::default(),
        pending: 0,
        exit_code: None,
        head: String::new(),
        events: 0,
    }
}

fn row(line: u32, cells: Vec<String>, message: String) -> Row {
    Row {
        place: Place { source: 0, line },
        tenant: Some(0),
        kind: Some(Kind::VppToken),
        id: Some(ObjectId(ID)),
        options: VppOptions::default(),
        cells,
        disposition: Disposition::Send,
        progress: Progress { phase: Phase::Settled(Status::Failed), message: Some(message), ..Progress::default() },
    }
}

fn cell() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop::sample::select(vec!["'", "=", "+", "-", "@", "\t", "\r", "\n", "\"", ",", ";", "a", "ö", " ", "#"]),
        0..6,
    )
    .prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn cells_of_a_report_come_back_as_they_were(
        name in cell(),
        rows in prop::collection::vec((cell(), any::<String>()), 1..6),
        (excel, delimiter) in (any::<bool>(), prop::sample::select(vec![b',', b';', b'\t'])),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let columns = vec![format!("{name}x"), "@odata.type".into(), "Object ID".into()];
        let header = header(columns.clone());
        let mut writer = ReportWriter::create(dir.path(), &header, Style { excel, delimiter }).unwrap();
        let cells: Vec<Vec<String>> = rows.iter().map(|(cell, _)| vec![cell.clone(), String::new(), ID.to_string()]).collect();
        for (line, (cells, (_, message))) in (2..).zip(cells.iter().zip(&rows)) {
            writer.row(&row(line, cells.clone(), message.clone())).unwrap();
        }
        writer.finish(|_| 0).unwrap();
        let mut list = List::open(0, "failed.csv", File::open(dir.path().join("failed.csv")).unwrap(), &Format::Csv.into()).unwrap();
        let entries: Vec<_> = list.by_ref().map(Result::unwrap).collect();
        prop_assert_eq!(&list.source().columns, &columns);
        prop_assert_eq!(entries.iter().map(|entry| entry.cells.clone()).collect::<Vec<_>>(), cells);
        for entry in entries {
            prop_assert_eq!((entry.id, entry.flaw), (ID.to_string(), None));
            prop_assert_eq!((entry.kind.as_deref(), entry.tenant.as_deref(), entry.status.as_deref()), (Some("vppToken"), Some("contoso"), Some("failed")));
        }
    }
}
