//! The columns of a report: those of all its lists, in order of appearance, then those that a report adds.

use std::collections::HashMap;

use crate::model::{LEFT_OUT, RESULT_COLUMNS, Row, SourceRow};

/// The original columns of all lists, and where each list has them.
#[derive(Debug)]
pub(super) struct Union {
    pub names: Vec<String>,
    /// For each list the index of the cell for each of the names, as far as it has any.
    cells: Vec<Vec<Option<usize>>>,
}

impl Union {
    /// Joins the columns of the lists: the first `Note` of one is the first `Note` of another.
    pub(super) fn of(sources: &[SourceRow]) -> Self {
        let mut names: Vec<String> = Vec::new();
        let mut known: HashMap<(&str, usize), usize> = HashMap::new();
        let mut cells: Vec<Vec<Option<usize>>> = Vec::new();
        for source in sources {
            let mut seen: HashMap<&str, usize> = HashMap::new();
            let mut found = Vec::new();
            for (cell, name) in source.columns.iter().enumerate().filter(|(_, name)| *name != LEFT_OUT) {
                let occurrence = seen.entry(name).or_default();
                *occurrence += 1;
                let column = *known.entry((name, *occurrence)).or_insert_with(|| {
                    names.push(name.clone());
                    names.len() - 1
                });
                found.resize(names.len(), None);
                found[column] = Some(cell);
            }
            cells.push(found);
        }
        Self { names, cells }
    }

    /// The original cells of a row, one for each of the names.
    pub(super) fn cells<'r>(&self, row: &'r Row) -> impl Iterator<Item = &'r str> {
        let places = self.cells.get(row.place.source as usize).map_or(&[][..], Vec::as_slice);
        let cell = |at: usize| places.get(at).copied().flatten().and_then(|cell| row.cells.get(cell));
        (0..self.names.len()).map(move |at| cell(at).map_or("", String::as_str))
    }

    /// The names as keys of an object: each once, and none of them a report's own.
    pub(super) fn keys(&self) -> Vec<String> {
        let mut taken: Vec<String> = RESULT_COLUMNS.map(str::to_owned).to_vec();
        for name in &self.names {
            let numbered = (2_usize..).map(|number| format!("{name} ({number})"));
            let key = std::iter::once(name.clone()).chain(numbered).find(|key| !taken.contains(key));
            taken.extend(key);
        }
        taken.split_off(RESULT_COLUMNS.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(columns: &[&str]) -> SourceRow {
        SourceRow { name: "x".into(), columns: columns.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn the_union_keeps_the_order_of_appearance_and_matches_by_occurrence() {
        let union = Union::of(&[source(&["id", "Note", "", "Note"]), source(&["owner", "Note", LEFT_OUT, "id"])]);
        assert_eq!(union.names, ["id", "Note", "", "Note", "owner"]);
        assert_eq!(union.cells[0], [Some(0), Some(1), Some(2), Some(3)]);
        assert_eq!(union.cells[1], [Some(3), Some(1), None, None, Some(0)]);
    }

    #[test]
    fn keys_of_an_object_are_unique() {
        let union = Union::of(&[source(&["a", "a", "a (2)", "result_status", ""])]);
        assert_eq!(union.keys(), ["a", "a (2)", "a (2) (2)", "result_status (2)", ""]);
    }
}
