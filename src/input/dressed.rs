//! Tests: lists in the dress that the programs of the world put on them, and what each is worth.

use std::io::Cursor;

use crate::model::{Entry, Kind, Problem};

use super::{Format, List, Options};

const A: &str = "9dfb369b-ab13-4fae-a276-55daa05f1119";
const B: &str = "3ceaaf30-8142-48ea-91d9-3080f9b439fc";

type Open = List<Cursor<Vec<u8>>>;

fn open_as(bytes: impl Into<Vec<u8>>, format: Format, id_column: Option<&str>) -> Result<Open, Vec<Problem>> {
    List::open(0, "list.csv", Cursor::new(bytes.into()), &Options { format, id_column: id_column.map(str::to_owned) })
}

fn read(bytes: impl Into<Vec<u8>>) -> (Open, Vec<Entry>) {
    let mut list = open_as(bytes, Format::Csv, None).unwrap();
    let entries = list.by_ref().collect::<Result<_, _>>().unwrap();
    (list, entries)
}

fn refused(bytes: impl Into<Vec<u8>>) -> Vec<String> {
    let problems = match open_as(bytes, Format::Csv, None) {
        Err(problems) => problems,
        Ok(list) => list.filter_map(Result::err).collect(),
    };
    problems.iter().map(ToString::to_string).collect()
}

fn places(entries: &[Entry]) -> Vec<(u32, &str)> {
    entries.iter().map(|entry| (entry.place.line, entry.id.as_str())).collect()
}

fn one(row: &str) -> Entry {
    read(format!("id,note\n{row}\n")).1.remove(0)
}

#[test]
fn a_european_excel_list_is_read() {
    let text = format!("\u{feff}sep=;\r\nProfile ID;Name;Note;;\r\n {A} ;Köln;\"ok; ja\";;\r\n;;;;\r\n\r\n{{{B}}};Lyon;x;;\r\n");
    let (list, entries) = read(text);
    assert_eq!(places(&entries), [(3, A), (6, &format!("{{{B}}}"))]);
    assert_eq!(entries[0].cells, [&format!(" {A} "), "Köln", "ok; ja", "", ""]);
    assert_eq!(list.source().columns, ["Profile ID", "Name", "Note", "", ""]);
    assert_eq!(list.blank_columns(), [3, 4]);
    assert!(list.warnings().is_empty());
}

#[test]
fn a_powershell_export_is_read_and_its_lost_letters_are_mentioned() {
    let (list, entries) = read(format!("#TYPE Selected.X\r\n\"Id\",\"Name\"\r\n\"{A}\",\"S?o\"\r\n"));
    assert_eq!((places(&entries), entries[0].cells[1].as_str()), (vec![(3, A)], "S?o"));
    assert!(list.warnings()[0].message.contains("PowerShell"));
}

#[test]
fn a_powershell_redirect_in_utf16_is_read() {
    let text = format!("\u{feff}#TYPE Selected.X\r\n\"Id\",\"Name\"\r\n\"{A}\",\"São\"\r\n");
    let (list, entries) = read(text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>());
    assert_eq!((places(&entries), entries[0].cells[1].as_str()), (vec![(3, A)], "São"));
    assert!(list.warnings().is_empty());
}

#[test]
fn a_windows_1252_list_is_read_with_a_warning() {
    let (list, entries) = read([b"id;Name\r\n", A.as_bytes(), b";K\xF6ln\r\n"].concat());
    assert_eq!(entries[0].cells[1], "Köln");
    assert!(list.warnings()[0].to_string().contains("Windows-1252"));
}

#[test]
fn secrets_do_not_get_past_reading() {
    let text = format!("Id,Name,TokenValue,QrCodeContent,WifiPassword\n{A},x,LIVE,\"{{\"\"a\"\":\"\"LIVE\"\"}}\",\n");
    let (list, entries) = read(text);
    assert!(!format!("{entries:?}").contains("LIVE"));
    assert_eq!(entries[0].cells, [A, "x", "[removed]", "[removed]", ""]);
    assert_eq!(list.source().columns[2], "TokenValue");
    assert_eq!(list.warnings().len(), 1);
    assert!(list.warnings()[0].message.contains("TokenValue, QrCodeContent, WifiPassword"));
}

#[test]
fn a_list_without_a_header_has_one_column() {
    let (list, entries) = read(format!("\n{A}\n{B};note\n{A};;\n"));
    assert_eq!(list.source().columns, ["id"]);
    assert_eq!(places(&entries), [(2, A), (3, &format!("{B};note")), (4, &format!("{A};;"))]);
    let (_, entries) = read(format!("{A};\n{B};note\n"));
    assert_eq!((entries[0].flaw.as_deref(), entries[1].id.as_str()), (None, B));
    assert!(entries[1].flaw.as_deref().unwrap().contains("2 cells for one column"));
}

#[test]
fn a_text_list_may_hold_comments() {
    let text = format!("# it's \"retired\"\n{A}\n\n  # more\n {B}\nid");
    let entries: Vec<Entry> = open_as(text, Format::Txt, None).unwrap().map(Result::unwrap).collect();
    assert_eq!(places(&entries), [(2, A), (5, B), (6, "id")]);
}

#[test]
fn an_empty_list_is_no_error() {
    for text in ["", "\n\r\n", "sep=;\n", "id,name\n", "\u{feff}", "#TYPE X\r\n"] {
        assert!(read(text).1.is_empty(), "{text:?}");
    }
}

#[test]
fn what_rows_say_is_carried_as_text() {
    let text = format!("tenant,kind,id,notifyManagedDevices,revokeUntrackedLicenses\n contoso , vpp,{A},TRUE,\n,,{B}\n");
    let (_, entries) = read(text);
    let said = |entry: &Entry| [&entry.tenant, &entry.kind, &entry.notify, &entry.untracked].map(Clone::clone);
    assert_eq!(said(&entries[0]), [Some("contoso".into()), Some("vpp".into()), Some("TRUE".into()), None]);
    assert_eq!(said(&entries[1]), [None, None, None, None]);
    assert_eq!(entries[0].cells[0], " contoso ");
    assert_eq!(entries[1].cells.len(), 5, "missing cells are empty");
}

#[test]
fn an_id_column_that_names_a_kind_implies_it() {
    assert_eq!(read(format!("vppTokenId\n{A}\n")).0.source().implied, Some(Kind::VppToken));
    assert_eq!(read(format!("tokenId\n{A}\n")).0.source().implied, None);
    let named = open_as(format!("id,vpp_token_id\n{A},{B}\n"), Format::Csv, Some("VPP token id")).unwrap();
    assert_eq!(named.source().implied, Some(Kind::VppToken));
    assert_eq!(named.map(|entry| entry.unwrap().id).collect::<Vec<_>>(), [B]);
}

#[test]
fn flaws_of_shape_are_found_row_by_row() {
    assert_eq!(one(&format!("{A},x,, ")).flaw, None, "surplus cells without content are dropped");
    assert!(one(&format!("{A},x,y")).flaw.unwrap().contains("3 cells for 2 columns"));
    assert!(one(&format!("\"{A}\n\",x")).flaw.unwrap().contains("the id goes over several lines"));
    assert_eq!(one(&format!("{A},\"two\nlines\"")).flaw, None);
    assert_eq!(one(&format!("{A},\"two\r\nlines\"")).cells[1], "two\r\nlines");
}

#[test]
fn a_row_that_a_stray_quote_swallowed_is_a_flaw_and_not_a_loss() {
    let (_, entries) = read(format!("id,note\n{A},\"oops\n{B},\"fine\"\n"));
    assert!(entries[0].flaw.as_deref().unwrap().contains("another id"));
}

#[test]
fn an_open_quote_is_reported_where_its_row_begins() {
    for text in [
        format!("id,note\r\n{A},x\r\n\r\n{B},\"open\r\n{A},y\r\n"),
        format!("id,note\n{A},x\n\n{B},\"open\n{A},y"),
        format!("id,note\r{A},x\r\r{B},\"open"),
        format!("id,note\n{A},x\n\n{B},\""),
    ] {
        let problems = refused(text.clone());
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("list.csv:4: a quote in this row is not closed"), "{text:?} {problems:?}");
    }
    assert!(refused("\nid,\"note\n")[0].starts_with("list.csv:2: a quote"));
}

#[test]
fn nul_bytes_are_refused_with_their_line() {
    let utf16: Vec<u8> = format!("id\n{A}\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(refused(utf16), ["list.csv:1: holds a NUL byte: is it UTF-16 without a byte order mark? Save it as UTF-8"]);
    assert!(refused("id\r\na\0\r\n")[0].starts_with("list.csv:2: holds a NUL byte"));
    assert!(refused(b"PK\x03\x04\0\0".as_slice())[0].contains("workbook"));
}

#[test]
fn a_wrong_header_is_reported_on_its_line() {
    assert!(refused(format!("sep=;\r\nName;Owner\r\n{A};x\r\n"))[0].starts_with("list.csv:2: no column is the id; name one"));
    assert_eq!(refused(format!("id,tokenId,kind,type\n{A},{B},,\n")).len(), 2);
}

#[test]
fn a_report_is_a_valid_list() {
    let text = format!(
        "Name,Token,Tenant,'@odata.type,vppTokenId,result_tenant,result_kind,result_id,result_status\n\
         '=cmd,[removed],,,{A},contoso,vppToken,{A},refused\n\
         'tis,,fabrikam,afw,,contoso,vppToken,{B},failed\n"
    );
    let (list, entries) = read(text);
    assert_eq!(list.source().columns, ["Name", "Token", "Tenant", "@odata.type", "vppTokenId"]);
    let first = &entries[0];
    assert_eq!(
        (first.tenant.as_deref(), first.kind.as_deref(), first.status.as_deref()),
        (Some("contoso"), Some("vppToken"), Some("refused"))
    );
    assert_eq!(first.cells, ["=cmd", "[removed]", "", "", A]);
    assert_eq!((entries[1].tenant.as_deref(), entries[1].kind.as_deref()), (Some("fabrikam"), Some("afw")));
    assert_eq!((entries[1].id.as_str(), entries[1].cells[0].as_str()), (B, "'tis"));
}

#[test]
fn an_id_that_contradicts_the_report_is_a_flaw_unless_the_user_decides() {
    let text = format!("id,result_id\n{A},{B}\n");
    assert!(read(text.clone()).1[0].flaw.as_deref().unwrap().contains("two objects"));
    for (column, id) in [("id", A), ("result_id", B)] {
        let entry = open_as(text.clone(), Format::Csv, Some(column)).unwrap().next().unwrap().unwrap();
        assert_eq!((entry.id.as_str(), entry.flaw), (id, None));
    }
}

#[test]
fn nothing_comes_after_the_end() {
    let mut list = open_as(format!("id\n{A}\n"), Format::Csv, None).unwrap();
    assert_eq!(list.by_ref().count(), 1);
    assert!(list.next().is_none());
}
