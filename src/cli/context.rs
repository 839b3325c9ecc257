//! What every command needs: the environment as it was at the start, what the streams are, and the configuration.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::args::{LogFormat, Output, Place, When};
use super::exit::{Exit, Quit};
use super::lists::Read;
use super::streams;
use crate::clock::Clock;
use crate::config::{ConfigFile, Env, Flags, Layers, RunOptions, Settings, settings};
use crate::model::Problem;
use crate::report::{Curtain, plain};

/// More problems than this are counted and not shown: nobody reads on.
const MOST_PROBLEMS: usize = 1_000;

/// What every command needs.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) env: Env,
    pub(super) output: Output,
    /// Whether somebody can be asked.
    pub(super) can_ask: bool,
    /// Whether somebody watches.
    pub(super) is_watched: bool,
    pub(super) clock: Clock,
}

impl Context {
    pub(super) fn new(output: Output) -> Self {
        let env = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let is_watched = io::stderr().is_terminal();
        Self { env: env.collect(), output, can_ask: io::stdin().is_terminal() && is_watched, is_watched, clock: Clock::system() }
    }

    /// The configuration with the job's and the flags' layers over it. All that is wrong is said at once.
    pub(super) fn settings(
        &self,
        place: &Place,
        job: RunOptions,
        flags: Flags,
        mut problems: Vec<Problem>,
    ) -> Result<Settings, Quit> {
        let (config, trusted) = self.config_file(place, &mut problems)?;
        let layers = Layers { config, trusted, job, flags };
        let settings = settings(layers, &self.env, &mut problems);
        match settings {
            Some(settings) if problems.is_empty() => Ok(settings),
            Some(_) | None => {
                problems.sort_by(|a, b| (&a.origin, a.line).cmp(&(&b.origin, b.line)));
                Err(invalid(&problems))
            }
        }
    }

    /// Where the configuration is read from, if there is one.
    pub(super) fn config_path(&self, place: &Place) -> Option<PathBuf> {
        place.config.clone().or_else(|| self.env.config_files().into_iter().find(|path| path.is_file()))
    }

    fn config_file(&self, place: &Place, problems: &mut Vec<Problem>) -> Result<(ConfigFile, bool), Quit> {
        let Some(path) = self.config_path(place) else { return Ok((ConfigFile::default(), false)) };
        let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
        let trusted = place.config.is_some() || path.starts_with("/etc");
        Ok((ConfigFile::parse(&path.display().to_string(), &text, problems), trusted))
    }

    /// Whether a progress bar is drawn.
    pub(super) fn draws(&self) -> bool {
        match self.output.progress {
            When::Auto => self.is_watched && !self.output.quiet,
            When::Always => true,
            When::Never => false,
        }
    }

    /// Whether sparse lines are written instead.
    pub(super) fn is_lined(&self) -> bool {
        !self.output.quiet && self.output.progress != When::Never
    }

    /// A line for people, unless they want none.
    pub(super) fn say(&self, line: &str) {
        if !self.output.quiet {
            streams::note(line);
        }
    }

    /// Starts the log on standard error; the curtain lets lines pass a progress bar without tearing it.
    pub(super) fn start_log(&self, settings: &Settings, curtain: Curtain) {
        let level = match (self.output.quiet, self.output.verbose) {
            (true, _) => "error",
            (false, 0) => settings.log_level.as_str(),
            (false, 1) => "info",
            (false, _) => "debug",
        };
        // Our own lines as asked; those of libraries only when they are serious, unless RUST_LOG says otherwise.
        let filter = match self.env.get("RUST_LOG") {
            Some(wish) => EnvFilter::new(wish),
            // What the verifier of certificates finds stands in our own message, with what to do.
            None => EnvFilter::new(format!("warn,rustls_platform_verifier=off,bulk_revoke={level}")),
        };
        let json = self.output.log_format.map_or(settings.log_json, |format| format == LogFormat::Json);
        let colour = match self.output.color {
            When::Auto => self.is_watched && self.env.get("NO_COLOR").is_none(),
            When::Always => true,
            When::Never => false,
        };
        let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Aside(curtain)).with_ansi(colour);
        // A second start in one process, as tests do, keeps the first log.
        let _ = if json { builder.json().try_init() } else { builder.with_target(false).try_init() };
    }
}

impl Context {
    /// What the user should know of the lists; and all that is wrong with them, at once.
    pub(super) fn tell(&self, read: &Read) -> Result<(), Quit> {
        for warning in &read.warnings {
            self.say(&plain(&format!("warning: {warning}")));
        }
        if read.problems.is_empty() { Ok(()) } else { Err(invalid(&read.problems)) }
    }
}

/// Writes log lines past the progress bar.
struct Aside(Curtain);

struct Line(Curtain);

impl<'a> MakeWriter<'a> for Aside {
    type Writer = Line;
    fn make_writer(&'a self) -> Line {
        Line(self.0.clone())
    }
}

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.aside(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// All that is wrong, at once; nothing was sent.
pub(super) fn invalid(problems: &[Problem]) -> Quit {
    let lines = told(problems);
    for line in lines.iter().take(MOST_PROBLEMS) {
        streams::note(&plain(line));
    }
    if let Some(more) = lines.len().checked_sub(MOST_PROBLEMS).filter(|more| *more > 0) {
        streams::note(&format!("... and {more} more"));
    }
    let count = problems.len();
    Quit::new(Exit::Invalid, format!("{count} problem{}; nothing was sent", if count == 1 { "" } else { "s" }))
}

/// One line per problem; what is wrong with many rows of a list alike is said once, with all their lines.
fn told(problems: &[Problem]) -> Vec<String> {
    let mut groups: Vec<(&Problem, Vec<u32>)> = Vec::new();
    let mut known: HashMap<(&str, &str), usize> = HashMap::new();
    for problem in problems {
        let group = *known.entry((&problem.origin, &problem.message)).or_insert(groups.len());
        match groups.get_mut(group) {
            Some((_, others)) => others.extend(problem.line),
            None => groups.push((problem, Vec::new())),
        }
    }
    let line = |(first, others): &(&Problem, Vec<u32>)| match others.as_slice() {
        [] => first.to_string(),
        others => format!("{first} (also on {})", ranges(others)),
    };
    groups.iter().map(line).collect()
}

/// `lines 3-17, 20 and 31`, the way people write them.
fn ranges(lines: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &line in lines {
        match ranges.last_mut() {
            Some((_, to)) if *to + 1 == line => *to = line,
            _ => ranges.push((line, line)),
        }
    }
    let shown = ranges.iter().map(|(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") });
    let word = if lines.len() == 1 { "line" } else { "lines" };
    format!("{word} {}", shown.collect::<Vec<_>>().join(", "))
}

/// A file that the user named cannot be read.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Quit {
    Quit::new(Exit::Invalid, format!("failed to read {}: {error}", path.display()))
}

/// Where the ledger of simulated runs lies.
pub(super) fn simulated(state_dir: &Path) -> PathBuf {
    state_dir.join("simulate")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_many_rows_alike_is_said_once_with_all_lines() {
        let mut problems: Vec<Problem> = [2, 3, 4, 7, 9, 10].map(|line| Problem::at("l.csv", line, "no kind")).to_vec();
        problems.push(Problem::at("l.csv", 5, "not a GUID"));
        problems.push(Problem::of("job.toml", "version is missing"));
        assert_eq!(
            told(&problems),
            ["l.csv:2: no kind (also on lines 3-4, 7, 9-10)", "l.csv:5: not a GUID", "job.toml: version is missing"]
        );
    }
}
