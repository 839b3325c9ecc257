//! What the caller says of a list before it is opened: which of the three forms, and which column is the id.

use std::path::Path;

/// The form of a list, told by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A table whose separator is found out.
    Csv,
    /// A table separated by tabs.
    Tsv,
    /// One id per row without a header; lines that begin with `#` are comments.
    Txt,
}

impl Format {
    /// The form of a file by its name; `-`, standard input, is CSV. None if the name is not that of a list.
    pub fn of(name: &str) -> Option<Self> {
        if name == "-" {
            return Some(Self::Csv);
        }
        let extension = Path::new(name).extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "csv" => Some(Self::Csv),
            "tsv" => Some(Self::Tsv),
            "txt" => Some(Self::Txt),
            _ => None,
        }
    }
}

/// How to read a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Its form.
    pub format: Format,
    /// The column that is the id, where the user says so; compared like every column name.
    pub id_column: Option<String>,
}

impl From<Format> for Options {
    fn from(format: Format) -> Self {
        Self { format, id_column: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_the_form() {
        for (name, format) in [
            ("-", Some(Format::Csv)),
            ("jobs/Kiosk.CSV", Some(Format::Csv)),
            ("a.tsv", Some(Format::Tsv)),
            ("ids.txt", Some(Format::Txt)),
            ("job.toml", None),
            ("book.xlsx", None),
            ("ids", None),
        ] {
            assert_eq!(Format::of(name), format, "{name}");
        }
    }
}
