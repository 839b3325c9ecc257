//! Lists and jobs that are refused: everything that is wrong at once, each with its line, and nothing sent.

use crate::kit::{Home, Left, all_at_once, id};

/// The list is refused with these words in these lines, in a real run as in a dry one.
fn refused(name: &str, content: impl AsRef<[u8]>, flags: &str, words: &[&str]) -> Left {
    let home = Home::new().file(name, content);
    home.run(&format!("run {name} {flags} --simulate --dry-run --out out")).exits(3).has_no_report();
    let left = home.run(&format!("run {name} {flags} --simulate --out out")).exits(3).has_no_report();
    assert_eq!(home.run("runs --simulated").stdout, "", "no run is left of it");
    left.says(words).says(&["nothing was sent"])
}

#[test]
fn the_bad_rows_of_the_sample_are_refused_as_a_whole_with_four_line_numbers() {
    let list = format!(
        "id,kind,note\n{},vppToken,fine\nnot-a-guid,vppToken,bad id\n{},iosToken,unknown kind\n../../users/{},vppToken,path\n\
         {},vppToken,\"unclosed\n{},vppToken,swallowed\n",
        id(1),
        id(2),
        id(3),
        id(4),
        id(5)
    );
    let left = refused("bad.csv", list, "", &["bad.csv:3: ", "bad.csv:4: ", "bad.csv:5: ", "bad.csv:6: "]);
    assert_eq!(left.stderr.matches("bad.csv:").count(), 4, "{}", left.stderr);
    assert!(left.stderr.contains("quote") && left.stderr.contains("vppToken"), "{}", left.stderr);
}

#[test]
fn every_rejected_form_names_its_line() {
    let (a, b) = (id(1), id(2));
    let forms: [(&'static str, String, &'static str, Vec<&'static str>); 15] = [
        ("nul.csv", format!("id,kind\n{a},afw\n{b},a\0fw\n"), "", vec!["nul.csv:3: ", "NUL"]),
        ("quote.csv", format!("id,kind\n{a},afw\n{b},\"afw\n{a},vpp\n"), "", vec!["quote.csv:3: ", "quote"]),
        ("lines.csv", format!("id,kind\n\"{}\n{}\",afw\n", &a.to_string()[..8], &a.to_string()[8..]), "", vec!["lines.csv:2: "]),
        ("no-id.csv", format!("name,kind\n{a},afw\n"), "", vec!["no-id.csv:1: ", "id"]),
        ("two-ids.csv", format!("profileId,tokenId,kind\n{a},{b},afw\n"), "", vec!["profileId", "tokenId", "--id-column"]),
        ("kind.csv", format!("id,kind\n{a},iosVppApp\n"), "", vec!["kind.csv:2: ", "iosVppApp"]),
        ("no-kind.csv", format!("id\n{a}\n"), "", vec!["no-kind.csv:2: ", "--kind"]),
        ("guid.csv", "id,kind\n\n9ceb2f92,afw\n".to_owned(), "", vec!["guid.csv:3: ", "GUID"]),
        (
            "path.csv",
            format!("id,kind\n{a}/../x,afw\n{a}?x,afw\n{a}%20,afw\n"),
            "",
            vec!["path.csv:2: ", "path.csv:3: ", "path.csv:4: "],
        ),
        ("no-cell.csv", format!("id,kind\n{a},afw\n,afw\n"), "", vec!["no-cell.csv:3: ", "id"]),
        (
            "bool.csv",
            format!("id,kind,notifyManagedDevices\n{a},vpp,perhaps\n"),
            "",
            vec!["bool.csv:2: ", "notifyManagedDevices"],
        ),
        ("against.csv", format!("vppTokenId,kind\n{a},afw\n"), "", vec!["against.csv:2: ", "vppToken"]),
        (
            "differ.csv",
            format!("id,kind,notifyManagedDevices\n{a},vpp,true\n{a},vpp,false\n"),
            "",
            vec!["differ.csv:3: ", "line 2", "options"],
        ),
        ("comment.csv", format!("id,kind\n# {a},afw\n{b},afw\n"), "", vec!["comment.csv:2: "]),
        ("flag.csv", format!("id\n{a}\n"), "--kind nonsense", vec!["flag.csv:2: ", "nonsense"]),
    ];
    all_at_once(forms, |(name, content, flags, words)| drop(refused(name, content, flags, &words)));
}

#[test]
fn an_id_column_can_be_chosen_where_two_could_be_it() {
    let home = Home::new().unverified().file("list.csv", format!("profileId,Token ID,kind\n{},{},afw\n", id(1), id(2)));
    let left = home.run("run list.csv --id-column tokenid --simulate --out out").exits(0);
    assert_eq!(left.column("result_id"), [id(2).to_string()]);
    home.run("run list.csv --id-column nonsense --simulate").exits(3).says(&["nonsense"]);
}

#[test]
fn bad_rows_can_be_left_aside_and_stand_in_the_report() {
    let home = Home::new().file("list.csv", format!("kind,id,note\nafw,{},good\nafw,bad,x\nios,{},y\n", id(1), id(2)));
    let left = home.run("run list.csv --skip-invalid --simulate --out out").exits(7);
    let left = left.counts_are(&[("revoked", 1), ("invalid", 2)]);
    assert_eq!(left.statuses(), ["revoked", "invalid", "invalid"]);
    assert!(left.column("result_reason")[1].contains("GUID") && left.column("result_reason")[2].contains("ios"));
    assert_eq!(left.rows_of("out/failed.csv").len(), 2);
    // What makes the whole file doubtful cannot be left aside.
    home.write("list.csv", format!("kind,id\nafw,{}\nafw,\"{}\n", id(1), id(2)));
    home.run("run list.csv --skip-invalid --simulate --out out").exits(3);
}

#[test]
fn the_problems_of_all_lists_jobs_and_the_configuration_are_told_at_once() {
    let home = Home::new()
        .file("a.csv", "kind,id\nafw,bad\n")
        .file("b.csv", "name\nx\n")
        .file("c.txt", format!("{}\nbad\n", id(1)))
        .file("job.toml", "version = 1\nlists = [\"d.csv\"]\n[[items]]\nid = \"bad\"\nkind = \"afw\"\n")
        .file("d.csv", "id,kind\nbad,afw\n");
    let left = home.run("run a.csv b.csv c.txt job.toml --kind afw --simulate --out out").exits(3).has_no_report();
    left.says(&["a.csv:2: ", "b.csv:1: ", "c.txt:2: ", "d.csv:2: ", "job.toml:3: ", "5 problems"]);
}

#[test]
fn a_job_with_errors_is_refused_with_line_and_suggestion() {
    let good = format!("[[items]]\nid = \"{}\"\nkind = \"afw\"\n", id(1));
    let jobs: [(&'static str, &'static str, Vec<&'static str>); 9] = [
        ("version = 2\n", "", vec!["job.toml:1: ", "version"]),
        ("name = \"x\"\n", "", vec!["version"]),
        ("version = 1\nlsts = []\n", "", vec!["job.toml:2: ", "did you mean lists?"]),
        ("version = 1\nversion = 1\n", "", vec!["job.toml:2"]),
        ("version = 1\n", "[auth]\nclient_id = \"x\"\n", vec!["job.toml:5: ", "auth"]),
        ("version = 1\n", "[graph]\nroot = \"http://127.0.0.1\"\n", vec!["job.toml:5: ", "graph"]),
        ("version = 1\n", "[guard]\nprotect = []\n", vec!["job.toml:5: ", "guard"]),
        ("version = 1\n", "[run]\nmax_itms = 3\n", vec!["job.toml:6: ", "did you mean max_items?"]),
        (
            "version = 1\n",
            "[tenants.x]\ntenant_id = \"y\"\n[state]\ndir = \"z\"\n[log]\nlevel = \"info\"\n",
            vec!["tenants", "state", "log"],
        ),
    ];
    all_at_once(jobs, |(before, after, words)| drop(refused("job.toml", format!("{before}{good}{after}"), "", &words)));
}

#[test]
fn a_job_can_tighten_guards_and_never_loosen_them() {
    let job = |max: u32| format!("version = 1\nkind = \"afw\"\nlists = [\"list.csv\"]\n[run]\nmax_items = {max}\n");
    let home = Home::new().unverified().file("list.csv", format!("id\n{}\n{}\n{}\n", id(1), id(2), id(3)));
    let home = home.file("config.toml", "[run]\nmax_items = 2\n").file("loose.toml", job(50)).file("tight.toml", job(1));
    home.run("run loose.toml --simulate").exits(6).says(&["--max-items"]);
    home.write("config.toml", "[run]\nmax_items = 50\n");
    home.run("run tight.toml --simulate").exits(6).says(&["--max-items"]);
    home.run("run loose.toml --simulate").exits(0);
    // The person at the keyboard may.
    home.run("run tight.toml --max-items 3 --simulate").exits(0);
}

#[test]
fn only_listed_endings_are_lists() {
    let home = Home::new()
        .unverified()
        .file("list.xlsx", "PK")
        .file("list", format!("{}\n", id(1)))
        .file("LIST.CSV", format!("kind,id\nafw,{}\n", id(1)));
    home.run("run list.xlsx --simulate").exits(2).says(&["list.xlsx", ".csv"]);
    home.run("run list --simulate").exits(2);
    home.run("run LIST.CSV --simulate --out out").exits(0);
}
