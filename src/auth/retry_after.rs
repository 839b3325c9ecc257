//! Reads how long a service wants us to wait, in every shape it was seen to say so. Pure.
//!
//! Seen in the field: integers, decimals (`2.128` in Microsoft's own samples), HTTP dates, values joined by
//! commas, `0`, garbage, nothing at all, and Intune's own `RetryAfter` inside the error's JSON.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde_json::Value;

/// A wish beyond this is taken as this; `--max-pause` stops the tenant long before.
const LONGEST: Duration = Duration::from_hours(365 * 24);

/// Reads the values of all `Retry-After` headers of an answer (RFC 9110, section 10.2.3). `now` is the answer's own `Date`:
/// without any time an HTTP date says nothing. The longest of several wishes counts, and garbage is none.
pub fn retry_after<'a>(values: impl Iterator<Item = &'a str>, now: Option<Timestamp>) -> Option<Duration> {
    values.filter_map(|value| until(value, now).or_else(|| value.split(',').filter_map(seconds).max())).max()
}

/// Reads a wish inside a JSON body, a number or a text.
pub fn retry_after_field(value: &Value, now: Option<Timestamp>) -> Option<Duration> {
    match value {
        Value::Number(number) => number.as_f64().and_then(bounded),
        Value::String(text) => retry_after(std::iter::once(text.as_str()), now),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn seconds(text: &str) -> Option<Duration> {
    let text = text.trim().trim_matches('"');
    // `f64` also reads "inf", "nan" and "1e9", which no service means.
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if plain { text.parse().ok().and_then(bounded) } else { None }
}

/// Rounded up to whole milliseconds: a wait must never be shorter than asked.
fn bounded(seconds: f64) -> Option<Duration> {
    if !seconds.is_finite() || seconds < 0.0 {
        return None;
    }
    let wish = Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST).min(LONGEST);
    let millis = wish.as_nanos().div_ceil(1_000_000);
    Some(Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))
}

/// A date that has passed is no wait at all.
fn until(text: &str, now: Option<Timestamp>) -> Option<Duration> {
    let wait = http_date(text)?.duration_since(now?);
    Some(Duration::try_from(wait).unwrap_or(Duration::ZERO).min(LONGEST))
}

/// Reads a date in one of the three forms of RFC 9110, section 5.6.7.
pub fn http_date(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let preferred = rfc2822::parse(text).map(|zoned| zoned.timestamp());
    let forms = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y", "%a, %d %b %Y %H:%M:%S GMT"];
    preferred.ok().or_else(|| forms.iter().find_map(|form| utc(form, text)))
}

/// The last days of the year 9999, which some libraries write for "never", are beyond what a timestamp can hold.
fn utc(form: &str, text: &str) -> Option<Timestamp> {
    let civil = jiff::civil::DateTime::strptime(form, text).ok()?;
    Some(civil.to_zoned(jiff::tz::TimeZone::UTC).map_or(Timestamp::MAX, |zoned| zoned.timestamp()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        "1994-11-06T08:49:00Z".parse().unwrap()
    }

    fn read(value: &str) -> Option<Duration> {
        retry_after(std::iter::once(value), Some(now()))
    }

    #[test]
    fn every_shape_that_was_seen_is_understood() {
        let millis = |value: &str| read(value).map(|wish| wish.as_millis());
        assert_eq!(millis("10"), Some(10_000));
        assert_eq!(millis(" 10 "), Some(10_000));
        assert_eq!(millis("2.128"), Some(2_128));
        assert_eq!(millis("0.2491"), Some(250));
        assert_eq!(millis("0"), Some(0));
        assert_eq!(millis("10,10"), Some(10_000));
        assert_eq!(millis("5, 30"), Some(30_000));
        assert_eq!(millis("soon, 7"), Some(7_000));
        assert_eq!(millis("Sun, 06 Nov 1994 08:49:37 GMT"), Some(37_000));
        assert_eq!(millis("Sunday, 06-Nov-94 08:49:37 GMT"), Some(37_000));
        assert_eq!(millis("Sun Nov  6 08:49:37 1994"), Some(37_000));
        assert_eq!(millis("Sun, 06 Nov 1994 08:48:00 GMT"), Some(0));
        assert_eq!(read("99999999999999999999999"), Some(LONGEST));
        assert_eq!(read("Fri, 31 Dec 9999 23:59:59 GMT"), Some(LONGEST));
    }

    #[test]
    fn garbage_is_no_wish() {
        for text in ["", "soon", "-5", "nan", "inf", "1e9", "0x10", "10s", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_date_says_nothing_without_a_time_to_hold_it_against() {
        assert_eq!(retry_after(std::iter::once("Sun, 06 Nov 1994 08:50:37 GMT"), None), None);
    }

    #[test]
    fn the_longest_of_several_headers_counts() {
        assert_eq!(retry_after(["1", "20", "x"].into_iter(), Some(now())), Some(Duration::from_secs(20)));
    }

    #[test]
    fn intunes_own_field_is_a_number_a_text_or_null() {
        assert_eq!(retry_after_field(&json!(2.5), Some(now())), Some(Duration::from_millis(2_500)));
        assert_eq!(retry_after_field(&json!("12"), Some(now())), Some(Duration::from_secs(12)));
        assert_eq!(retry_after_field(&Value::Null, Some(now())), None);
    }

    proptest! {
        #[test]
        fn no_text_panics_and_no_wish_is_undercut(text in ".{0,40}", seconds in 0.0_f64..1e6) {
            let _ = read(&text);
            let wish = read(&format!("{seconds:.6}")).unwrap();
            prop_assert!(wish.as_secs_f64() >= seconds - 1e-6);
        }
    }
}
