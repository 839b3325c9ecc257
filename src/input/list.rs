//! A list, open: its head is read and judged, its rows come one by one.

use std::io::{Read, Seek, SeekFrom};

use csv::{StringRecord, Terminator};
use encoding_rs_io::DecodeReaderBytes;

use crate::model::{Entry, Kind, Place, Problem, Source};

use super::columns::Columns;
use super::encoding::{Encoding, LineEnd, Survey};
use super::framing::{END_MARK, Framed};
use super::layout::Layout;
use super::row::Rows;
use super::{Format, Options};

/// Bytes at the beginning in which the header is looked for: far more than any header has.
const HEAD_BYTES: u64 = 64 * 1024;

type Parser<R> = csv::Reader<Framed<DecodeReaderBytes<R, Vec<u8>>>>;

/// An open list: an iterator over its entries.
///
/// A row whose shape is wrong comes as an entry with a flaw. A problem means that nothing more can be read.
pub struct List<R> {
    number: u32,
    source: Source,
    warnings: Vec<Problem>,
    rows: Rows,
    format: Format,
    parser: Parser<R>,
    /// Lines before the parser's first.
    lines_before: u64,
    record: StringRecord,
    /// For each column without a name whether it has no content either.
    blank: Vec<bool>,
    over: bool,
}

impl<R: Read + Seek> List<R> {
    /// Opens a list: reads it through once to learn how it is encoded, then its head.
    ///
    /// `number` is its index among the run's sources, `name` the file as the user named it.
    /// Everything that is wrong with it as a whole is said at once.
    pub fn open(number: u32, name: &str, mut reader: R, options: &Options) -> Result<Self, Vec<Problem>> {
        let unread = |error: std::io::Error| vec![Problem::of(name, format!("cannot be read: {error}"))];
        let survey = Survey::take(&mut reader).map_err(unread)?;
        refuse_binary(name, &survey)?;
        let mut head = Vec::new();
        let text = Framed::new(survey.decode(&mut reader).map_err(unread)?, survey.ends == LineEnd::Cr);
        text.take(HEAD_BYTES).read_to_end(&mut head).map_err(unread)?;
        let head = String::from_utf8_lossy(&head);
        let layout = Layout::of(head.trim_end_matches(END_MARK), options);
        reader.seek(SeekFrom::Start(0)).map_err(unread)?;
        let mut text = Framed::new(survey.decode(reader).map_err(unread)?, survey.ends == LineEnd::Cr);
        std::io::copy(&mut text.by_ref().take(layout.skip as u64), &mut std::io::sink()).map_err(unread)?;
        let rows = Rows { columns: Columns::bare(), separator: layout.separator, ends: survey.ends };
        let mut list = Self {
            number,
            source: Source { name: name.to_owned(), columns: vec!["id".to_owned()], implied: None },
            warnings: warnings(name, &survey, &layout),
            rows,
            format: options.format,
            parser: parser(layout.separator, options.format).from_reader(text),
            lines_before: u64::from(layout.lines),
            record: StringRecord::new(),
            blank: Vec::new(),
            over: false,
        };
        if layout.header {
            list.read_header(options.id_column.as_deref())?;
        }
        Ok(list)
    }

    fn read_header(&mut self, id_column: Option<&str>) -> Result<(), Vec<Problem>> {
        let Some(line) = self.read_row().map_err(|problem| vec![problem])? else {
            self.source.columns.clear();
            return Ok(());
        };
        let names = self.rows.names(&self.record);
        let columns = Columns::of(&names, id_column).map_err(|wrong| {
            wrong.into_iter().map(|message| Problem::at(&self.source.name, line, message)).collect::<Vec<_>>()
        })?;
        self.source.implied = Kind::of_id_column(&Kind::fold(&names[columns.id.at]));
        let secret: Vec<&str> =
            columns.carried.iter().filter(|column| column.secret).map(|column| names[column.at].trim()).collect();
        if !secret.is_empty() {
            let message =
                format!("the values of {} are live secrets: they were left out and are stored nowhere", secret.join(", "));
            self.warnings.push(Problem::at(&self.source.name, line, message));
        }
        self.blank = columns.carried.iter().map(|column| names[column.at].trim().is_empty()).collect();
        self.source.columns = columns.carried.iter().map(|column| names[column.at].clone()).collect();
        self.rows.columns = columns;
        Ok(())
    }
}

impl<R: Read> List<R> {
    /// Its name, its columns, and the kind that its id column implies.
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// What the user should know of it and what stops nothing.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Indices, into the source's columns, of those with neither name nor content: known once all rows were read.
    pub fn blank_columns(&self) -> Vec<usize> {
        (0..self.blank.len()).filter(|at| self.blank[*at]).collect()
    }

    const fn place(&self, line: u32) -> Place {
        Place { source: self.number, line }
    }

    /// Reads the next row that holds anything and says on which line it begins.
    fn read_row(&mut self) -> Result<Option<u32>, Problem> {
        loop {
            let read = self.parser.read_record(&mut self.record);
            read.map_err(|error| Problem::of(&self.source.name, format!("cannot be read any further: {error}")))?;
            let text = self.record.as_slice();
            if self.record.is_empty() || text == END_MARK {
                return Ok(None);
            }
            let inner = text.bytes().map(|byte| u64::from(byte == b'\n')).sum::<u64>();
            let line = self.lines_before + self.parser.position().line() - inner;
            if text.ends_with(END_MARK) {
                return Err(Problem::at(&self.source.name, number(line), UNCLOSED));
            }
            let comment = self.format == Format::Txt && text.trim_start().starts_with('#');
            if !comment && self.record.iter().any(|cell| !cell.trim().is_empty()) {
                return Ok(Some(number(line - 1)));
            }
        }
    }

    fn read_entry(&mut self) -> Result<Option<Entry>, Problem> {
        let Some(line) = self.read_row()? else { return Ok(None) };
        let cells = self.rows.cells(&self.record);
        let entry = self.rows.entry(&cells, self.place(line));
        for (blank, cell) in self.blank.iter_mut().zip(&entry.cells) {
            *blank = *blank && cell.trim().is_empty();
        }
        Ok(Some(entry))
    }
}

impl<R: Read> Iterator for List<R> {
    type Item = Result<Entry, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let next = self.read_entry().transpose();
        self.over = !matches!(next, Some(Ok(_)));
        next
    }
}

const UNCLOSED: &str = "a quote in this row is not closed: everything after it was taken for one cell";

/// A parser that keeps every cell as it is; its lines end with a line feed (see [`Framed`]).
pub(super) fn parser(separator: u8, format: Format) -> csv::ReaderBuilder {
    let mut builder = csv::ReaderBuilder::new();
    builder.has_headers(false).flexible(true).delimiter(separator).terminator(Terminator::Any(b'\n'));
    builder.comment((format == Format::Txt).then_some(b'#'));
    builder
}

fn number(line: u64) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

fn refuse_binary(name: &str, survey: &Survey) -> Result<(), Vec<Problem>> {
    let hint = match survey.nul {
        None => return Ok(()),
        Some(_) if survey.archive => {
            return Err(vec![Problem::of(name, "is a workbook or an archive: save the sheet as CSV UTF-8")]);
        }
        Some(1) => "is it UTF-16 without a byte order mark? Save it as UTF-8",
        Some(_) => "is the file damaged? Save it as UTF-8",
    };
    Err(survey.nul.map(|line| Problem::at(name, number(line), format!("holds a NUL byte: {hint}"))).into_iter().collect())
}

fn warnings(name: &str, survey: &Survey, layout: &Layout) -> Vec<Problem> {
    let fallback = (survey.encoding == Encoding::Windows1252).then(|| {
        Problem::of(name, "is not UTF-8 and was read as Windows-1252: letters outside ASCII may be wrong, ids are not touched")
    });
    let lost = (layout.typed && survey.questions).then(|| {
        Problem::of(name, "was written by Windows PowerShell as ASCII: a ? in it may have been another letter (Export-Csv -Encoding UTF8 keeps it)")
    });
    fallback.into_iter().chain(lost).collect()
}
