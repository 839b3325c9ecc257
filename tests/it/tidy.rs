//! The rules of the house, held against the source: which room sees which, which room may have which effect, and how
//! files look. When the design moves, the table here moves with it.
#![expect(clippy::unwrap_used, reason = "a source file that cannot be read is a failed test")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What each room may import; only down.
const SEES: [(&str, &[&str]); 12] = [
    ("model", &[]),
    ("clock", &["model"]),
    ("input", &["clock", "model"]),
    ("plan", &["clock", "model"]),
    ("exec", &["plan", "input", "clock", "model"]),
    ("ledger", &["exec", "plan", "input", "clock", "model"]),
    ("report", &["exec", "plan", "input", "clock", "model"]),
    // Knows tokens and tenants, not what they are for.
    ("auth", &["clock", "model"]),
    ("graph", &["auth", "exec", "plan", "input", "clock", "model"]),
    // Fills every room's policy.
    ("config", &["graph", "auth", "ledger", "report", "exec", "plan", "input", "clock", "model"]),
    // A shared type would hide a wrong field name.
    ("sim", &[]),
    ("cli", &["config", "graph", "auth", "ledger", "report", "exec", "plan", "input", "clock", "model", "sim"]),
];

/// An effect: how it shows in code, where it may stand (a room or a file), and why there.
struct Effect {
    shows: &'static [&'static str],
    places: &'static [(&'static str, &'static str)],
}

const EFFECTS: &[Effect] = &[
    Effect {
        shows: &["reqwest::"],
        places: &[
            ("graph", "speaks to Graph"),
            ("auth", "speaks to the token endpoint"),
            ("cli/preflight.rs", "makes the one client and hands it to both"),
        ],
    },
    Effect { shows: &["rustls::"], places: &[("auth/obstacle.rs", "tells failures of TLS from those of the network")] },
    Effect {
        shows: &["azure_identity::", "azure_core::"],
        places: &[("auth", "the client-credentials exchange, the Azure CLI")],
    },
    Effect { shows: &["rusqlite::"], places: &[("ledger", "the one database")] },
    Effect {
        shows: &["tokio::"],
        places: &[
            ("clock.rs", "tells the time of the runtime, so that tests can turn it"),
            ("exec", "the loop and its tasks"),
            ("auth", "one refresh for many callers"),
            ("sim", "serves connections"),
            ("cli", "starts the runtime, listens to signals"),
            ("ledger/journal.rs", "answers the loop from its writer thread"),
        ],
    },
    Effect { shows: &["indicatif::"], places: &[("report", "the progress bar")] },
    Effect {
        shows: &["rustix::"],
        places: &[("cli/space.rs", "how much room a disk has"), ("auth/azure_cli.rs", "ends all that az started")],
    },
    Effect { shows: &["clap::"], places: &[("cli", "arguments")] },
    Effect { shows: &["governor::"], places: &[("exec/rate.rs", "the calculator of --rate")] },
    Effect {
        shows: &["use backoff::", " backoff::Clock", "backoff::Exponential"],
        places: &[("exec/backoff.rs", "the policy of delays")],
    },
    Effect { shows: &["hyper::", "hyper_util::", "http_body_util::"], places: &[("sim", "the server side of HTTP")] },
    Effect { shows: &["env::var", "env::vars", "env::args"], places: &[("cli/context.rs", "captures the environment once")] },
    Effect {
        shows: &["std::fs", "File::open", "File::create", "OpenOptions"],
        places: &[
            ("auth/platform.rs", "secrets that lie in files"),
            ("auth/login_file.rs", "keeps the sign-in of a person for later runs"),
            ("cli", "opens what the user named"),
            ("ledger", "directory, file and lock"),
            ("report/draft.rs", "the report's files"),
        ],
    },
    Effect {
        shows: &["std::process", "process::Command"],
        places: &[
            ("main.rs", "the exit code"),
            ("cli", "exit codes, the pid that a lock names"),
            ("auth/azure_cli.rs", "runs az"),
        ],
    },
    Effect {
        shows: &["std::net", "tokio::net"],
        places: &[
            ("auth/base_url.rs", "is an address loopback"),
            ("auth/managed.rs", "is an address the machine's own or its host's"),
            ("sim/server.rs", "listens on loopback"),
        ],
    },
    Effect {
        shows: &["thread::spawn", "thread::Builder", "thread::scope"],
        places: &[
            ("ledger/journal.rs", "the one writer"),
            ("cli/consent.rs", "waits for the answer, which a signal must not"),
            ("cli/lists.rs", "rows are read while others are planned"),
            ("cli/pastime.rs", "rows are read while others are written"),
        ],
    },
    Effect {
        shows: &["Mutex", "RwLock"],
        places: &[("auth", "one token per tenant for many callers"), ("sim", "one service behind many connections")],
    },
    // Lines go out through cli/streams.rs, where a reader that has gone is no error.
    Effect { shows: &["println!", "print!", "eprint!"], places: &[] },
    Effect { shows: &["io::stdout", "io::stderr", "io::stdin"], places: &[("cli", "owns the streams")] },
];

/// A source file: its path below `src`, and its lines that are code of the program, without comments and tests.
struct Source {
    path: String,
    text: String,
    code: String,
}

impl Source {
    fn room(&self) -> &str {
        self.path.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    fn lies_in(&self, place: &str) -> bool {
        self.path == place || self.path.starts_with(&format!("{place}/"))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn below(folder: &str) -> Vec<Source> {
    let base = root().join(folder);
    let mut paths = Vec::new();
    walk(&base, &mut paths);
    paths.sort();
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let path = path.strip_prefix(&base).unwrap().components().map(|part| part.as_os_str().to_str().unwrap());
        Source { path: path.collect::<Vec<_>>().join("/"), code: without_comments(&text), text }
    };
    paths.iter().map(read).collect()
}

/// The program's own files; code under `#[cfg(test)]` is cut off, and files that only tests have are left out.
fn program() -> Vec<Source> {
    let mut sources = below("src");
    let for_tests: Vec<String> = sources.iter().flat_map(test_modules).collect();
    sources.retain(|source| !for_tests.iter().any(|place| source.lies_in(place) || source.path == format!("{place}.rs")));
    for source in &mut sources {
        if let Some(at) = source.code.find("#[cfg(test)]\nmod tests {") {
            source.code.truncate(at);
        }
    }
    sources
}

fn test_modules(source: &Source) -> Vec<String> {
    let dir = source.path.rsplit_once('/').map_or("", |(dir, _)| dir);
    let declared = source.code.split("#[cfg(test)]\n").skip(1);
    let names = declared.filter_map(|rest| rest.trim_start().strip_prefix("mod ")?.split_once(';'));
    names.filter(|(name, _)| !name.contains('{')).map(|(name, _)| format!("{dir}/{name}")).collect()
}

fn without_comments(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| line.split(" // ").next().unwrap_or(line)).fold(String::new(), |mut all, line| {
        let _ = writeln!(all, "{line}");
        all
    })
}

fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// What follows each `crate::` in a file.
fn imports(source: &Source) -> impl Iterator<Item = &str> {
    source.code.split("crate::").skip(1).filter(|rest| !rest.starts_with("//"))
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

#[test]
fn rooms_see_only_what_lies_below_them() {
    let mut faults = Vec::new();
    for source in below("src").iter().filter(|source| !["main", "lib"].contains(&source.room())) {
        let sees = SEES.iter().find(|(room, _)| *room == source.room());
        let Some((_, sees)) = sees else {
            faults.push(format!("{}: the room {} is not in the table", source.path, source.room()));
            continue;
        };
        for seen in imports(source).map(word) {
            if seen != source.room() && !sees.contains(&seen) {
                faults.push(format!("{}: {} must not see {seen}", source.path, source.room()));
            }
        }
    }
    none(&faults);
}

#[test]
fn nobody_reaches_past_a_rooms_door() {
    let mut faults = Vec::new();
    for source in below("src") {
        for rest in imports(&source) {
            let (room, rest) = (word(rest), &rest[word(rest).len()..]);
            let Some(inner) = rest.strip_prefix("::").filter(|_| room != source.room()) else { continue };
            let end = if inner.starts_with('{') { inner.find("};").unwrap_or(inner.len()) } else { word(inner).len() + 2 };
            let names = inner[..end.min(inner.len())].split(['{', ',', ' ', '\n']);
            let past = names.filter(|name| name.contains("::") && name.starts_with(|c: char| c.is_ascii_lowercase()));
            faults.extend(past.map(|name| format!("{}: crate::{room}::{name} lies behind the door", source.path)));
        }
        if source.path.ends_with("/mod.rs") {
            let open = source.code.lines().filter(|line| line.starts_with("pub mod ") || line.starts_with("pub(crate) mod "));
            faults.extend(open.map(|line| format!("{}: {line} opens an inner file", source.path)));
        }
    }
    none(&faults);
}

#[test]
fn effects_stay_in_the_rooms_that_have_a_reason_for_them() {
    let mut faults = Vec::new();
    for source in program() {
        for effect in EFFECTS {
            if effect.places.iter().any(|(place, _)| source.lies_in(place)) {
                continue;
            }
            for line in source.code.lines().filter(|line| effect.shows.iter().any(|shows| outside_texts(line).contains(shows))) {
                faults.push(format!("{}: {:?} has no reason here: {}", source.path, effect.shows, line.trim()));
            }
        }
    }
    none(&faults);
}

/// A line without what stands between quotes.
fn outside_texts(line: &str) -> String {
    line.split('"').step_by(2).collect::<Vec<_>>().join("\"")
}

/// Numbers that can only be meant as a status. In texts and comments they may stand anywhere.
const STATUSES: [&str; 9] = ["401", "403", "408", "409", "412", "429", "502", "503", "504"];

#[test]
fn only_the_two_judges_and_the_simulator_know_what_a_status_means() {
    let judges = ["graph/verdict.rs", "auth/answer.rs", "sim"];
    let mut faults = Vec::new();
    for source in program().iter().filter(|source| !judges.iter().any(|judge| source.lies_in(judge))) {
        for line in source.code.lines() {
            let code = outside_texts(line);
            let mut numbers = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            if code.contains("StatusCode::") || numbers.any(|number| STATUSES.contains(&number)) {
                faults.push(format!("{}: {}", source.path, line.trim()));
            }
        }
    }
    none(&faults);
}

#[test]
fn every_reason_in_the_table_is_still_needed() {
    let sources = program();
    let is_used = |effect: &Effect, place: &str| {
        let mut here = sources.iter().filter(|source| source.lies_in(place));
        here.any(|source| effect.shows.iter().any(|shows| source.code.contains(shows)))
    };
    let unused = EFFECTS.iter().flat_map(|effect| {
        let places = effect.places.iter().filter(|(place, _)| !is_used(effect, place));
        places.map(|(place, why)| format!("{:?} in {place} ({why}) is not there any more", effect.shows))
    });
    none(&unused.collect::<Vec<_>>());
}

#[test]
fn the_binary_is_a_doorway() {
    let main = fs::read_to_string(root().join("src/main.rs")).unwrap();
    assert!(main.lines().count() <= 25, "main.rs has {} lines", main.lines().count());
}

#[test]
fn files_say_what_they_are_for_and_stay_short() {
    let mut faults = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for Source { path, text, .. } in below(folder) {
            let intro = text.lines().take_while(|line| line.starts_with("//!")).count();
            if intro == 0 {
                faults.push(format!("{folder}/{path}: does not begin with //!"));
            }
            if text.lines().count() >= 400 {
                faults.push(format!("{folder}/{path}: {} lines, 399 are the most", text.lines().count()));
            }
        }
    }
    none(&faults);
}

#[test]
fn nothing_is_left_undone_silenced_or_skipped() {
    let banned = ["todo", "unimplemented", "dbg"].map(|name| format!("{name}!("));
    let attributes = ["allow", "ignore"].map(|name| format!("#[{name}"));
    let inner = ["allow", "ignore"].map(|name| format!("#![{name}"));
    let mut faults = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for source in below(folder) {
            let found = banned.iter().chain(&attributes).chain(&inner).filter(|word| source.text.contains(*word));
            faults.extend(found.map(|word| format!("{folder}/{}: {word}", source.path)));
        }
    }
    none(&faults);
}

#[test]
fn tests_do_not_sleep() {
    let sleeps = ["thread::", "time::"].map(|from| format!("{from}sleep"));
    let asleep = below("tests").into_iter().filter(|source| sleeps.iter().any(|sleep| source.text.contains(sleep)));
    none(&asleep.map(|source| source.path).collect::<Vec<_>>());
}
