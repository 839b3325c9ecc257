//! The report files: rows of the ledger, one by one, into `report.csv`, `failed.csv`, `report.jsonl` and `summary.json`.

use std::io::Write;
use std::path::Path;

use csv::{ByteRecord, Terminator};

use crate::model::{Class, RESULT_COLUMNS, Row, RunHeader, guard};

use super::columns::Union;
use super::draft::{Draft, ReportError, sync_folder};
use super::results::{Value, results};
use super::summary::Summary;
use super::tally::Tally;

/// The dress of the CSV files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// With byte order mark and CRLF, as Excel likes it.
    pub excel: bool,
    /// Between cells.
    pub delimiter: u8,
}

impl Default for Style {
    fn default() -> Self {
        Self { excel: false, delimiter: b',' }
    }
}

/// Writes the report of a run, row by row. Until it is finished, an older report stays as it was.
pub struct ReportWriter<'a> {
    header: &'a RunHeader,
    columns: Union,
    /// The names of all columns as keys, ready to be written: `{"name":`, then `,"name":`.
    keys: Vec<String>,
    report: csv::Writer<Draft>,
    failed: csv::Writer<Draft>,
    lines: Draft,
    summary: Draft,
    tally: Tally,
    record: ByteRecord,
    line: Vec<u8>,
}

impl<'a> ReportWriter<'a> {
    /// Begins the files in a folder that [`super::prepare`] has seen.
    pub fn create(dir: &Path, header: &'a RunHeader, style: Style) -> Result<Self, ReportError> {
        let draft = |name| Draft::create(dir, name, &header.run);
        let columns = Union::of(&header.sources);
        let keys = columns.keys().into_iter().chain(RESULT_COLUMNS.map(str::to_owned));
        let mut writer = Self {
            header,
            keys: keys.enumerate().map(|(at, key)| json_key(at, key)).collect(),
            columns,
            report: table(draft("report.csv")?, style)?,
            failed: table(draft("failed.csv")?, style)?,
            lines: draft("report.jsonl")?,
            summary: draft("summary.json")?,
            tally: Tally::new(),
            record: ByteRecord::new(),
            line: Vec::new(),
        };
        let names = writer.columns.names.iter().map(String::as_str).chain(RESULT_COLUMNS);
        writer.record.extend(names.map(|name| guard(name).into_owned()));
        write_record(&mut writer.report, &writer.record)?;
        write_record(&mut writer.failed, &writer.record)?;
        Ok(writer)
    }

    /// Writes a row. Rows come in the order of the input.
    pub fn row(&mut self, row: &Row) -> Result<(), ReportError> {
        let verdict = self.header.verdict(row);
        let values = results(self.header, row, verdict);
        self.tally.add(self.header, row);
        self.record.clear();
        self.columns.cells(row).for_each(|cell| self.record.push_field(guard(cell).as_bytes()));
        for value in &values {
            self.record.push_field(value.cell().as_bytes());
        }
        write_record(&mut self.report, &self.record)?;
        if matches!(verdict.0.class(), Class::Failure | Class::Unknown | Class::Pending) {
            write_record(&mut self.failed, &self.record)?;
        }
        self.write_line(row, values).map_err(|cause| ReportError::new("write", self.lines.path(), cause))
    }

    fn write_line(&mut self, row: &Row, values: [Value<'_>; RESULT_COLUMNS.len()]) -> std::io::Result<()> {
        let original = self.columns.cells(row).map(|cell| Value::Text(cell.into()));
        self.line.clear();
        for (key, value) in self.keys.iter().zip(original.chain(values)) {
            self.line.extend_from_slice(key.as_bytes());
            serde_json::to_writer(&mut self.line, &value)?;
        }
        self.line.extend_from_slice(b"}\n");
        self.lines.write_all(&self.line)
    }

    /// Completes the files, makes them durable, and gives them their names. Returns what was counted.
    /// `exit_code` derives the run's exit code from that.
    pub fn finish(mut self, exit_code: impl FnOnce(&Tally) -> u8) -> Result<Tally, ReportError> {
        let summary = Summary::of(self.header, &self.tally, exit_code(&self.tally));
        let written = serde_json::to_writer_pretty(&mut self.summary, &summary);
        let written = written.map_err(std::io::Error::from).and_then(|()| self.summary.write_all(b"\n"));
        written.map_err(|cause| ReportError::new("write", self.summary.path(), cause))?;
        let mut drafts = [close(self.report)?, close(self.failed)?, self.lines, self.summary];
        drafts.iter_mut().try_for_each(Draft::seal)?;
        let dir = drafts[0].path().parent().unwrap_or(Path::new(".")).to_owned();
        drafts.into_iter().try_for_each(Draft::publish)?;
        sync_folder(&dir)?;
        Ok(self.tally)
    }
}

fn json_key(at: usize, key: String) -> String {
    format!("{}{}:", if at == 0 { '{' } else { ',' }, serde_json::Value::String(key))
}

fn table(mut draft: Draft, style: Style) -> Result<csv::Writer<Draft>, ReportError> {
    if style.excel {
        draft.write_all("\u{feff}".as_bytes()).map_err(|cause| ReportError::new("write", draft.path(), cause))?;
    }
    let terminator = if style.excel { Terminator::CRLF } else { Terminator::Any(b'\n') };
    Ok(csv::WriterBuilder::new().delimiter(style.delimiter).terminator(terminator).from_writer(draft))
}

fn write_record(table: &mut csv::Writer<Draft>, record: &ByteRecord) -> Result<(), ReportError> {
    table.write_byte_record(record).map_err(|cause| ReportError::new("write", table.get_ref().path(), cause.into()))
}

fn close(table: csv::Writer<Draft>) -> Result<Draft, ReportError> {
    table.into_inner().map_err(|failed| {
        let cause = std::io::Error::new(failed.error().kind(), failed.error().to_string());
        ReportError::new("write the tables to", Path::new("the report folder"), cause)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value as Json, json};

    use super::super::sample::{header, refused, row, settled};
    use super::*;
    use crate::model::{Place, Status};

    /// Writes the rows and returns the files as text, and the names in the folder.
    fn write(rows: &[Row], style: Style) -> (impl Fn(&str) -> String + use<>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let header = header();
        let mut writer = ReportWriter::create(dir.path(), &header, style).unwrap();
        for row in rows {
            writer.row(row).unwrap();
        }
        writer.finish(|_| 0).unwrap();
        let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        (move |name: &str| fs::read_to_string(dir.path().join(name)).unwrap(), names)
    }

    fn rows() -> Vec<Row> {
        let second = Row { place: Place { source: 1, line: 2 }, tenant: Some(1), ..row(2, Status::Revoked, &["ann", "B"]) };
        let first = row(2, Status::Revoked, &["A", "=1+1", "gone"]);
        vec![
            first,
            refused(3, "Forbidden", "@no"),
            settled(4, Status::Invalid, "not a GUID"),
            settled(6, Status::Skipped, "protected"),
            second,
        ]
    }

    #[test]
    fn the_report_has_original_columns_first_and_guards_formulas() {
        let (file, names) = write(&rows(), Style::default());
        assert_eq!(names, ["failed.csv", "report.csv", "report.jsonl", "summary.json"]);
        insta::assert_snapshot!(file("report.csv"), @r#"
        id,Note,owner,result_line,result_source,result_tenant,result_kind,result_id,result_name,result_status,result_reason,result_http_status,result_error_code,result_message,result_attempts,result_throttled,result_sent_at,result_finished_at,result_elapsed_ms,result_request_id,result_client_request_id,result_run
        A,'=1+1,,2,a.csv,contoso,androidDeviceOwnerEnrollmentProfile,9dfb369b-ab13-4fae-a276-55daa05f1119,Kiosk,revoked,,204,,,1,0,2026-11-22T04:14:53.007Z,2026-11-22T04:14:53.257Z,250,,,20261122-0414-ab12
        x,,,3,a.csv,contoso,androidDeviceOwnerEnrollmentProfile,9dfb369b-ab13-4fae-a276-55daa05f1119,Kiosk,refused,,403,Forbidden,'@no,1,0,2026-11-22T04:14:53.007Z,2026-11-22T04:14:53.257Z,250,,,20261122-0414-ab12
        '-x,"two
        lines",,4,a.csv,contoso,androidDeviceOwnerEnrollmentProfile,,,invalid,not a GUID,,,,0,0,,,,,,20261122-0414-ab12
        '-x,"two
        lines",,6,a.csv,contoso,androidDeviceOwnerEnrollmentProfile,,,skipped,protected,,,,0,0,,,,,,20261122-0414-ab12
        B,,ann,2,b.csv,fabrikam,androidDeviceOwnerEnrollmentProfile,9dfb369b-ab13-4fae-a276-55daa05f1119,Kiosk,revoked,,204,,,1,0,2026-11-22T04:14:53.007Z,2026-11-22T04:14:53.257Z,250,,,20261122-0414-ab12
        "#);
    }

    #[test]
    fn only_what_is_not_as_wished_is_in_failed_csv() {
        let (file, _) = write(&rows(), Style::default());
        let (report, failed) = (file("report.csv"), file("failed.csv"));
        let mut all = csv::ReaderBuilder::new().from_reader(report.as_bytes());
        let mut some = csv::ReaderBuilder::new().from_reader(failed.as_bytes());
        assert_eq!(all.headers().unwrap(), some.headers().unwrap());
        let kept: Vec<_> = some.records().map(Result::unwrap).collect();
        let expected: Vec<_> = all.records().map(Result::unwrap).skip(1).take(2).collect();
        assert_eq!(kept, expected);
    }

    #[test]
    fn excel_gets_its_mark_its_line_ends_and_its_separator() {
        let (file, _) = write(&rows()[..1], Style { excel: true, delimiter: b';' });
        let text = file("report.csv");
        assert!(text.starts_with("\u{feff}id;Note;owner;result_line;"));
        assert_eq!((text.matches("\r\n").count(), text.matches('\n').count()), (2, 2));
    }

    #[test]
    fn lines_of_json_have_types_and_no_guard() {
        let (file, _) = write(&rows(), Style::default());
        let lines: Vec<Json> = file("report.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 5);
        assert_eq!(
            (&lines[0]["Note"], &lines[0]["owner"], &lines[0]["result_http_status"]),
            (&json!("=1+1"), &json!(""), &json!(204))
        );
        assert_eq!((&lines[0]["result_reason"], &lines[0]["result_elapsed_ms"]), (&Json::Null, &json!(250)));
        assert_eq!((&lines[2]["result_id"], &lines[2]["result_attempts"]), (&Json::Null, &json!(0)));
        assert_eq!(
            (&lines[4]["owner"], &lines[4]["id"], &lines[4]["result_tenant"]),
            (&json!("ann"), &json!("B"), &json!("fabrikam"))
        );
        let first = file("report.jsonl").lines().next().unwrap().to_owned();
        assert!(first.starts_with(r#"{"id":"A","Note":"=1+1","owner":"","result_line":2,"#), "{first}");
    }

    #[test]
    fn the_summary_counts_every_status() {
        let (file, _) = write(&rows(), Style::default());
        let text = file("summary.json");
        assert!(text.starts_with("{\n  \"schema\": 1,\n  \"run\": \"20261122-0414-ab12\",") && text.ends_with("}\n"));
        let summary: Json = serde_json::from_str(&text).unwrap();
        assert_eq!((&summary["seconds"], &summary["finished_at"]), (&json!(401.5), &json!("2026-11-22T04:21:34.507Z")));
        assert_eq!((&summary["requests"], &summary["retries"], &summary["stopped_by"]), (&json!(3), &json!(0), &Json::Null));
        let counts = |items: &Json| {
            let items = items.as_object().unwrap();
            assert_eq!(items.len(), Status::ALL.len());
            [Status::Revoked, Status::Refused, Status::Skipped, Status::Invalid, Status::Unknown]
                .map(|status| items[status.name()].as_u64().unwrap())
        };
        assert_eq!(counts(&summary["items"]), [2, 1, 1, 1, 0]);
        assert_eq!(counts(&summary["tenants"][1]["items"]), [1, 0, 0, 0, 0]);
        assert_eq!(summary["tenants"][1]["label"], "fabrikam");
    }

    #[test]
    fn the_same_rows_are_the_same_bytes() {
        let ((one, names), (two, _)) = (write(&rows(), Style::default()), write(&rows(), Style::default()));
        for name in names {
            assert_eq!(one(&name), two(&name));
        }
    }

    #[test]
    fn a_report_that_is_not_finished_leaves_the_old_one_alone() {
        let dir = tempfile::tempdir().unwrap();
        let header = header();
        fs::write(dir.path().join("report.csv"), "old").unwrap();
        let mut writer = ReportWriter::create(dir.path(), &header, Style::default()).unwrap();
        writer.row(&rows()[0]).unwrap();
        drop(writer);
        assert_eq!(fs::read_to_string(dir.path().join("report.csv")).unwrap(), "old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
