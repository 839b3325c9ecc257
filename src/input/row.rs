//! One row of a table to one entry: roles, ragged ends, secrets, and flaws of shape.

use csv::StringRecord;

use crate::model::{Entry, ObjectId, Place, REMOVED, is_result_column, unguard};

use super::columns::{Carried, Columns, is_id_text};
use super::encoding::LineEnd;

/// Turns the rows of one list into entries.
#[derive(Debug)]
pub(super) struct Rows {
    pub columns: Columns,
    /// Between cells.
    pub separator: u8,
    /// After CRLF the parser leaves a carriage return in the last cell; with CR alone, cells hold line feeds in its place.
    pub ends: LineEnd,
}

impl Rows {
    /// The cells of a row as they were written.
    pub(super) fn cells<'r>(&self, row: &'r StringRecord) -> Vec<&'r str> {
        let mut cells: Vec<&str> = row.iter().collect();
        if let Some(last) = cells.last_mut().filter(|_| self.ends == LineEnd::CrLf) {
            *last = last.strip_suffix('\r').unwrap_or(last);
        }
        cells
    }

    /// The cells of a header, as a list that no report wrote would have them.
    pub(super) fn names(&self, row: &StringRecord) -> Vec<String> {
        let names = self.cells(row);
        let report = names.iter().any(|name| is_result_column(name));
        let bare = names.into_iter().map(|name| if report { unguard(name) } else { name });
        bare.map(|name| if self.ends == LineEnd::Cr { name.replace('\n', "\r") } else { name.to_owned() }).collect()
    }

    /// The entry of a row.
    pub(super) fn entry(&self, cells: &[&str], place: Place) -> Entry {
        let columns = &self.columns;
        let read = |at: usize| self.bare(cells.get(at).copied().unwrap_or_default());
        let said = |at: Option<usize>| at.map(read).map(str::trim).filter(|text| !text.is_empty());
        let either = |own: Option<usize>, result: Option<usize>| said(own).or_else(|| said(result)).map(str::to_owned);
        let also = columns.id.also.and_then(|at| said(Some(at)));
        let id = read(columns.id.at);
        Entry {
            place,
            id: if id.trim().is_empty() { also.unwrap_or_default() } else { id.trim() }.to_owned(),
            kind: either(columns.kind, columns.result.kind),
            tenant: either(columns.tenant, columns.result.tenant),
            notify: either(columns.notify, None),
            untracked: either(columns.untracked, None),
            status: either(columns.result.status, None),
            cells: columns.carried.iter().map(|column| self.carry(column, read(column.at))).collect(),
            flaw: self.flaw(cells, id, also),
        }
    }

    fn bare<'r>(&self, cell: &'r str) -> &'r str {
        if self.columns.report { unguard(cell) } else { cell }
    }

    fn carry(&self, column: &Carried, cell: &str) -> String {
        match (column.secret && !cell.is_empty(), self.ends == LineEnd::Cr) {
            (true, _) => REMOVED.to_owned(),
            (false, true) => cell.replace('\n', "\r"),
            (false, false) => cell.to_owned(),
        }
    }

    /// What the shape of the row makes impossible. Says no cell's content: it may be a secret that slipped.
    fn flaw(&self, cells: &[&str], id: &str, also: Option<&str>) -> Option<String> {
        let width = self.columns.width;
        let surplus = cells.iter().skip(width).any(|cell| !cell.trim().is_empty());
        let several = id.contains(['\n', '\r']);
        let swallowed = cells.iter().any(|cell| cell.contains('\n')) && self.swallowed(cells);
        if several || swallowed {
            let what = if several { "the id goes" } else { "a cell with another id in it goes" };
            Some(format!("{what} over several lines: is a quote not closed?"))
        } else if surplus {
            let columns = if width == 1 { "one column" } else { &format!("{width} columns") };
            Some(format!("the row has {} cells for {columns}: is a separator not quoted, or a quote not closed?", cells.len()))
        } else if differ(id, also) {
            Some("its id and its result_id are two objects: correct one, or say with --id-column which counts".to_owned())
        } else {
            None
        }
    }

    /// Whether a cell over several lines has taken in another row: one with an id where ids stand.
    fn swallowed(&self, cells: &[&str]) -> bool {
        let separator = char::from(self.separator);
        let inner = cells.iter().flat_map(|cell| cell.split('\n').skip(1));
        inner.flat_map(|line| line.split(separator)).any(is_id_text)
    }
}

/// Whether two texts are ids, and of two objects.
fn differ(id: &str, also: Option<&str>) -> bool {
    match (id.parse::<ObjectId>(), also.map(str::parse::<ObjectId>)) {
        (Ok(id), Some(Ok(also))) => id != also,
        _ => false,
    }
}
