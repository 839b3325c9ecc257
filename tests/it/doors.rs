//! What stands beside the code agrees with it: README's table of exit codes, `config.toml`, the sample jobs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bulk_revoke::cli::Exit;
use bulk_revoke::config::{ConfigFile, Job};

use crate::kit::{Home, all_at_once};

const EXITS: [Exit; 15] = [
    Exit::Ok,
    Exit::Internal,
    Exit::Usage,
    Exit::Invalid,
    Exit::SignIn,
    Exit::Nothing,
    Exit::Refused,
    Exit::Failed,
    Exit::Unknown,
    Exit::Pending,
    Exit::Stopped,
    Exit::Locked,
    Exit::Deadline,
    Exit::Record,
    Exit::Interrupted,
];

/// Every key that this version knows, by its table.
const KEYS: &[(&str, &[&str])] = &[
    ("graph", &["cloud", "root", "authority", "ca_file", "allow_custom"]),
    (
        "auth",
        &[
            "method",
            "tenant_id",
            "client_id",
            "client_secret",
            "client_certificate",
            "federated_token_file",
            "service_connection_id",
            "token",
            "identity_object_id",
            "identity_resource_id",
            "allow_opaque_token",
            "expect_domain",
        ],
    ),
    ("tenants.contoso", &["tenant_id", "client_id", "client_secret", "expect_domain"]),
    (
        "run",
        &[
            "concurrency",
            "quota",
            "rate",
            "max_attempts",
            "max_pause",
            "timeout",
            "deadline",
            "max_fail",
            "canary",
            "max_items",
            "on_empty",
            "settle",
            "pin_max_age",
        ],
    ),
    ("verify", &["enabled", "android_deadline", "vpp_deadline"]),
    ("guard", &["protect", "protect_file", "protect_mode", "vpp_again_after", "max_list_age", "max_items_per_day", "max_growth"]),
    ("approval", &["mode"]),
    ("report", &["dir", "excel", "delimiter"]),
    ("state", &["dir"]),
    ("log", &["format", "level"]),
];

fn repository(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap_or_else(|error| format!("{file}: {error}"))
}

/// Names of an enum's variants, one for each number: a variant added to the code shows as a gap here.
fn codes() -> BTreeSet<u8> {
    EXITS.into_iter().map(Exit::code).collect()
}

#[test]
fn the_readme_and_the_program_agree_on_exit_codes() {
    let readme = repository("README.md");
    let table = readme.lines().skip_while(|line| !line.replace(' ', "").to_lowercase().starts_with("|code|when|"));
    let rows = table.skip(2).take_while(|line| line.starts_with('|'));
    let cells = rows.map(|line| line.split('|').nth(1).unwrap_or_default().trim().trim_matches('`').to_owned());
    let listed: BTreeSet<u8> = cells.map(|cell| cell.parse().unwrap_or(u8::MAX)).collect();
    assert_eq!(listed, codes(), "README.md needs a table that begins with | code | when | and has exactly these rows");
}

#[test]
fn the_list_of_exit_codes_in_these_tests_is_complete() {
    let source = repository("src/cli/exit.rs");
    let body = source.split("pub enum Exit {").nth(1).and_then(|rest| rest.split('}').next()).unwrap_or_default();
    let numbers = body.lines().filter_map(|line| line.split_once(" = ")?.1.trim_end_matches(',').parse::<u8>().ok());
    assert_eq!(numbers.collect::<BTreeSet<u8>>(), codes());
}

#[test]
fn the_shipped_configuration_loads() {
    let mut problems = Vec::new();
    ConfigFile::parse("config.toml", &repository("config.toml"), &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
}

/// The lines that are commented out only because the key has no default.
fn uncommented(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let bare = line.trim_start_matches("# ");
        let is_setting = bare.starts_with("[tenants.") || bare.split_once(" = ").is_some_and(|(key, _)| is_key(key));
        if is_setting { bare } else { line }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn is_key(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

#[test]
fn the_shipped_configuration_shows_every_key_and_all_of_them_are_real() {
    let text = uncommented(&repository("config.toml"));
    let mut problems = Vec::new();
    // An identity has one name, and the sample shows both.
    ConfigFile::parse("config.toml", &text.replace("identity_resource_id", "#"), &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
    let shown: toml::Table = text.parse().unwrap();
    for (path, keys) in KEYS {
        let table = path.split('.').try_fold(&shown, |table, name| table.get(name)?.as_table());
        let found: BTreeSet<&str> = table.into_iter().flatten().map(|(key, _)| key.as_str()).collect();
        assert_eq!(found, keys.iter().copied().collect(), "[{path}]");
    }
}

#[test]
fn a_key_that_the_program_knows_is_in_the_list_of_these_tests() {
    // A tenant's table may repeat all of [auth]; the sample shows what it usually holds.
    for (path, keys) in KEYS.iter().filter(|(path, _)| !path.starts_with("tenants.")) {
        let mut problems = Vec::new();
        ConfigFile::parse("c", &format!("[{path}]\nzzz = 1\n"), &mut problems);
        let said = problems.iter().map(ToString::to_string).find(|said| said.contains("known are ")).unwrap_or_default();
        let known: BTreeSet<&str> = said.split("known are ").nth(1).unwrap_or_default().split(", ").collect();
        assert_eq!(known, keys.iter().copied().collect(), "[{path}]");
    }
}

#[test]
fn the_defaults_that_the_shipped_configuration_shows_are_those_without_it() {
    let home = Home::new().file("list.csv", "kind,id\nafw,9ceb2f92-2f92-9ceb-922f-eb9c922feb9c\n");
    home.write("shipped.toml", repository("config.toml"));
    let plain = home.run("run list.csv --simulate --out out").exits(0);
    let shipped = home.run("run list.csv --simulate --out out -c shipped.toml").exits(0);
    assert_eq!(plain.stdout, shipped.stdout);
}

#[test]
fn the_sample_jobs_load() {
    let samples = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs")).unwrap();
    let mut names: Vec<String> = samples.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let ends = |name: &str, endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    names.retain(|name| ends(name, &[".csv", ".tsv", ".txt", ".toml"]));
    assert!(names.iter().any(|name| ends(name, &[".csv"])) && names.iter().any(|name| ends(name, &[".toml"])), "{names:?}");
    all_at_once(&names, |name| {
        let home = Home::new();
        for name in &names {
            home.write(&format!("jobs/{name}"), repository(&format!("jobs/{name}")));
        }
        let left = home.run(&format!("run jobs/{name} --simulate --dry-run --out out")).exits(0);
        assert!(left.statuses().iter().any(|status| status == "not_attempted"), "{name}: {:?}", left.counts());
        let left = home.run(&format!("run jobs/{name} --simulate --out out")).exits(0);
        assert!(left.counts()["revoked"] > 0 && !left.counts().contains_key("accepted"), "{name}: {:?}", left.counts());
    });
}

#[test]
fn the_sample_job_shows_what_a_job_may_say() {
    let mut problems = Vec::new();
    let job = Job::parse("jobs/retire-kiosks.toml", &repository("jobs/retire-kiosks.toml"), &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
    assert!(job.name.is_some() && job.ticket.is_some() && !job.lists.is_empty());
}
