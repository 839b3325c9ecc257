//! The binary while it runs: what it says is read as it comes, every wait has a bound, and it dies with the test.
#![expect(clippy::unwrap_used, reason = "a process that cannot be watched is a failed test")]

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

/// Longer than anything takes on a slow machine; a wait that reaches it is a failure.
const BOUND: Duration = Duration::from_mins(1);

/// How a process ended and what it said.
pub(crate) struct End {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A running one.
pub(crate) struct Process {
    child: Child,
    said: Receiver<(bool, String)>,
    stdout: String,
    stderr: String,
}

impl Process {
    /// Starts it with both streams caught.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, said) = channel();
        listen(child.stdout.take().unwrap(), false, sender.clone());
        listen(child.stderr.take().unwrap(), true, sender);
        Self { child, said, stdout: String::new(), stderr: String::new() }
    }

    /// The first line, on either stream and not waited for before, that contains this.
    pub(crate) fn wait_for(&mut self, words: &str) -> String {
        let bound = Instant::now() + BOUND;
        loop {
            let line = self.next(bound);
            let heard = (&self.stdout, &self.stderr);
            assert!(line.is_some(), "it ended without saying {words:?}: {heard:?}");
            if let Some(line) = line.filter(|line| line.contains(words)) {
                return line.trim_end().to_owned();
            }
        }
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let line = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success(), "{line}");
    }

    /// Listens for so long. True as soon as it has ended.
    pub(crate) fn ends_within(&mut self, time: Duration) -> bool {
        let bound = Instant::now() + time;
        loop {
            match self.said.recv_timeout(bound.saturating_duration_since(Instant::now())) {
                Ok((is_error, line)) => if is_error { &mut self.stderr } else { &mut self.stdout }.push_str(&line),
                Err(ended) => return ended == std::sync::mpsc::RecvTimeoutError::Disconnected,
            }
        }
    }

    /// Waits until it has ended.
    pub(crate) fn end(mut self) -> End {
        let bound = Instant::now() + BOUND;
        while self.next(bound).is_some() {}
        // Both streams are closed, so it is about to leave.
        let code = self.child.wait().unwrap().code();
        End { code, stdout: std::mem::take(&mut self.stdout), stderr: std::mem::take(&mut self.stderr) }
    }

    fn next(&mut self, bound: Instant) -> Option<String> {
        match self.said.recv_timeout(bound.saturating_duration_since(Instant::now())) {
            Ok((is_error, line)) => {
                if is_error { &mut self.stderr } else { &mut self.stdout }.push_str(&line);
                Some(line)
            }
            Err(ended) => {
                let heard = (&self.stdout, &self.stderr);
                assert_eq!(ended, std::sync::mpsc::RecvTimeoutError::Disconnected, "it hangs: {heard:?}");
                None
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen(stream: impl Read + Send + 'static, is_error: bool, sender: Sender<(bool, String)>) {
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).into_owned();
            line.clear();
            if sender.send((is_error, text)).is_err() {
                return;
            }
        }
    });
}
