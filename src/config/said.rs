//! Values that remember where they were said, so that nobody has to guess which layer won.

use super::env::Env;

/// A value, and where it was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said<T> {
    /// The value.
    pub value: T,
    /// A variable, a flag, or a key with its file and line: `config.toml:12 ([auth] client_id)`.
    pub origin: String,
}

impl<T> Said<T> {
    /// Said there.
    pub fn by(origin: impl Into<String>, value: T) -> Self {
        Self { value, origin: origin.into() }
    }

    /// Another value, said at the same place.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Said<U> {
        Said { value: change(self.value), origin: self.origin }
    }
}

impl Env {
    /// A variable that is set and not empty, with its name.
    pub(super) fn said(&self, name: &str) -> Option<Said<String>> {
        self.get(name).map(|value| Said::by(name, value.to_owned()))
    }

    /// What a flag says, and whether it was the variable that stands for it.
    pub(super) fn said_by_flag<T>(&self, flag: &str, value: T, text: &str) -> Said<T> {
        let variable = format!("BULK_REVOKE_{}", flag.trim_start_matches('-').replace('-', "_").to_uppercase());
        let origin = if self.get(&variable) == Some(text) { variable } else { flag.to_owned() };
        Said { value, origin }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_and_the_variable_that_stands_for_it_are_told_apart() {
        let env: Env = [("BULK_REVOKE_GRAPH_ROOT".to_owned(), "https://a.example".to_owned())].into_iter().collect();
        let origin = |text: &str| env.said_by_flag("--graph-root", (), text).origin;
        assert_eq!([origin("https://a.example"), origin("https://b.example")], ["BULK_REVOKE_GRAPH_ROOT", "--graph-root"]);
    }
}
