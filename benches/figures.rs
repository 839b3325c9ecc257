//! Prints how fast a run is, how much memory it takes, and how much of a quota it uses. Each section can be asked for by
//! name, as in `cargo bench -- pacing`; without a name all of them run. Nothing fails because it was slow.

#![expect(clippy::print_stdout, reason = "figures are what a bench is for")]

mod list;
mod loopback;
mod pacing;
mod peers;
mod run;
mod service;

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use bulk_revoke::clock::Clock;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A name, and what prints its figures.
type Section = (&'static str, fn() -> Outcome<()>);

/// The sections, in the order in which they run.
const SECTIONS: [Section; 4] =
    [("list", list::list), ("memory", list::memory), ("loopback", loopback::loopback), ("pacing", pacing::pacing)];

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--serve", objects] => service::serve(objects.parse()?),
        ["--begin", rows, folder] => list::begin(rows.parse()?, Path::new(folder)),
        ["--finish", rows, folder] => list::finish(rows.parse()?, Path::new(folder)),
        // `cargo test --all-targets` starts this program as well, and timing has no place in tests.
        words if !words.contains(&"--bench") => Ok(()),
        words => sections(words),
    }
}

/// Runs the sections that are named; all of them if none is.
fn sections(words: &[&str]) -> Outcome<()> {
    let mut wanted: Vec<&str> = words.iter().copied().filter(|word| *word != "--bench").collect();
    let known = SECTIONS.map(|(name, _)| name);
    if let Some(word) = wanted.iter().find(|word| !known.contains(word)) {
        return Err(format!("there is no section {word:?}, only {}", known.join(", ")).into());
    }
    if wanted.is_empty() {
        wanted.extend(known);
    }
    let chosen = SECTIONS.into_iter().filter(|(name, _)| wanted.contains(name));
    chosen.into_iter().try_for_each(|(_, section)| section())
}

/// A line of a table: its name, then its cells.
fn line(name: &str, cells: impl IntoIterator<Item = String>) {
    println!("  {name:<42}{}", cells.into_iter().collect::<String>());
}

/// How many of something were done in a second, since a moment of this clock.
fn rate(count: u32, clock: Clock, began: Duration) -> f64 {
    f64::from(count) / clock.now().saturating_sub(began).as_secs_f64()
}
