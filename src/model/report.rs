//! What lists and reports have in common: the columns that a report adds, secret columns, the guard against formulas.
//!
//! A report is itself a list, so both sides must agree to the letter.

use std::borrow::Cow;

use super::Kind;

/// Stands in [`super::SourceRow::columns`] for a column that is left out of the report. No list can hold a NUL.
pub const LEFT_OUT: &str = "\0";

/// What a report adds to each row, in this order.
pub const RESULT_COLUMNS: [&str; 19] = [
    "result_line",
    "result_source",
    "result_tenant",
    "result_kind",
    "result_id",
    "result_name",
    "result_status",
    "result_reason",
    "result_http_status",
    "result_error_code",
    "result_message",
    "result_attempts",
    "result_throttled",
    "result_sent_at",
    "result_finished_at",
    "result_elapsed_ms",
    "result_request_id",
    "result_client_request_id",
    "result_run",
];

/// Columns and keys whose values are live secrets in exports of these objects, folded as [`Kind::fold`] does.
const SECRET_COLUMNS: [&str; 5] = ["tokenvalue", "qrcodecontent", "qrcodeimage", "wifipassword", "token"];

/// Stands in place of a secret value.
pub const REMOVED: &str = "[removed]";

/// Whether the values of a column or key of this name are live secrets.
pub fn is_secret_column(name: &str) -> bool {
    SECRET_COLUMNS.contains(&Kind::fold(name).as_str())
}

/// Whether a report adds a column of this name.
pub fn is_result_column(name: &str) -> bool {
    RESULT_COLUMNS.iter().any(|result| result.eq_ignore_ascii_case(name.trim()))
}

/// A cell that no spreadsheet takes for a formula: one `'` more, if a formula sign stands at its front or behind `'`s there.
///
/// Guarding what already begins with `'` as well is what makes it possible to take off exactly one on reading. A NUL,
/// which no list may hold, is replaced.
pub fn guard(cell: &str) -> Cow<'_, str> {
    let clean = if cell.contains('\0') { Cow::Owned(cell.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(cell) };
    let first = clean.bytes().find(|byte| *byte != b'\'');
    if matches!(first, Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r')) { Cow::Owned(format!("'{clean}")) } else { clean }
}

/// The cell as it was before a report guarded it: one `'` less, if a formula sign follows the leading `'`s.
///
/// A report adds exactly one `'` to exactly the cells that look so, with or without `'`; hence nothing is lost either way.
pub fn unguard(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if rest.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r']) => rest,
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_look_like_formulas_get_one_quote_and_lose_exactly_it() {
        for (bare, guarded) in [
            ("=1+1", "'=1+1"),
            ("'=1+1", "''=1+1"),
            ("-", "'-"),
            ("+49", "'+49"),
            ("@a", "'@a"),
            ("\tx", "'\tx"),
            ("\rx", "'\rx"),
            ("'tis", "'tis"),
            ("'", "'"),
            ("a=b", "a=b"),
            ("", ""),
        ] {
            assert_eq!(guard(bare), guarded);
            assert_eq!(unguard(guarded), bare);
        }
        assert_eq!(guard("a\0b"), "a\u{fffd}b");
        assert_eq!(unguard("=1"), "=1");
    }

    #[test]
    fn secret_names_are_known_in_any_dress() {
        assert!(is_secret_column("Token Value") && is_secret_column("QR_CODE_CONTENT") && !is_secret_column("tokenId"));
    }
}
