//! What a list says, before anybody judged it: rows as text, each with the place it came from.

use std::fmt;

use super::Kind;

/// A list as it was given: its name and the columns that it carries into the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file as the user named it; `-` for standard input.
    pub name: String,
    /// Original column names, without those that a report added.
    pub columns: Vec<String>,
    /// The kind that the name of the id column implies.
    pub implied: Option<Kind>,
}

/// Where a row begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Index into the run's sources.
    pub source: u32,
    /// Physical line, the header being line 1.
    pub line: u32,
}

/// One row of a list, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands.
    pub place: Place,
    /// The id as written.
    pub id: String,
    /// The kind as written, if the row names one.
    pub kind: Option<String>,
    /// The tenant as written, if the row names one.
    pub tenant: Option<String>,
    /// `notifyManagedDevices` as written.
    pub notify: Option<String>,
    /// `revokeUntrackedLicenses` as written.
    pub untracked: Option<String>,
    /// `result_status`, if the list is a report.
    pub status: Option<String>,
    /// One cell for each of the source's columns.
    pub cells: Vec<String>,
    /// What the row's shape already makes impossible, such as an id over several lines.
    pub flaw: Option<String>,
}

/// Something that is wrong with a list, a job or the configuration, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file (or flag, or variable) it stands in.
    pub origin: String,
    /// The line, where there is one.
    pub line: Option<u32>,
    /// What is wrong and what to do.
    pub message: String,
}

impl Problem {
    /// A problem on a line of a file.
    pub fn at(origin: impl Into<String>, line: u32, message: impl Into<String>) -> Self {
        Self { origin: origin.into(), line: Some(line), message: message.into() }
    }

    /// A problem of a file as a whole, a flag or a variable.
    pub fn of(origin: impl Into<String>, message: impl Into<String>) -> Self {
        Self { origin: origin.into(), line: None, message: message.into() }
    }
}

/// `list.csv:12: not a GUID`, so that editors and terminals can jump there.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.origin, self.message),
            None => write!(f, "{}: {}", self.origin, self.message),
        }
    }
}
