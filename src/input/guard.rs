//! Takes off the `'` that a report puts before cells that a spreadsheet would run as a formula.

/// The cell as it was before a report guarded it: one `'` less, if a formula sign follows the leading `'`s.
///
/// A report adds exactly one `'` to exactly the cells that look so, with or without `'`; hence nothing is lost either way.
pub(super) fn unguard(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if rest.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r']) => rest,
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_quote_is_taken_off_formulas_and_off_nothing_else() {
        for (guarded, bare) in [
            ("'=1+1", "=1+1"),
            ("''=1+1", "'=1+1"),
            ("'-", "-"),
            ("'\tx", "\tx"),
            ("'\rx", "\rx"),
            ("'@a", "@a"),
            ("'tis", "'tis"),
            ("'", "'"),
            ("=1", "=1"),
            ("", ""),
        ] {
            assert_eq!(unguard(guarded), bare, "{guarded:?}");
        }
    }
}
