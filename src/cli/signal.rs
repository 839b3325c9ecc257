//! Signals: the first lets what is in flight finish, the second ends at once, the third leaves.

use tokio::sync::watch;

use super::exit::Exit;
use super::streams;
use crate::exec::Stop;
use crate::report::Curtain;

/// Listens until the run is over. The receiver tells the executor.
pub(super) fn listen(curtain: Curtain) -> watch::Receiver<Stop> {
    let (sender, receiver) = watch::channel(Stop::Run);
    tokio::spawn(async move {
        let mut signals = Signals::new();
        loop {
            signals.next().await;
            let stop = match *sender.borrow() {
                Stop::Run => Stop::Drain,
                Stop::Drain => Stop::Abort,
                Stop::Abort => leave(),
            };
            let line = match stop {
                Stop::Drain => {
                    "stopping: nothing new is sent, and what is in flight may finish within 20 s; again to end at once"
                }
                Stop::Abort | Stop::Run => "ending: what is in flight is given up and reported as unknown",
            };
            curtain.aside(|| streams::note(line));
            if sender.send(stop).is_err() {
                return;
            }
        }
    });
    receiver
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
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
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
