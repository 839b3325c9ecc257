//! A limit as a number or as a share: `25` or `25%`.

use std::str::FromStr;

/// A limit as a number or as a share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// So many.
    Count(u64),
    /// So many of a hundred.
    Percent(f64),
}

impl Limit {
    /// The tighter of two: of two numbers or two shares the smaller; of one each, the later one.
    #[must_use]
    pub fn tighter(self, later: Self) -> Self {
        match (self, later) {
            (Self::Count(a), Self::Count(b)) => Self::Count(a.min(b)),
            (Self::Percent(a), Self::Percent(b)) => Self::Percent(a.min(b)),
            (Self::Count(_), Self::Percent(_)) | (Self::Percent(_), Self::Count(_)) => later,
        }
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
}
