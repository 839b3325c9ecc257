//! A limit as a number or as a share, `25` or `25%`; and bounds that may hold one of each.

use std::str::FromStr;

/// A limit as a number or as a share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// So many.
    Count(u64),
    /// So many of a hundred.
    Percent(f64),
}

/// A number, a share, both or neither: whichever is reached first counts.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Bounds {
    /// So many.
    pub count: Option<u64>,
    /// So many of a hundred.
    pub percent: Option<f64>,
}

impl From<Limit> for Bounds {
    fn from(limit: Limit) -> Self {
        match limit {
            Limit::Count(count) => Self { count: Some(count), percent: None },
            Limit::Percent(percent) => Self { count: None, percent: Some(percent) },
        }
    }
}

impl Bounds {
    /// Both bounds at once: of two numbers and of two shares the smaller.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let smaller = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let count = match (self.count, other.count) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self { count, percent: smaller(self.percent, other.percent) }
    }
}

impl FromStr for Limit {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is neither a number such as 25 nor a share such as 25%");
        match text.trim().strip_suffix('%') {
            None => text.trim().parse().map(Self::Count).map_err(|_| wrong()),
            Some(share) => match share.trim().parse::<f64>() {
                Ok(share) if (0.0..=100.0).contains(&share) => Ok(Self::Percent(share)),
                Ok(_) | Err(_) => Err(wrong()),
            },
        }
    }
}

impl FromStr for Bounds {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<Limit>().map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_shares_are_told_apart() {
        assert_eq!("25".parse(), Ok(Limit::Count(25)));
        assert_eq!(" 2.5 %".parse(), Ok(Limit::Percent(2.5)));
        for text in ["", "-1", "101%", "x", "nan%", "1e3"] {
            assert!(text.parse::<Limit>().is_err(), "{text}");
        }
    }

    #[test]
    fn two_bounds_hold_at_once() {
        let count = Bounds::from(Limit::Count(3));
        let share = Bounds::from(Limit::Percent(50.0));
        assert_eq!(count.and(share), Bounds { count: Some(3), percent: Some(50.0) });
        assert_eq!(count.and(Limit::Count(2).into()).count, Some(2));
        assert_eq!(share.and(Limit::Percent(80.0).into()).percent, Some(50.0));
    }
}
