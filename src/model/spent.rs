//! Where the time of a run went: what held the run as a whole, and for how long.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a run as a whole does, or waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doing {
    /// Everything is read once, before anything is sent.
    Reading,
    /// A request to send is under way, or what it needs is.
    Sending,
    /// The next request waits for its place under the quota, or under the user's own rate.
    Quota,
    /// The service asked us to wait, or failed and is left alone for a while.
    Paused,
    /// Nothing is to be sent but what is in doubt, and that is left alone until reading can tell.
    Settling,
    /// Nothing is to be sent any more: what was sent is read back.
    Verifying,
}

impl Doing {
    /// All of them, in the order of a run.
    pub const ALL: [Self; 6] = [Self::Reading, Self::Sending, Self::Quota, Self::Paused, Self::Settling, Self::Verifying];
}

/// How long a run did what. The ledger keeps whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "BTreeMap<Doing, u64>", into = "BTreeMap<Doing, u64>")]
pub struct Spent([Duration; Doing::ALL.len()]);

impl Spent {
    /// Counts a while.
    pub fn add(&mut self, doing: Doing, time: Duration) {
        self.0[doing as usize] += time;
    }

    /// Every part, in the order of a run.
    pub fn parts(&self) -> impl Iterator<Item = (Doing, Duration)> {
        Doing::ALL.into_iter().zip(self.0)
    }

    /// The whole.
    pub fn total(&self) -> Duration {
        self.0.iter().sum()
    }
}

impl AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        for (doing, time) in other.parts() {
            self.add(doing, time);
        }
    }
}

impl From<BTreeMap<Doing, u64>> for Spent {
    fn from(millis: BTreeMap<Doing, u64>) -> Self {
        let mut spent = Self::default();
        for (doing, millis) in millis {
            spent.add(doing, Duration::from_millis(millis));
        }
        spent
    }
}

impl From<Spent> for BTreeMap<Doing, u64> {
    fn from(spent: Spent) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        spent.parts().map(|(doing, time)| (doing, millis(time))).filter(|(_, millis)| *millis > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::What;

    #[test]
    fn the_ledger_keeps_what_there_is_in_milliseconds() {
        let mut spent = Spent::default();
        spent.add(Doing::Quota, Duration::from_secs(380));
        spent.add(Doing::Sending, Duration::from_secs(12));
        let over = What::Ended { stopped_by: None, spent: Box::new(spent) };
        let text = serde_json::to_string(&over).unwrap();
        assert_eq!(text, r#"{"ended":{"stopped_by":null,"spent":{"sending":12000,"quota":380000}}}"#);
        assert_eq!(serde_json::from_str::<What>(&text).unwrap(), over);
    }

    #[test]
    fn an_end_of_before_times_were_kept_is_read_and_written_as_it_was() {
        let text = r#"{"ended":{"stopped_by":"deadline"}}"#;
        let over: What = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&over).unwrap(), text);
    }
}
