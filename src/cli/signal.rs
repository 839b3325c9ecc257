//! Signals: the first lets what is in flight finish, the second ends at once, the third leaves.

use std::sync::{Arc, OnceLock};

use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::exit::{Exit, Quit};
use super::streams;
use crate::exec::Stop;
use crate::report::Curtain;

/// What signals asked for so far. They are heard from the moment this is made.
#[derive(Debug, Clone)]
pub(super) struct Interrupts {
    stop: watch::Receiver<Stop>,
    /// Lets lines pass the progress bar, once there is one.
    curtain: Arc<OnceLock<Curtain>>,
}

impl Interrupts {
    /// Begins to listen.
    pub(super) fn listen(runtime: &Runtime) -> Self {
        let (sender, stop) = watch::channel(Stop::Run);
        let curtain = Arc::new(OnceLock::new());
        let heard = Arc::clone(&curtain);
        let _inside = runtime.enter();
        let signals = Signals::new();
        runtime.spawn(hear(signals, sender, heard));
        Self { stop, curtain }
    }

    /// From now on a progress bar may stand there.
    pub(super) fn hang(&self, curtain: Curtain) {
        let _ = self.curtain.set(curtain);
    }

    /// What the executor listens to.
    pub(super) fn receiver(&self) -> watch::Receiver<Stop> {
        self.stop.clone()
    }

    /// Waits for a future, or for the first signal; then nothing was sent.
    pub(super) fn wait<T>(&self, runtime: &Runtime, future: impl Future<Output = T>) -> Result<T, Quit> {
        let mut stop = self.stop.clone();
        runtime.block_on(async {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop != Stop::Run) => Err(interrupted()),
                done = future => Ok(done),
            }
        })
    }
}

/// Interrupted before anything was sent.
pub(super) fn interrupted() -> Quit {
    Quit::new(Exit::Interrupted, "interrupted; nothing was sent")
}

async fn hear(mut signals: Signals, sender: watch::Sender<Stop>, curtain: Arc<OnceLock<Curtain>>) {
    loop {
        signals.next().await;
        let (stop, line) = match *sender.borrow() {
            Stop::Run => {
                (Stop::Drain, "stopping: nothing new is sent, and what is in flight may finish within 20 s; again to end at once")
            }
            Stop::Drain => (Stop::Abort, "ending: what is in flight is given up and reported as unknown; again to leave at once"),
            Stop::Abort => leave(),
        };
        // Before a bar stands nothing is in flight, and the command itself says how it ended.
        if let Some(curtain) = curtain.get() {
            curtain.aside(|| streams::note(line));
        }
        sender.send_replace(stop);
    }
}

#[expect(clippy::disallowed_methods, reason = "the third signal leaves, whatever hangs")]
fn leave() -> ! {
    std::process::exit(Exit::Interrupted.code().into())
}

#[cfg(unix)]
struct Signals(Vec<tokio::signal::unix::Signal>);

#[cfg(unix)]
impl Signals {
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
        if !hangup_is_ignored() {
            kinds.push(SignalKind::hangup());
        }
        Self(kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect())
    }

    async fn next(&mut self) {
        std::future::poll_fn(|context| {
            let came = self.0.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
            if came { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }
}

/// Whether whoever started us wants us to outlive the terminal, as `nohup` does. Known where there is a `/proc`.
#[cfg(unix)]
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // Bit 0 is signal 1, SIGHUP.
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> Self {
        Self
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
