//! A directory of its own for each test, and the binary started in it with nothing of this machine's environment.
#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{APP, Left, Process, TENANT};

/// Working directory, home and state directory of a test's runs.
pub(crate) struct Home {
    dir: TempDir,
    variables: BTreeMap<String, String>,
}

impl Home {
    /// An empty one. Nobody is signed in.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Self { dir, variables: BTreeMap::new() };
        let (state, own) = (home.path("state"), home.path(""));
        let home = home.with("BULK_REVOKE_STATE_DIR", state.to_str().unwrap()).with("HOME", own.to_str().unwrap());
        // The machine that runs the tests is not asked for its identity.
        home.with("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1").with("USER", "tester")
    }

    /// One with the variables of an app in [`TENANT`] whose secret is the simulator's.
    pub(crate) fn signed_in() -> Self {
        Self::new()
            .with("AZURE_TENANT_ID", &TENANT.to_string())
            .with("AZURE_CLIENT_ID", &APP.to_string())
            .with("AZURE_CLIENT_SECRET", "simulated")
    }

    /// The same for tests of what happens before anything is read back: 204 is `accepted`.
    pub(crate) fn unverified(self) -> Self {
        self.with("BULK_REVOKE_VERIFY", "off")
    }

    /// The same for tests of sending alone: nothing is read, neither before nor after.
    pub(crate) fn sending_only(self) -> Self {
        self.unverified().with("BULK_REVOKE_NO_PREFLIGHT", "true")
    }

    /// One more variable.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Without a variable.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    /// One more file.
    pub(crate) fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.write(name, content);
        self
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// A place in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts the binary with these arguments, divided at spaces. Standard input is no terminal and empty.
    pub(crate) fn start(&self, arguments: &str) -> Process {
        Process::start(self.command(arguments).stdin(Stdio::null()))
    }

    /// Starts the binary where no file may become longer than so many blocks of 512 bytes: to it, the disk is full.
    #[cfg(unix)]
    pub(crate) fn start_on_full_disk(&self, arguments: &str, blocks: u32) -> Process {
        let inner = self.command(arguments);
        let mut command = Command::new("sh");
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        command.args(["-c", &script]).arg(inner.get_program()).args(inner.get_args()).current_dir(self.dir.path()).env_clear();
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Process::start(command.stdin(Stdio::null()))
    }

    /// Runs the binary to its end.
    pub(crate) fn run(&self, arguments: &str) -> Left {
        self.left(self.start(arguments))
    }

    /// Runs the binary to its end with this on standard input.
    pub(crate) fn run_with_input(&self, arguments: &str, input: &str) -> Left {
        self.write("standard-input", input);
        let input = fs::File::open(self.path("standard-input")).unwrap();
        self.left(Process::start(self.command(arguments).stdin(input)))
    }

    /// Waits for the end of a process of this home.
    pub(crate) fn left(&self, process: Process) -> Left {
        Left::of(self.dir.path(), process.end())
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bulk-revoke"));
        command.args(arguments.split_whitespace()).current_dir(self.dir.path()).env_clear().envs(&self.variables);
        // Windows needs its own for sockets; elsewhere it is not set.
        for name in ["PATH", "SystemRoot"] {
            command.envs(option(name).filter(|_| !self.variables.contains_key(name)).map(|value| (name, value)));
        }
        command
    }

    /// Every file below it with its content, whatever it is.
    pub(crate) fn everything(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        collect(self.dir.path(), &mut found);
        found
    }
}

#[expect(clippy::disallowed_methods, reason = "the ban is for the program; a test must pass PATH on")]
fn option(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name)
}

fn collect(dir: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            collect(&path, found);
        } else {
            let content = fs::read(&path).unwrap();
            found.push((path, content));
        }
    }
}
