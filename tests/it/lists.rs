//! Lists as real programs write them, through the real binary: what counts, what is sent, what stands in the report.
//! Most of these runs read nothing back, because that has nothing to do with lists.

use crate::kit::{Home, Left, all_at_once, id, rows};

/// A list in the dress of one program.
struct Dressed {
    name: &'static str,
    content: Vec<u8>,
    flags: &'static str,
    rows: usize,
    sent: usize,
}

fn simulated(dressed: &Dressed) -> (Home, Left) {
    let home = Home::new().unverified().file(dressed.name, &dressed.content);
    let left = home.run(&format!("run {} {} --simulate --out out", dressed.name, dressed.flags)).exits(0);
    (home, left)
}

fn upper(n: u128) -> String {
    format!("{{{}}}", id(n).to_string().to_uppercase())
}

fn utf16(text: &str, little: bool) -> Vec<u8> {
    let units = std::iter::once('\u{feff}').chain(text.chars()).collect::<String>();
    units.encode_utf16().flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
}

fn powershell() -> String {
    let rows = rows(1..=5, |n| format!("\"{}\",\"Kiosk São {n}\",\"x\"\r\n", id(n)));
    format!("#TYPE Selected.System.Management.Automation.PSCustomObject\r\n\"Id\",\"DisplayName\",\"EnrollmentMode\"\r\n{rows}")
}

fn european() -> String {
    let blank = |n| if n == 3 { ";;;;\r\n\r\n" } else { "" };
    let rows = rows(2..=5, |n| format!("{};Kiosk {n};\"ok; geprüft\";;\r\n{}", upper(n), blank(n)));
    format!("\u{feff}sep=;\r\nProfile ID;Display name;Kommentar;;\r\n {} ;Kiosk;\"ok; geprüft\";;\r\n{rows}", id(1))
}

fn mixed() -> String {
    let kinds = ["androidDeviceOwnerEnrollmentProfile", "android-for-work", "vpp-token"];
    let tenants = ["contoso", "fabrikam"];
    let rows = (0..12_u128).map(|n| {
        let (tenant, kind) = (tenants[(n % 2) as usize], kinds[(n % 3) as usize]);
        let owner = if n == 5 { "=cmd|' /C calc'!A0" } else { "team" };
        format!("CHG-{n},{tenant},{kind},{},{},{owner}\n", id(n), if n % 3 == 2 { "true" } else { "" })
    });
    let last = format!("CHG-99,contoso,androidDeviceOwnerEnrollmentProfile,{},,dup of row 1\n", id(0).to_string().to_uppercase());
    format!("ticket,tenant,kind,id,notifyManagedDevices,owner\n{}{last}", rows.collect::<String>())
}

fn plain_excel() -> Vec<u8> {
    let rows = (1..=3).flat_map(|n| [id(n).to_string().as_bytes(), b";K\xf6ln\r\n"].concat());
    b"Profile ID;Anzeigename\r\n".iter().copied().chain(rows).collect()
}

fn secrets() -> String {
    let kind = "#microsoft.graph.androidDeviceOwnerEnrollmentProfile";
    let rows =
        (1..=3).map(|n| format!("\"{}\",\"Kiosk\",\"LIVE\",\"{{\"\"a\"\":\"\"LIVE\"\"}}\",\"LIVE\",\"{kind}\"\r\n", id(n)));
    format!(
        "\"Id\",\"DisplayName\",\"TokenValue\",\"QrCodeContent\",\"WifiPassword\",\"@odata.type\"\r\n{}",
        rows.collect::<String>()
    )
}

fn ids_only() -> String {
    format!("# retired on 2026-11-20\n{}\n{}\n{}\n{}\n\n{}\n", id(1), id(2), id(3), id(4), id(5))
}

#[test]
fn lists_of_real_programs_have_the_counts_of_the_samples() {
    const OWNER: &str = "--kind androidDeviceOwnerEnrollmentProfile";
    let list = |name, content: Vec<u8>, flags, rows, sent| Dressed { name, content, flags, rows, sent };
    let lists = [
        list("powershell51-export.csv", powershell().replace('ã', "?").into(), OWNER, 5, 5),
        list("powershell51-redirect-utf16.csv", utf16(&powershell(), true), OWNER, 5, 5),
        list("utf16-big-endian.csv", utf16(&powershell(), false), OWNER, 5, 5),
        list("excel-european.csv", european().into(), "--kind device-owner", 5, 5),
        list("mixed-tenants.csv", mixed().into(), "", 13, 12),
        list("ids-only.txt", ids_only().into(), "--kind afw", 5, 5),
        list("graph-powershell-with-secrets.csv", secrets().into(), "", 3, 3),
        list("excel-plain-windows1252.csv", plain_excel(), OWNER, 3, 3),
    ];
    all_at_once(lists, |list| {
        let (_home, left) = simulated(&list);
        let counts = left.counts();
        let sum: usize = counts.values().sum();
        assert_eq!((sum, counts["accepted"]), (list.rows, list.sent), "{}", list.name);
        assert_eq!(counts.get("skipped").copied().unwrap_or_default(), list.rows - list.sent, "{}", list.name);
    });
}

#[test]
fn every_form_that_needs_no_flag_is_read() {
    let (a, b) = (id(1), id(2));
    let forms: [(&'static str, String); 13] = [
        ("a.csv", format!("id,kind\r\n{a},afw\r\n{b},afw\r\n")),
        ("bom.csv", format!("\u{feff}id,kind\n{a},afw\n{b},afw")),
        ("semicolon.csv", format!("id;kind\n{a};afw\n{b};afw\n")),
        ("tab.csv", format!("id\tkind\n{a}\tafw\n{b}\tafw\n")),
        ("tab.tsv", format!("id\tkind\n{a}\tafw\n{b}\tafw\n")),
        ("sep.csv", format!("sep=;\nid;kind\n{a};afw\n{b};afw\n")),
        ("type.csv", format!("#TYPE X\nid,kind\n{a},afw\n{b},afw\n")),
        ("blank-rows.csv", format!("\n\nid,kind\n\n{a},afw\n,\n\n{b},afw\n\n")),
        ("names.csv", format!("Object-ID,@odata.type\n{a},#microsoft.graph.vppToken\n{b},VPP-Token\n")),
        ("implied.csv", format!("Android_Device Owner-EnrollmentProfileId,note\n{a},x\n{b},y\n")),
        ("vpp-implied.csv", format!("vppTokenId\n{a}\n{b}\n")),
        ("type-column.csv", format!("TYPE,Profile Id\nafw,\"{a}\"\nafw,' {b} '\n").replace('\'', "\"")),
        ("short-rows.csv", format!("kind,id,note,more\nafw,{a}\nafw,{b},x,y\n")),
    ];
    all_at_once(forms, |(name, content)| {
        let (_home, left) = simulated(&Dressed { name, content: content.into(), flags: "", rows: 2, sent: 2 });
        left.counts_are(&[("accepted", 2)]);
    });
}

#[test]
fn a_list_without_a_header_is_one_id_per_row() {
    let content = format!("{}\n{}\n", id(1), upper(2));
    let (_home, left) = simulated(&Dressed { name: "ids.csv", content: content.into(), flags: "--kind afw", rows: 2, sent: 2 });
    let rows = left.counts_are(&[("accepted", 2)]).rows();
    assert_eq!((rows[0]["id"].as_str(), rows[1]["id"].as_str()), (id(1).to_string().as_str(), upper(2).as_str()));
}

#[test]
fn standard_input_is_a_csv_list() {
    let home = Home::new().unverified();
    let left = home.run_with_input("run - --simulate --out out", &format!("kind,id\nafw,{}\n", id(1))).exits(0);
    let left = left.counts_are(&[("accepted", 1)]);
    assert_eq!((left.column("result_source"), left.summary()["job"].as_str()), (vec!["'-".to_owned()], Some("stdin")));
    home.run_with_input("run - --simulate", "").exits(5);
    home.run_with_input("run - --simulate", "kind,id\nafw,x\n").exits(3).says(&["-:2: "]);
}

#[test]
fn the_report_has_every_input_row_in_input_order_with_its_own_columns_first() {
    let first = format!("id;kind;Note;\n{};afw;Köln;\n{};afw;'=1+1;\n{};afw;=2+2;\n", id(1), upper(1), id(2));
    let second = format!("owner,id,Note,kind\nann,{},x,vpp\n", id(3));
    let home = Home::new().unverified().file("a.csv", first).file("b.csv", second).file("c.txt", format!("{}\n", id(4)));
    let left = home.run("run a.csv b.csv c.txt --kind afw --simulate --out out").exits(0);
    let left = left.counts_are(&[("accepted", 4), ("skipped", 1)]);
    let text = String::from_utf8(left.bytes("out/report.csv")).unwrap_or_default();
    let header = "id,kind,Note,owner,result_line,result_source,result_tenant,result_kind,result_id,result_name,result_status,\
        result_reason,result_http_status,result_error_code,result_message,result_attempts,result_throttled,result_sent_at,\
        result_finished_at,result_elapsed_ms,result_request_id,result_client_request_id,result_run";
    assert_eq!(text.lines().next(), Some(header));
    assert!(!text.contains('\r') && !text.starts_with('\u{feff}') && text.ends_with('\n'));
    let cells = |name: &str| left.column(name);
    assert_eq!(cells("result_line"), ["2", "3", "4", "2", "1"]);
    assert_eq!(cells("result_source"), ["a.csv", "a.csv", "a.csv", "b.csv", "c.txt"]);
    assert_eq!(cells("Note"), ["Köln", "''=1+1", "'=2+2", "x", ""]);
    assert_eq!(cells("owner"), ["", "", "", "ann", ""]);
    assert_eq!(cells("id")[1], upper(1), "cells as they were read");
    assert_eq!(cells("result_id")[1], id(1).to_string());
    assert_eq!(cells("result_reason")[1], "duplicate of line 2");
    let objects = left.objects();
    assert_eq!((objects.len(), objects[2]["Note"].as_str()), (5, Some("=2+2")));
    assert_eq!(objects[3]["result_kind"], "vppToken");
}

#[test]
fn excel_gets_its_own_dress_and_the_report_is_still_a_list() {
    let home = Home::new().unverified().file("list.csv", format!("kind,id,note\nafw,{},\"a;b\"\n", id(1)));
    let home = home.file("config.toml", "[report]\nexcel = true\ndelimiter = \";\"\n");
    let left = home.run("run list.csv --simulate --out out").exits(0);
    let text = String::from_utf8(left.bytes("out/report.csv")).unwrap_or_default();
    assert!(text.starts_with("\u{feff}kind;id;note;result_line;") && text.ends_with("\r\n"), "{text}");
    assert!(text.contains("\"a;b\""));
    home.run("run out/report.csv --simulate --out again").exits(0);
}

#[test]
fn a_report_is_a_list_and_only_picks_rows_by_their_status() {
    let home = Home::new()
        .unverified()
        .file("list.csv", format!("kind,id,note\nafw,{0},=1\nafw,{1},b\nafw,nonsense,c\nafw,{0},d\n", id(1), id(2)));
    home.run("run list.csv --skip-invalid --simulate --out out").exits(7).counts_are(&[
        ("accepted", 2),
        ("invalid", 1),
        ("skipped", 1),
    ]);
    let again = |flags: &str| home.run(&format!("run out/report.csv --simulate --out again {flags}"));
    let left = again("--only accepted").exits(0);
    let rows = left.rows_of("again/report.csv");
    assert_eq!(rows.iter().map(|row| row["note"].as_str()).collect::<Vec<_>>(), ["'=1", "b"]);
    assert_eq!(rows[0].len(), 3 + 19, "result columns are replaced, not doubled");
    again("--only accepted,skipped").exits(0);
    again("--only invalid").exits(3);
    again("--only revoked").exits(5);
    again("--only nonsense").exits(2);
    home.run("run list.csv --only accepted --simulate").exits(3).says(&["list.csv", "--only"]);
    let failed = home.run("run out/failed.csv --skip-invalid --simulate --out third").exits(7);
    assert_eq!(failed.rows_of("third/report.csv").len(), 1);
}

#[test]
fn a_job_brings_lists_items_and_defaults() {
    let job = format!(
        "version = 1\nname = \"retire\"\nkind = \"vppToken\"\ntenant = \"contoso\"\nlists = [\"more/list.csv\"]\nticket = \"CHG-1\"\n\
         [vpp]\nnotify_managed_devices = true\n[run]\nmax_items = 5\n\
         [[items]]\nid = \"{}\"\nnote = \"kept\"\n[[items]]\nid = \"{}\"\nkind = \"afw\"\ntenant = \"fabrikam\"\n",
        id(1),
        upper(2)
    );
    let home = Home::new()
        .unverified()
        .file("jobs/job.toml", job)
        .file("jobs/more/list.csv", format!("id,owner\n{},ann\n{},bob\n", id(3), id(1)));
    let left = home.run("run jobs/job.toml --simulate --out out").exits(0);
    let left = left.counts_are(&[("accepted", 3), ("skipped", 1)]);
    assert_eq!(left.column("result_kind"), ["vppToken", "vppToken", "vppToken", "androidForWorkEnrollmentProfile"]);
    assert_eq!(left.column("result_tenant"), ["contoso", "contoso", "contoso", "fabrikam"]);
    assert_eq!((left.column("note")[2].as_str(), left.column("owner")[1].as_str()), ("kept", "bob"));
    let summary = left.summary();
    assert_eq!((summary["job"].as_str(), summary["ticket"].as_str()), (Some("retire"), Some("CHG-1")));
    let named = home.run("run jobs/job.toml --job other --ticket CHG-2 --simulate --out out").exits(0).summary();
    assert_eq!((named["job"].as_str(), named["ticket"].as_str()), (Some("other"), Some("CHG-2")));
}

#[test]
fn plain_duplicates_over_several_lists_are_sent_once_and_name_the_first() {
    let home = Home::new()
        .unverified()
        .file("a.csv", format!("kind,id\nafw,{}\n", id(1)))
        .file("b.csv", format!("x,id,kind\n,{},afw\n,{},vpp\n", upper(1), id(1)));
    let left = home.run("run a.csv b.csv --simulate --out out").exits(0).counts_are(&[("accepted", 2), ("skipped", 1)]);
    assert_eq!(left.statuses(), ["accepted", "skipped", "accepted"]);
    assert_eq!(left.column("result_reason")[1], "duplicate of a.csv:2");
}

#[test]
fn a_list_of_many_rows_keeps_its_order() {
    let rows = rows(1..=2_000, |n| format!("vpp,{}\n", id(n)));
    let home = Home::new().unverified().file("list.csv", format!("kind,id\n{rows}"));
    let left = home.run("run list.csv --dry-run --simulate --out out").exits(0).counts_are(&[("not_attempted", 2_000)]);
    let lines: Vec<String> = (2..=2_001).map(|line: u32| line.to_string()).collect();
    assert_eq!(left.column("result_line"), lines);
}
