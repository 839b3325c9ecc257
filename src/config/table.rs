//! Reads a TOML table key by key and collects everything that is wrong with it, each with its line.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::said::Said;
use crate::model::{Kind, Problem};

/// How alike two names must be before one is offered for the other.
const ALIKE: f64 = 0.8;

/// A text with its name, to turn spans into lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Document<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
}

impl<'a> Document<'a> {
    /// Reads the whole text. Every syntax error becomes a problem.
    pub(super) fn parse(self, problems: &mut Vec<Problem>) -> Table<'a> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let line = error.span().map_or(1, |span| self.line(&span));
            problems.push(Problem::at(self.name, line, error.message().to_owned()));
        }
        Table::new(self, String::new(), table.into_inner())
    }

    pub(super) fn line(self, span: &Range<usize>) -> u32 {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        u32::try_from(before.bytes().filter(|byte| *byte == b'\n').count()).unwrap_or(u32::MAX).saturating_add(1)
    }
}

/// A table of which keys are taken one by one; what is left in the end is unknown.
#[derive(Debug)]
pub(super) struct Table<'a> {
    document: Document<'a>,
    path: String,
    entries: BTreeMap<String, (u32, Spanned<DeValue<'a>>)>,
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    fn new(document: Document<'a>, path: String, table: DeTable<'a>) -> Self {
        let entries = table.into_iter().map(|(key, value)| {
            let line = document.line(&key.span());
            (key.into_inner().into_owned(), (line, value))
        });
        Self { document, path, entries: entries.collect(), known: Vec::new() }
    }

    fn take(&mut self, key: &'static str) -> Option<(u32, Spanned<DeValue<'a>>)> {
        self.known.push(key);
        self.entries.remove(key)
    }

    /// A problem with one of its keys.
    pub(super) fn problem(&self, line: u32, key: &str, message: &str) -> Problem {
        Problem::at(self.document.name, line, format!("{}{key}: {message}", self.path))
    }

    /// A key's value, read by `read` from its text; numbers and Booleans are read by their text as well.
    pub(super) fn value<T>(
        &mut self,
        key: &'static str,
        problems: &mut Vec<Problem>,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let (line, value) = self.take(key)?;
        let read = match text(value.get_ref()) {
            Some(text) => read(&text),
            None => Err("a single value is expected".to_owned()),
        };
        read.map_err(|message| problems.push(self.problem(line, key, &message))).ok()
    }

    /// The same, with where it stands.
    pub(super) fn said<T>(
        &mut self,
        key: &'static str,
        problems: &mut Vec<Problem>,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<Said<T>> {
        let line = self.line_of(key).unwrap_or_default();
        let origin = format!("{}:{line} ([{}] {key})", self.document.name, self.path.trim_end_matches('.'));
        self.value(key, problems, read).map(|value| Said { value, origin })
    }

    /// A key's text.
    pub(super) fn text(&mut self, key: &'static str, problems: &mut Vec<Problem>) -> Option<String> {
        self.value(key, problems, |text| Ok(text.to_owned()))
    }

    /// A key's Boolean.
    pub(super) fn flag(&mut self, key: &'static str, problems: &mut Vec<Problem>) -> Option<bool> {
        self.value(key, problems, |text| text.parse().map_err(|_| "true or false is expected".to_owned()))
    }

    /// A key's list of texts, each with its line.
    pub(super) fn texts(&mut self, key: &'static str, problems: &mut Vec<Problem>) -> Vec<(u32, String)> {
        let Some((line, value)) = self.take(key) else { return Vec::new() };
        let DeValue::Array(array) = value.into_inner() else {
            problems.push(self.problem(line, key, "a list is expected, such as [\"one\", \"two\"]"));
            return Vec::new();
        };
        let mut texts = Vec::new();
        for element in array {
            let line = self.document.line(&element.span());
            match text(element.get_ref()) {
                Some(text) => texts.push((line, text.into_owned())),
                None => problems.push(self.problem(line, key, "a list of texts is expected")),
            }
        }
        texts
    }

    /// A table inside this one; empty if it is not there.
    pub(super) fn table(&mut self, key: &'static str, problems: &mut Vec<Problem>) -> Table<'a> {
        match self.take(key) {
            Some((line, value)) => self.inner(key, line, value.into_inner(), problems),
            None => Self {
                document: self.document,
                path: format!("{}{key}.", self.path),
                entries: BTreeMap::new(),
                known: Vec::new(),
            },
        }
    }

    fn inner(&self, key: &str, line: u32, value: DeValue<'a>, problems: &mut Vec<Problem>) -> Self {
        let path = format!("{}{key}.", self.path);
        let table = if let DeValue::Table(table) = value {
            table
        } else {
            problems.push(self.problem(line, key, &format!("a table is expected: [{key}]")));
            DeTable::new()
        };
        Self::new(self.document, path, table)
    }

    /// All that is left, as tables with their names and lines.
    pub(super) fn tables(&mut self, problems: &mut Vec<Problem>) -> Vec<(String, u32, Self)> {
        let entries = std::mem::take(&mut self.entries);
        entries
            .into_iter()
            .map(|(key, (line, value))| {
                let table = self.inner(&key, line, value.into_inner(), problems);
                (key, line, table)
            })
            .collect()
    }

    /// A list of tables, `[[key]]`, each with its line.
    pub(super) fn array(&mut self, key: &'static str, problems: &mut Vec<Problem>) -> Vec<(u32, Self)> {
        let Some((line, value)) = self.take(key) else { return Vec::new() };
        let DeValue::Array(array) = value.into_inner() else {
            problems.push(self.problem(line, key, &format!("tables are expected: [[{key}]]")));
            return Vec::new();
        };
        let tables = array.into_iter().map(|element| {
            let line = self.document.line(&element.span());
            (line, self.inner(key, line, element.into_inner(), problems))
        });
        tables.collect()
    }

    /// All that is left, as texts.
    pub(super) fn rest(&mut self, problems: &mut Vec<Problem>) -> Vec<(String, String)> {
        let entries = std::mem::take(&mut self.entries);
        let mut texts = Vec::new();
        for (key, (line, value)) in entries {
            match text(value.get_ref()) {
                Some(text) => texts.push((key, text.into_owned())),
                None => problems.push(self.problem(line, &key, "a single value is expected")),
            }
        }
        texts
    }

    /// Gives keys that are written another way (case, `_`, `-`) their own name.
    pub(super) fn fold(&mut self, names: &[(&str, &'static str)], problems: &mut Vec<Problem>) {
        let found: Vec<(String, &'static str)> = self
            .entries
            .keys()
            .filter_map(|key| {
                let folded = Kind::fold(key);
                names.iter().find(|(name, own)| *name == folded && own != key).map(|(_, own)| (key.clone(), *own))
            })
            .collect();
        for (key, own) in found {
            if let Some((line, value)) = self.entries.remove(&key) {
                if self.entries.contains_key(own) {
                    problems.push(self.problem(line, &key, &format!("the same as {own}, which is there as well")));
                } else {
                    self.entries.insert(own.to_owned(), (line, value));
                }
            }
        }
    }

    /// The line of a key that is still there.
    pub(super) fn line_of(&self, key: &str) -> Option<u32> {
        self.entries.get(key).map(|(line, _)| *line)
    }

    /// Refuses a key that belongs elsewhere.
    pub(super) fn refuse(&mut self, key: &'static str, message: &str, problems: &mut Vec<Problem>) {
        if let Some((line, _)) = self.take(key) {
            problems.push(self.problem(line, key, message));
        }
    }

    /// Whatever was not taken is unknown.
    pub(super) fn finish(self, problems: &mut Vec<Problem>) {
        for (key, (line, _)) in &self.entries {
            let near =
                self.known.iter().map(|known| (strsim::jaro_winkler(known, key), known)).max_by(|a, b| a.0.total_cmp(&b.0));
            let hint = match near {
                Some((alike, known)) if alike >= ALIKE => format!("did you mean {known}?"),
                Some(_) | None => format!("known are {}", self.known.join(", ")),
            };
            problems.push(self.problem(*line, key, &format!("unknown key; {hint}")));
        }
    }
}

fn text<'v>(value: &'v DeValue<'_>) -> Option<Cow<'v, str>> {
    match value {
        DeValue::String(text) => Some(Cow::Borrowed(text.as_ref())),
        DeValue::Integer(number) => Some(Cow::Owned(number.to_string())),
        DeValue::Float(number) => Some(Cow::Owned(number.to_string())),
        DeValue::Boolean(flag) => Some(Cow::Owned(flag.to_string())),
        DeValue::Datetime(time) => Some(Cow::Owned(time.to_string())),
        DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let mut problems = Vec::new();
        let mut top = Document { name: "c.toml", text }.parse(&mut problems);
        let mut run = top.table("run", &mut problems);
        let _ = run.value("concurrency", &mut problems, |text| text.parse::<u8>().map_err(|error| error.to_string()));
        let _ = run.text("quota", &mut problems);
        run.finish(&mut problems);
        top.finish(&mut problems);
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn all_that_is_wrong_is_said_with_its_line() {
        let found = problems("[run]\nconcurency = 3\nquota = [1]\n\n[rum]\n");
        assert_eq!(
            found,
            [
                "c.toml:3: run.quota: a single value is expected",
                "c.toml:2: run.concurency: unknown key; did you mean concurrency?",
                "c.toml:5: rum: unknown key; did you mean run?",
            ]
        );
    }

    #[test]
    fn broken_syntax_is_said_with_its_line() {
        let found = problems("[run]\nconcurrency = \n");
        assert!(found[0].starts_with("c.toml:2: "), "{found:?}");
    }
}
