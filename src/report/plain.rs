//! Text that is safe and pleasant on a terminal: no control characters, cut to a width, numbers and times for people.

use std::path::Path;
use std::time::Duration;

/// The text with nothing in it that a terminal would obey: white space becomes a blank, control characters and
/// those that turn the direction of writing become `\u{1b}`.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' | '\n' | '\r' | '\u{2028}' | '\u{2029}' => out.push(' '),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.extend(c.escape_unicode()),
            _ if c.is_control() => out.extend(c.escape_unicode()),
            _ => out.push(c),
        }
    }
    out
}

/// The text made plain and cut to so many characters.
pub(super) fn cut(text: &str, width: usize) -> String {
    let text = plain(text.trim());
    if text.chars().count() <= width {
        return text;
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.truncate(short.trim_end().len());
    short.push('…');
    short
}

/// Text for a terminal in at most so many lines of a width, broken between words; what is left over is cut.
pub(super) fn wrapped(text: &str, width: usize, lines: usize) -> Vec<String> {
    let mut wrapped: Vec<String> = Vec::new();
    let text = plain(text);
    let mut rest = text.trim();
    while !rest.is_empty() && wrapped.len() + 1 < lines && rest.chars().count() > width {
        let end = rest.char_indices().nth(width + 1).map_or(rest.len(), |(at, _)| at);
        let Some(space) = rest[..end].rfind(' ') else { break };
        wrapped.push(rest[..space].trim_end().to_owned());
        rest = rest[space..].trim_start();
    }
    wrapped.push(cut(rest, width));
    wrapped
}

/// `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `0.4s`, `12s`, `5m 40s`, `1h 30m`.
pub(super) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0) => format!("0.{}s", time.subsec_millis() / 100),
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m {s:02}s"),
        (h, m, _) => format!("{h}h {m:02}m"),
    }
}

/// A path as one can type it into a shell.
pub(super) fn typed(path: &Path) -> String {
    let text = plain(&path.display().to_string());
    let tame = |c: char| c.is_alphanumeric() || "/\\._-:+,@%".contains(c);
    if !text.is_empty() && text.chars().all(tame) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn long_texts_are_broken_between_words_and_cut_at_the_end() {
        assert_eq!(wrapped("one of these is enough: A.All, B.All", 16, 3), ["one of these is", "enough: A.All,", "B.All"]);
        assert_eq!(wrapped("aaa bbb ccc ddd", 7, 2), ["aaa bbb", "ccc ddd"]);
        assert_eq!(wrapped("aaa bbb ccc ddd eee", 7, 2), ["aaa bbb", "ccc dd…"]);
        assert_eq!(wrapped("aaaaaaaaaa", 4, 3), ["aaa…"]);
        assert_eq!(wrapped("a\nb", 9, 2), [plain("a\nb")]);
    }

    #[test]
    fn terminals_have_nothing_to_obey() {
        assert_eq!(plain("a\u{1b}[31mb\r\nc\u{9b}d\u{202e}e"), "a\\u{1b}[31mb  c\\u{9b}d\\u{202e}e");
        assert_eq!(plain("Köln 😀"), "Köln 😀");
    }

    #[test]
    fn long_text_is_cut_with_a_mark() {
        assert_eq!(cut(" short ", 10), "short");
        assert_eq!(cut("Insufficient privileges", 14), "Insufficient…");
    }

    #[test]
    fn numbers_and_times_are_for_people() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        let spans = [420, 12_000, 340_000, 5_430_000].map(|ms| span(Duration::from_millis(ms)));
        assert_eq!(spans, ["0.4s", "12s", "5m 40s", "1h 30m"]);
    }

    #[test]
    fn paths_can_be_typed() {
        assert_eq!(typed(Path::new("reports/a-1")), "reports/a-1");
        assert_eq!(typed(Path::new("my reports")), "'my reports'");
        assert_eq!(typed(Path::new("it's")), r"'it'\''s'");
    }

    proptest! {
        #[test]
        fn no_text_brings_a_control_character(text in any::<String>(), width in 1_usize..90) {
            prop_assert!(!plain(&text).contains(char::is_control));
            prop_assert!(cut(&text, width).chars().count() <= width);
        }
    }
}
