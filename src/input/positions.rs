//! Tests: whatever the line ends, quotes and blank lines, each row has its true line and its cells as written.

use std::io::Cursor;

use proptest::prelude::*;

use super::{Format, List};

/// A row as it was meant: its cells, or nothing for a blank line.
type Meant = Option<[String; 2]>;

fn any_row() -> impl Strategy<Value = Meant> {
    let cell =
        prop::collection::vec(prop::sample::select(vec!["a", "ä", " ", ",", ";", "\"", "#", "'=", "\n", "\r\n", "😀"]), 0..6);
    // An `x` in front keeps a row from being blank; newlines go into the second cell, as ids may not have any.
    prop_oneof![
        4 => ("[a-z{} ]{0,5}", cell).prop_map(|(id, cell)| Some([format!("x{id}"), cell.concat()])),
        1 => Just(None),
    ]
}

fn quote(cell: &str, always: bool) -> String {
    if always || cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

/// Writes the rows and counts lines the naive way: by the line feeds written so far.
fn write(preamble: &str, rows: &[Meant], end: &str, (closed, quoted): (bool, bool)) -> (String, Vec<(u32, [String; 2])>) {
    let mut text = format!("{}id,note{end}", preamble.replace('\n', end));
    let mut expected = Vec::new();
    for row in rows {
        if let Some([id, note]) = row {
            let line = text.matches('\n').count() + 1;
            expected.push((u32::try_from(line).unwrap(), [id.clone(), note.clone()]));
            text.push_str(&[quote(id, quoted), quote(note, quoted)].join(","));
        }
        text.push_str(end);
    }
    if !closed {
        text.truncate(text.len() - end.len());
    }
    (text, expected)
}

fn read(text: Vec<u8>) -> Vec<(u32, [String; 2])> {
    let list = List::open(7, "-", Cursor::new(text), &Format::Csv.into()).unwrap();
    list.map(|entry| entry.map(|entry| (entry.place.line, entry.cells.try_into().unwrap())).unwrap()).collect()
}

proptest! {
    #[test]
    fn lines_and_cells_come_back_as_they_were_written(
        preamble in prop::sample::select(vec!["", "\n", "sep=,\n", "#TYPE X\n", "\nsep=,\n\n#TYPE X\n\n"]),
        rows in prop::collection::vec(any_row(), 0..12),
        end in prop::sample::select(vec!["\n", "\r\n"]),
        (bom, closed, quoted) in any::<(bool, bool, bool)>(),
    ) {
        let (text, expected) = write(preamble, &rows, end, (closed, quoted));
        let text = if bom { format!("\u{feff}{text}") } else { text };
        prop_assert_eq!(read(text.clone().into_bytes()), expected.clone());
        if bom {
            prop_assert_eq!(read(text.encode_utf16().flat_map(u16::to_be_bytes).collect()), expected);
        }
    }

    #[test]
    fn old_mac_lines_are_counted_as_well(rows in prop::collection::vec(any_row(), 1..8)) {
        let mac = |text: &str| text.replace("\r\n", "\n").replace('\n', "\r");
        let (text, expected) = write("\n", &rows, "\n", (true, false));
        let lines = |rows: Vec<(u32, [String; 2])>| rows.into_iter().map(|(_, [id, note])| (id, mac(&note))).collect::<Vec<_>>();
        let naive: Vec<u32> = {
            let simple: Vec<Meant> = rows.iter().map(|row| row.as_ref().map(|[id, note]| [id.clone(), note.replace("\r\n", "\n")])).collect();
            write("\n", &simple, "\n", (true, false)).1.into_iter().map(|(line, _)| line).collect()
        };
        let got = read(mac(&text).into_bytes());
        prop_assert_eq!(got.iter().map(|(line, _)| *line).collect::<Vec<_>>(), naive);
        prop_assert_eq!(lines(got), lines(expected));
    }

    #[test]
    fn no_bytes_make_reading_panic_or_go_on_for_ever(bytes in prop::collection::vec(prop::sample::select(b"id,;\"\n\r\t#='\xEF\xBB\xBF\xFE\xFF\0x".to_vec()), 0..60)) {
        for format in [Format::Csv, Format::Tsv, Format::Txt] {
            if let Ok(list) = List::open(0, "x", Cursor::new(bytes.clone()), &format.into()) {
                let lines: Vec<u32> = list.filter_map(Result::ok).map(|entry| entry.place.line).collect();
                prop_assert!(lines.is_sorted_by(|a, b| a < b), "{:?}", lines);
                prop_assert!(lines.iter().all(|line| (1..=bytes.len() + 1).contains(&(*line as usize))));
            }
        }
    }
}
