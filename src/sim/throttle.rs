//! What a throttled request is told: 429 in Graph's or Intune's words, with a `Retry-After` in each
//! of the shapes seen in the field (from absent to nested in Intune's own JSON).

use std::time::Duration;

use serde_json::json;

use super::answer::Answer;
use super::context::{Context, http_date};

/// A shape in which a service tells how long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// Not at all (often so at Intune).
    Absent,
    /// Whole seconds, rounded up.
    Integer,
    /// Seconds with a fraction (`2.128` stood in Microsoft's own sample).
    Decimal,
    /// A date as in RFC 9110.
    HttpDate,
    /// The header twice, joined by something on the way: `10,10`.
    Joined,
    /// Something unreadable.
    Garbage,
    /// `0`, although it is too early.
    Zero,
    /// No header; the field `RetryAfter` inside Intune's nested JSON.
    Nested,
}

impl RetryAfter {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Absent, Self::Integer, Self::Decimal, Self::HttpDate, Self::Joined, Self::Garbage, Self::Zero, Self::Nested];

    /// The header's value for this wait, where there is a header.
    pub(super) fn header(self, wait: Duration, context: &Context) -> Option<String> {
        let seconds = whole_seconds(wait);
        match self {
            Self::Absent | Self::Nested => None,
            Self::Integer => Some(seconds.to_string()),
            Self::Decimal => Some(format!("{:.3}", wait.as_secs_f64() + 0.0005)),
            Self::HttpDate => Some(http_date(context.at + Duration::from_secs(seconds))),
            Self::Joined => Some(format!("{seconds},{seconds}")),
            Self::Garbage => Some("soon".to_owned()),
            Self::Zero => Some("0".to_owned()),
        }
    }
}

/// Rounded up, at least one.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// The 429 for a wait in this shape; whether Graph or Intune says it is left to chance.
pub(super) fn throttled(context: &Context, shape: RetryAfter, wait: Duration) -> Answer {
    let nested = (shape == RetryAfter::Nested).then(|| whole_seconds(wait));
    let answer = if nested.is_some() || context.dice(0).chance(0.5) {
        context.intune(429, "TooManyRequests", "An error has occurred.", nested)
    } else {
        graph_words(context)
    };
    match shape.header(wait, context) {
        Some(value) => answer.with("retry-after", value),
        None => answer,
    }
}

/// The sample body of Graph's throttling page.
fn graph_words(context: &Context) -> Answer {
    Answer::json(
        429,
        &json!({"error": {
            "code": "TooManyRequests",
            "message": "Please retry again later.",
            "innerError": {
                "code": "429",
                "date": context.at.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
                "message": "Please retry after",
                "request-id": context.request_id.to_string(),
                "status": "429",
            },
        }}),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(shape: RetryAfter) -> Option<String> {
        let answer = throttled(&Context::for_tests(), shape, Duration::from_millis(2_127));
        assert_eq!(answer.status, 429);
        answer.headers.iter().find(|(name, _)| *name == "retry-after").map(|(_, value)| value.clone())
    }

    #[test]
    fn each_shape_looks_as_it_was_seen() {
        assert_eq!(header(RetryAfter::Absent), None);
        assert_eq!(header(RetryAfter::Integer).unwrap(), "3");
        assert_eq!(header(RetryAfter::Decimal).unwrap(), "2.127");
        assert_eq!(header(RetryAfter::HttpDate).unwrap(), "Sun, 22 Nov 2026 04:14:03 GMT");
        assert_eq!(header(RetryAfter::Joined).unwrap(), "3,3");
        assert_eq!(header(RetryAfter::Garbage).unwrap(), "soon");
        assert_eq!(header(RetryAfter::Zero).unwrap(), "0");
        assert_eq!(header(RetryAfter::Nested), None);
    }

    #[test]
    fn the_nested_shape_carries_its_wait_inside_the_message() {
        let answer = throttled(&Context::for_tests(), RetryAfter::Nested, Duration::from_secs(7));
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let nested: serde_json::Value = serde_json::from_str(body["error"]["message"].as_str().unwrap()).unwrap();
        assert_eq!(nested["RetryAfter"], 7);
    }
}
