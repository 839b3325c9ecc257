//! What a check found, as a table for a terminal; and what clocks that disagree are worth saying.

use std::fmt::Write as _;

use jiff::SignedDuration;
use serde::Serialize;

use super::plain::{cut, folded, span};

/// Characters of a line.
const WIDTH: usize = 80;
/// Characters of the name of what was checked: the longest is `revoke android-device-owner`.
const NAME_CHARS: usize = 27;
/// Where the detail begins: behind the name, two blanks, the result, and one, so that the longest permission fits in a line.
const DETAIL_AT: usize = NAME_CHARS + 2 + 7 + 1;
/// Where the lines of a hint begin, behind their arrow.
const HINT_AT: usize = 8;

/// How far a clock may be off before sign-ins fail: Entra takes assertions and tokens for five minutes beside their time
/// (<https://learn.microsoft.com/entra/identity-platform/configurable-token-lifetimes>).
const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// How good something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// As it should be.
    Ok,
    /// It may be in the way.
    Warning,
    /// It is in the way.
    Failed,
}

impl Mark {
    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The tenant that it is about.
    pub tenant: Option<String>,
    /// What was checked.
    pub check: String,
    /// How good it is.
    pub result: Mark,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// The table, for a terminal of 80 columns. Only what must not be broken, such as a link, is longer.
pub fn findings_text(findings: &[Finding]) -> String {
    let mut text = String::new();
    let mut tenant = None;
    for finding in findings {
        if tenant != finding.tenant.as_ref() {
            tenant = finding.tenant.as_ref();
            let _ = writeln!(text, "\n{}", cut(tenant.map_or("", String::as_str), WIDTH));
        }
        let head = format!("{:<NAME_CHARS$}  {}", cut(&finding.check, NAME_CHARS), finding.result.name());
        block(&mut text, &head, DETAIL_AT, &finding.detail);
        if let Some(hint) = &finding.hint {
            block(&mut text, "     ->", HINT_AT, hint);
        }
    }
    text
}

/// A text behind its head, with each of its lines at the same column.
fn block(out: &mut String, head: &str, column: usize, text: &str) {
    let lines = folded(text, WIDTH - column);
    let lines = if lines.is_empty() { vec![String::new()] } else { lines };
    for (at, line) in lines.iter().enumerate() {
        let line = format!("{:<column$}{line}", if at == 0 { head } else { "" });
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

/// What to say of a service's clock that is so far ahead of ours; nothing while nobody minds.
pub fn skew_text(ahead: SignedDuration) -> Option<String> {
    let direction = if ahead.is_negative() { "ahead of" } else { "behind" };
    let is_off = ahead.abs() > TOLERANCE;
    is_off.then(|| format!("this machine's clock is {} {direction} the service's; set it", span(ahead.unsigned_abs())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(tenant: Option<&str>, check: &str, result: Mark, detail: &str, hint: Option<&str>) -> Finding {
        let [tenant, hint] = [tenant, hint].map(|text| text.map(str::to_owned));
        Finding { tenant, check: check.to_owned(), result, detail: detail.to_owned(), hint }
    }

    #[test]
    fn the_table_fits_a_terminal_and_leaves_links_whole() {
        let link = format!("https://login.microsoftonline.com/{}", "x".repeat(90));
        let text = findings_text(&[
            finding(None, "ledger", Mark::Ok, "/var/lib/bulk-revoke/ledger.db", None),
            finding(Some("contoso"), "sign-in", Mark::Ok, "", None),
            finding(
                Some("contoso"),
                "revoke android-device-owner",
                Mark::Warning,
                "the token does not show DeviceManagementConfiguration.ReadWrite.All",
                Some(&format!("grant it and consent: {link}")),
            ),
        ]);
        let expected = format!(
            "ledger                       ok      /var/lib/bulk-revoke/ledger.db\n\ncontoso\n\
             sign-in                      ok\n\
             revoke android-device-owner  warning the token does not show\n\
             {:37}DeviceManagementConfiguration.ReadWrite.All\n     \
             -> grant it and consent:\n        {link}\n",
            ""
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn clocks_are_spoken_of_beyond_five_minutes() {
        assert_eq!(skew_text(SignedDuration::from_mins(5)), None);
        assert_eq!(skew_text(SignedDuration::from_mins(-5)), None);
        let said = skew_text(SignedDuration::from_secs(720)).unwrap_or_default();
        assert_eq!(said, "this machine's clock is 12m 00s behind the service's; set it");
        assert!(skew_text(SignedDuration::from_hours(-2)).is_some_and(|said| said.contains("2h 00m ahead of")));
    }
}
