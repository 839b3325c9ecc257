//! What a run left behind: exit code, streams and report files.
#![expect(clippy::unwrap_used, reason = "a report that cannot be read is a failed test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::process::End;

/// The four files of a report.
pub(crate) const FILES: [&str; 4] = ["report.csv", "report.jsonl", "failed.csv", "summary.json"];

/// A row of a CSV report, by the names of its columns.
pub(crate) type Row = BTreeMap<String, String>;

/// A process that has ended, and the home it worked in.
pub(crate) struct Left {
    home: PathBuf,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Left {
    pub(super) fn of(home: &Path, end: End) -> Self {
        Self { home: home.to_owned(), code: end.code, stdout: end.stdout, stderr: end.stderr }
    }

    /// Holds it against an exit code.
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        self
    }

    /// Whether standard error holds all of these words.
    pub(crate) fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in: {}", self.stderr);
        }
        self
    }

    /// The rows of `out/report.csv`.
    pub(crate) fn rows(&self) -> Vec<Row> {
        self.rows_of("out/report.csv")
    }

    /// The rows of a CSV file.
    pub(crate) fn rows_of(&self, file: &str) -> Vec<Row> {
        let path = self.home.join(file);
        assert!(path.is_file(), "{file} was not written: {}", self.stderr);
        let mut reader = csv::Reader::from_path(path).unwrap();
        reader.deserialize().map(Result::unwrap).collect()
    }

    /// `result_status` of every row.
    pub(crate) fn statuses(&self) -> Vec<String> {
        self.column("result_status")
    }

    /// One column of the report.
    pub(crate) fn column(&self, name: &str) -> Vec<String> {
        self.rows().into_iter().map(|mut row| row.remove(name).unwrap()).collect()
    }

    /// How many rows have which status.
    pub(crate) fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        self.statuses().into_iter().for_each(|status| *counts.entry(status).or_default() += 1);
        counts
    }

    /// Holds rows, `summary.json` and the exit code against these counts; statuses that are not named have none.
    pub(crate) fn counts_are(self, expected: &[(&str, usize)]) -> Self {
        let expected: BTreeMap<String, usize> = expected.iter().map(|(status, count)| ((*status).to_owned(), *count)).collect();
        assert_eq!(self.counts(), expected, "{}", self.stderr);
        let summary = self.summary();
        for (status, count) in summary["items"].as_object().unwrap() {
            let wanted = expected.get(status).copied().unwrap_or_default();
            assert_eq!(count.as_u64().and_then(|count| usize::try_from(count).ok()), Some(wanted), "{status} in summary.json");
        }
        assert_eq!(summary["exit_code"].as_i64(), self.code.map(i64::from), "exit_code in summary.json");
        self
    }

    /// `out/summary.json`.
    pub(crate) fn summary(&self) -> Value {
        serde_json::from_slice(&self.bytes("out/summary.json")).unwrap()
    }

    /// The objects of `out/report.jsonl`.
    pub(crate) fn objects(&self) -> Vec<Value> {
        let text = String::from_utf8(self.bytes("out/report.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A file of the home.
    pub(crate) fn bytes(&self, file: &str) -> Vec<u8> {
        fs::read(self.home.join(file)).unwrap()
    }

    /// The bytes of the four report files in a directory.
    pub(crate) fn report(&self, dir: &str) -> [Vec<u8>; 4] {
        FILES.map(|file| self.bytes(&format!("{dir}/{file}")))
    }

    /// Whether there is no report.
    pub(crate) fn has_no_report(self) -> Self {
        assert!(!self.home.join("out/report.csv").exists());
        self
    }
}
