//! The hash chain over a run's plan and events: each link covers the one before, so that a rewritten row or a
//! cut tail shows against a copy of the head kept elsewhere.

use std::fmt::Write as _;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use sha2::{Digest as _, Sha256};

use super::schema::RUN_COLUMNS;

/// A link's hash.
pub(super) type Hash = [u8; 32];

/// Hashes the plan as the tables hold it, the items in their order and then the run; its result is the link before
/// the first event.
#[derive(Debug, Default)]
pub(super) struct PlanHash {
    hash: Sha256,
    /// Not hashed yet: many small pieces at once take half the time.
    ahead: Vec<u8>,
}

/// Bytes that are hashed at once, or a row more.
const AHEAD: usize = 4096;

impl PlanHash {
    /// One stored value. Type and length go before the content, so that no two rows run together into the same bytes.
    pub(super) fn value(&mut self, value: ValueRef<'_>) {
        let number: [u8; 8];
        let (kind, bytes): (u8, &[u8]) = match value {
            ValueRef::Null => (0, &[]),
            ValueRef::Integer(value) => {
                number = value.to_be_bytes();
                (1, &number)
            }
            ValueRef::Real(value) => {
                number = value.to_be_bytes();
                (2, &number)
            }
            ValueRef::Text(bytes) => (3, bytes),
            ValueRef::Blob(bytes) => (4, bytes),
        };
        self.ahead.push(kind);
        self.ahead.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        self.ahead.extend_from_slice(bytes);
        if self.ahead.len() >= AHEAD {
            self.hash.update(&self.ahead);
            self.ahead.clear();
        }
    }

    /// A stored row, column by column.
    pub(super) fn row(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        (0..row.as_ref().column_count()).try_for_each(|column| row.get_ref(column).map(|value| self.value(value)))
    }

    /// Adds the run's own row, which must be complete.
    pub(super) fn finish(mut self, db: &Connection, run: i64) -> rusqlite::Result<Hash> {
        db.query_row(&format!("SELECT {RUN_COLUMNS} FROM runs WHERE no = ?1"), [run], |row| self.row(row))?;
        Ok(self.hash.chain_update(&self.ahead).finalize().into())
    }
}

/// The link of an event.
pub(super) fn link(before: &Hash, item: Option<i64>, at: i64, what: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(item.unwrap_or(-1).to_be_bytes());
    hash.update(at.to_be_bytes());
    hash.update(what);
    hash.finalize().into()
}

/// As people compare it.
pub(super) fn hex(hash: &[u8]) -> String {
    hash.iter().fold(String::with_capacity(2 * hash.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The hash that a text shows, if it is one.
pub(super) fn unhex(text: &str) -> Option<Hash> {
    let digits: Vec<u8> = text.trim().chars().map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    bytes.try_into().ok().filter(|_| digits.len().is_multiple_of(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_an_event_changes_its_link() {
        let base = link(&[0; 32], Some(1), 5, b"x");
        let others = [
            link(&[1; 32], Some(1), 5, b"x"),
            link(&[0; 32], None, 5, b"x"),
            link(&[0; 32], Some(1), 6, b"x"),
            link(&[0; 32], Some(1), 5, b"y"),
        ];
        assert!(others.iter().all(|other| *other != base));
    }

    #[test]
    fn a_hash_is_read_back_from_what_people_compare() {
        let hash = link(&[0; 32], None, 0, b"x");
        assert_eq!(unhex(&hex(&hash).to_uppercase()), Some(hash));
        for text in ["", "c0ffee", &"+1".repeat(32)[..], &hex(&hash)[1..], &format!("{}0", hex(&hash)), &"\u{e9}".repeat(32)] {
            assert_eq!(unhex(text), None, "{text}");
        }
    }
}
