//! Rows with the same columns, for other programs: CSV that `run` takes as a list, or one JSON object per line.

use std::io::{self, Write};

use serde::Serializer as _;

use super::results::Value;
use crate::model::guard;

/// How something is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people, on a terminal of 80 columns.
    Table,
    /// As a list.
    Csv,
    /// One object per line.
    Json,
}

/// Writes rows one by one.
pub(super) enum Sheet<W: Write> {
    Csv(Box<csv::Writer<W>>),
    Json(W),
}

impl<W: Write> Sheet<W> {
    /// As CSV, with a head.
    pub(super) fn csv(out: W, names: &[&str]) -> io::Result<Self> {
        let mut table = csv::Writer::from_writer(out);
        table.write_record(names.iter().map(|name| guard(name).into_owned())).map_err(cause)?;
        Ok(Self::Csv(Box::new(table)))
    }

    /// Writes a row: a value for each of the names.
    pub(super) fn row(&mut self, names: &[&str], values: &[Value<'_>]) -> io::Result<()> {
        match self {
            Self::Csv(table) => {
                let written = values.iter().try_for_each(|value| table.write_field(value.cell().as_bytes()));
                written.and_then(|()| table.write_record(None::<&[u8]>)).map_err(cause)
            }
            Self::Json(out) => {
                serde_json::Serializer::new(&mut *out).collect_map(names.iter().zip(values))?;
                out.write_all(b"\n")
            }
        }
    }

    /// Makes sure that all of it is written.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Csv(table) => table.flush(),
            Self::Json(out) => out.flush(),
        }
    }
}

/// The error below one of a table, which hides what kind it is of.
fn cause(error: csv::Error) -> io::Error {
    let kind = error.into_kind();
    if let csv::ErrorKind::Io(error) = kind { error } else { io::Error::other(format!("{kind:?}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever was to read it has gone.
    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn that_nobody_reads_on_is_told_as_such() {
        let mut sheet = Sheet::csv(Gone, &["a"]).unwrap();
        let row = |sheet: &mut Sheet<Gone>| sheet.row(&["a"], &[Value::Flag(true)]).unwrap_err().kind();
        let error = (0..10_000).find_map(|_| sheet.row(&["a"], &[Value::Number(1)]).err());
        assert_eq!(error.map(|error| error.kind()), Some(io::ErrorKind::BrokenPipe));
        assert_eq!(row(&mut Sheet::Json(Gone)), io::ErrorKind::BrokenPipe);
    }
}
