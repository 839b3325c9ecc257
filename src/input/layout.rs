//! What stands before the rows: `sep=` and `#TYPE` lines, the separator, and whether there is a header.

use super::columns::{has_id, is_id_text};
use super::{Format, Options};

/// The separators that lists use, the likeliest first.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// How the rows of a list are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Bytes before the first row or header.
    pub skip: usize,
    /// Lines before the first row or header.
    pub lines: u32,
    /// Between cells.
    pub separator: u8,
    /// Whether the first row names the columns.
    pub header: bool,
    /// Whether the type line of Windows PowerShell was there.
    pub typed: bool,
}

impl Layout {
    /// Judges the beginning of a list.
    pub(super) fn of(head: &str, options: &Options) -> Self {
        let preamble = Preamble::of(head);
        let body = &head[preamble.skip..];
        let known = if options.format == Format::Tsv { b"\t" } else { SEPARATORS.as_slice() };
        // A `sep=` line is believed where it makes sense; Excel leaves it behind when a list is saved anew.
        let stated = preamble.separator.map(|separator| Try::of(body, separator, options));
        let tries: Vec<Try> = known.iter().map(|separator| Try::of(body, *separator, options)).collect();
        let best = stated.iter().find(|found| found.fits).or_else(|| widest(tries.iter().filter(|found| found.fits)));
        let best = best.or(stated.as_ref()).or_else(|| widest(tries.iter()));
        let (separator, header) = best.map_or((SEPARATORS[0], true), |found| (found.separator, found.header));
        Self { skip: preamble.skip, lines: preamble.lines, separator, header, typed: preamble.typed }
    }
}

/// The first row as one separator cuts it.
struct Try {
    separator: u8,
    cells: usize,
    /// Whether it makes the id findable.
    fits: bool,
    header: bool,
}

impl Try {
    fn of(body: &str, separator: u8, options: &Options) -> Self {
        let cells = first_row(body, separator, options.format);
        let bare = cells.first().is_some_and(|cell| is_id_text(cell));
        let header = options.format != Format::Txt && !bare;
        Self { separator, cells: cells.len(), fits: bare || (header && has_id(&cells, options.id_column.as_deref())), header }
    }
}

/// The try with most cells; among equals the first.
fn widest<'a>(tries: impl Iterator<Item = &'a Try>) -> Option<&'a Try> {
    tries.reduce(|best, next| if next.cells > best.cells { next } else { best })
}

fn first_row(body: &str, separator: u8, format: Format) -> Vec<String> {
    let mut reader = super::list::parser(separator, format).from_reader(body.as_bytes());
    let rows = reader.records().filter_map(Result::ok);
    let mut filled = rows.filter(|row| row.iter().any(|cell| !cell.trim().is_empty()));
    filled.next().map(|row| row.iter().map(str::to_owned).collect()).unwrap_or_default()
}

/// The lines before the table.
#[derive(Debug, Default)]
struct Preamble {
    skip: usize,
    lines: u32,
    separator: Option<u8>,
    typed: bool,
}

impl Preamble {
    fn of(head: &str) -> Self {
        let mut found = Self::default();
        let mut at = 0;
        for (number, line) in (1..).zip(head.split_inclusive('\n')) {
            at += line.len();
            let bare = line.trim_end_matches(['\r', '\n']);
            if bare.trim().is_empty() {
                continue;
            }
            if let Some(separator) = separator_line(bare) {
                found.separator = Some(separator);
            } else if is_type_line(bare) {
                found.typed = true;
            } else {
                break;
            }
            (found.skip, found.lines) = (at, number);
        }
        found
    }
}

/// `sep=;`: the separator that the line names, if it is such a line.
fn separator_line(line: &str) -> Option<u8> {
    let line = line.trim_matches('"');
    let (name, value) = line.split_at_checked(4)?;
    match value.as_bytes() {
        _ if !name.eq_ignore_ascii_case("sep=") => None,
        // An editor may have put the separator behind it once more, to fill the table.
        [one, rest @ ..]
            if (one.is_ascii_punctuation() || matches!(one, b'\t' | b' ')) && rest.iter().all(|more| more == one) =>
        {
            Some(*one)
        }
        _ => None,
    }
}

fn is_type_line(line: &str) -> bool {
    let line = line.trim_start_matches('"');
    line.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("#TYPE"))
        && line.as_bytes().get(5).is_none_or(u8::is_ascii_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUID: &str = "9dfb369b-ab13-4fae-a276-55daa05f1119";

    fn layout(head: &str, format: Format) -> Layout {
        Layout::of(head, &format.into())
    }

    #[test]
    fn the_separator_is_the_one_that_makes_the_id_findable() {
        for (head, separator) in [
            ("name,id\n", b','),
            ("name;Profile ID;x,y\n", b';'),
            ("id\tname, first\n", b'\t'),
            ("sep=;\nid;a,b\n", b';'),
            ("sep=;\nid,name\n", b','),
            ("sep=|\nid|name\n", b'|'),
            ("id\n", b','),
            ("name;owner\n", b';'),
        ] {
            assert_eq!(layout(head, Format::Csv).separator, separator, "{head:?}");
        }
        assert_eq!(layout("name,id\n", Format::Tsv).separator, b'\t');
        let options = Options { format: Format::Csv, id_column: Some("device token".into()) };
        assert_eq!(Layout::of("id,a;Device-Token\n", &options).separator, b';');
    }

    #[test]
    fn lines_before_the_table_are_skipped_and_counted() {
        let found = layout("\r\nsep=;\r\n#TYPE Selected.Object\r\n\r\nid;x\r\n", Format::Csv);
        assert_eq!((found.lines, found.typed, found.header), (3, true, true));
        assert_eq!(layout("#TYPES,id\n", Format::Csv).lines, 0);
        assert_eq!(layout("separator,id\n", Format::Csv).lines, 0);
        assert_eq!(layout("", Format::Csv).skip, 0);
    }

    #[test]
    fn a_list_that_begins_with_a_guid_has_no_header() {
        assert!(!layout(&format!("\n {{{GUID}}} \n"), Format::Csv).header);
        assert_eq!(layout(&format!("{GUID};x,y\n"), Format::Csv).separator, b';');
        assert!(!layout("# note\nname\n", Format::Txt).header);
        assert!(layout(&format!("x,{GUID}\n"), Format::Csv).header);
    }
}
