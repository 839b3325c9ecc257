//! A snapshot of the environment, taken once at the start, so that tests can hand in their own.

use std::collections::HashMap;
use std::path::PathBuf;

/// The environment variables of the process. `Debug` shows names only: values may be secret.
#[derive(Clone, Default)]
pub struct Env(HashMap<String, String>);

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl FromIterator<(String, String)> for Env {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl Env {
    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A directory that a variable names.
    pub fn dir(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    /// Where the ledger lies: our own variable is stronger than the configuration, the others are defaults.
    pub fn state_dir(&self, config: Option<PathBuf>) -> Option<PathBuf> {
        self.dir("BULK_REVOKE_STATE_DIR")
            .or(config)
            // systemd joins several directories by colons; the first is the unit's own.
            .or_else(|| self.get("STATE_DIRECTORY").and_then(|dirs| dirs.split(':').next()).map(PathBuf::from))
            .or_else(|| self.dir("XDG_STATE_HOME").map(|dir| dir.join("bulk-revoke")))
            .or_else(|| self.dir("HOME").map(|home| home.join(".local/state/bulk-revoke")))
            .or_else(|| self.dir("LOCALAPPDATA").map(|dir| dir.join("bulk-revoke")))
    }

    /// Where `config.toml` is looked for, in this order.
    pub fn config_files(&self) -> Vec<PathBuf> {
        let user = self.dir("XDG_CONFIG_HOME").or_else(|| self.dir("HOME").map(|home| home.join(".config")));
        let dirs = [Some(PathBuf::from(".")), user.map(|dir| dir.join("bulk-revoke")), Some(PathBuf::from("/etc/bulk-revoke"))];
        dirs.into_iter().flatten().map(|dir| dir.join("config.toml")).collect()
    }

    /// Who runs this, for the record.
    pub fn operator(&self) -> String {
        ["SUDO_USER", "USER", "LOGNAME", "USERNAME"].iter().find_map(|name| self.get(name)).unwrap_or("unknown").to_owned()
    }
}
