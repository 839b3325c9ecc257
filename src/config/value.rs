//! Values as people write them: durations, quotas, shares, references to secrets.

use std::num::NonZeroU32;
use std::time::Duration;

use jiff::SignedDuration;

use crate::exec::Quota;

/// A window longer than a year is a slip of the pen.
const LONGEST_WINDOW: Duration = Duration::from_hours(365 * 24);

/// Reads `500ms`, `20s`, `5m`, `1h 30m`, or whole seconds.
///
/// # Errors
/// Says what was expected.
pub fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let wrong = || format!("{text:?} is not a duration such as 500ms, 20s, 5m or 1h 30m");
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(Duration::from_secs(seconds.into()));
    }
    let read: SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(read).map_err(|_| wrong())
}

/// Reads a duration that is not zero.
///
/// # Errors
/// Says what was expected.
pub fn positive_duration(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|read| if read.is_zero() { Err("it must be longer than nothing".to_owned()) } else { Ok(read) })
}

/// Reads `100/20s`, `5/s`, or `none`.
///
/// # Errors
/// Says what was expected.
pub fn quota(text: &str) -> Result<Option<Quota>, String> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    let wrong = || format!("{text:?} is neither a quota such as 100/20s nor none");
    let (count, per) = text.split_once('/').ok_or_else(wrong)?;
    let count: NonZeroU32 = count.trim().parse().map_err(|_| wrong())?;
    let per = per.trim();
    let per = if per.starts_with(|c: char| c.is_ascii_digit()) { per.to_owned() } else { format!("1{per}") };
    let per = positive_duration(&per).ok().filter(|per| *per <= LONGEST_WINDOW).ok_or_else(wrong)?;
    Ok(Some(Quota { count, per }))
}

/// Reads how many times as many, `3` or `1.5`.
///
/// # Errors
/// Says what was expected.
pub(super) fn growth(text: &str) -> Result<f64, String> {
    let times = text.trim().parse::<f64>().ok().filter(|times| times.is_finite() && *times >= 1.0);
    times.ok_or_else(|| format!("{text:?} is not a number of times such as 3 or 1.5, and not below 1"))
}

/// Reads a word of a closed list.
///
/// # Errors
/// Names the list.
pub(super) fn word<T: Copy>(text: &str, known: &[(&str, T)]) -> Result<T, String> {
    known.iter().find(|(name, _)| name.eq_ignore_ascii_case(text.trim())).map(|&(_, value)| value).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|&(name, _)| name).collect();
        format!("{text:?} is not one of {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, millis) in [("500ms", 500), ("20s", 20_000), ("5m", 300_000), ("1h 30m", 5_400_000), ("90", 90_000), ("0", 0)]
        {
            assert_eq!(duration(text).unwrap().as_millis(), millis, "{text}");
        }
        for text in ["", "soon", "-5s", "5 parsecs", "1.5.2s"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(positive_duration("0s").is_err());
    }

    #[test]
    fn growth_is_a_number_of_times_and_not_below_one() {
        assert_eq!(["3", "1.5", "1"].map(growth), [Ok(3.0), Ok(1.5), Ok(1.0)]);
        for text in ["0.9", "-3", "3x", "200%", "inf", "nan", ""] {
            assert!(growth(text).is_err(), "{text}");
        }
    }

    #[test]
    fn quotas_are_a_number_in_a_time_or_none() {
        let read = quota("100/20s").unwrap().unwrap();
        assert_eq!((read.count.get(), read.per.as_secs()), (100, 20));
        assert_eq!(quota("5/s").unwrap().unwrap().per.as_secs(), 1);
        assert_eq!(quota("none").unwrap(), None);
        for text in ["", "100", "0/20s", "100/0s", "-1/s", "100/20s/3"] {
            assert!(quota(text).is_err(), "{text}");
        }
    }
}
