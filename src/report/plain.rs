//! Text that is safe and pleasant on a terminal: no control characters, cut to a width, numbers and times for people.

use std::path::Path;
use std::time::Duration;

use unicode_width::UnicodeWidthChar as _;

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

/// Columns of a terminal that a character takes at most. One that joins others may take none, and counts as one: so
/// that a text of such characters has an end, too.
fn width(c: char) -> usize {
    c.width().unwrap_or(1).max(1)
}

/// Where the text is so many columns wide; none if it is no wider than that.
fn edge(text: &str, columns: usize) -> Option<usize> {
    let mut taken = 0;
    text.char_indices().find_map(|(at, c)| {
        taken += width(c);
        (taken > columns).then_some(at)
    })
}

/// The text made plain and cut to so many columns.
pub(super) fn cut(text: &str, columns: usize) -> String {
    let text = plain(text.trim());
    if edge(&text, columns).is_none() {
        return text;
    }
    let end = edge(&text, columns.saturating_sub(1)).unwrap_or(text.len());
    format!("{}…", text[..end].trim_end())
}

/// Text for a terminal in at most so many lines of so many columns, broken between words; what is left over is cut.
pub(super) fn wrapped(text: &str, columns: usize, lines: usize) -> Vec<String> {
    let mut wrapped: Vec<String> = Vec::new();
    let text = plain(text);
    let mut rest = text.trim();
    while wrapped.len() + 1 < lines
        && let Some(end) = edge(rest, columns)
    {
        // A blank just behind the edge ends a line as well.
        let Some(space) = (if rest[end..].starts_with(' ') { Some(end) } else { rest[..end].rfind(' ') }) else { break };
        wrapped.push(rest[..space].trim_end().to_owned());
        rest = rest[space..].trim_start();
    }
    wrapped.push(cut(rest, columns));
    wrapped
}

/// Text for a terminal in lines of a width, broken between words. A longer word has a line of its own: it may be a link.
pub(super) fn folded(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in plain(text).split_whitespace() {
        match lines.last_mut() {
            Some(line) if edge(&format!("{line} {word}"), width).is_none() => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
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
pub fn span(time: Duration) -> String {
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
    use unicode_width::UnicodeWidthStr as _;

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
    fn wide_characters_take_two_columns() {
        assert_eq!(cut("東京タワー", 10), "東京タワー");
        assert_eq!(cut("東京タワー", 9), "東京タワ…");
        assert_eq!(cut("東京タワー", 8), "東京タ…");
        assert_eq!(wrapped("東京 タワー", 6, 2), ["東京", "タワー"]);
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
            prop_assert!(cut(&text, width).width() <= width);
            prop_assert!(wrapped(&text, width, 3).iter().all(|line| line.width() <= width));
        }
    }
}
