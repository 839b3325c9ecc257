//! The two streams: data and file names to standard output, everything else to standard error.
//!
//! A reader that goes away is a normal end, so a broken pipe is not an error.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use super::exit::{Exit, Quit};
use crate::report::plain;

/// A line of data.
pub(super) fn data(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Where many lines of data go.
pub(super) fn bulk() -> impl Write {
    BufWriter::new(io::stdout().lock())
}

/// What it means if they cannot be written. A reader that has gone has seen all it wanted.
pub(super) fn unwritten(error: &io::Error) -> Quit {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Quit { exit: Exit::Ok, lines: Vec::new() };
    }
    Quit::new(Exit::Record, format!("failed to write to standard output: {error}"))
}

/// A line for people.
pub(super) fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Why a command ended, and what to do: the first line is the reason.
pub(super) fn error(lines: &[String]) {
    for (index, line) in lines.iter().enumerate() {
        let mark = if index == 0 { "error" } else { "  hint" };
        note(&format!("{mark}: {}", plain(line)));
    }
}

/// What clap says of the arguments; help and version are no errors.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    ExitCode::from(if error.use_stderr() { Exit::Usage.code() } else { Exit::Ok.code() })
}
