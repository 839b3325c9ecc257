//! A snapshot of the environment, taken once at the start, so that tests can hand in their own.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::said::Said;

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

    /// A variable as it is, also if it is empty.
    pub(super) fn raw(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A directory that a variable names.
    pub fn dir(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    /// Where the ledger lies: our own variable is stronger than the configuration, the others are defaults.
    pub(super) fn state_dir(&self, config: Option<Said<PathBuf>>) -> Option<Said<PathBuf>> {
        let dir = |name: &str, below: &str| self.said(name).map(|said| said.map(|dir| Path::new(&dir).join(below)));
        // systemd joins several directories by colons; the first is the unit's own.
        let first = |said: Said<String>| said.map(|dirs| PathBuf::from(dirs.split(':').next().unwrap_or_default()));
        self.said("BULK_REVOKE_STATE_DIR")
            .map(|said| said.map(PathBuf::from))
            .or(config)
            .or_else(|| self.said("STATE_DIRECTORY").map(first))
            .or_else(|| dir("XDG_STATE_HOME", "bulk-revoke"))
            .or_else(|| dir("HOME", ".local/state/bulk-revoke"))
            .or_else(|| dir("LOCALAPPDATA", "bulk-revoke"))
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
