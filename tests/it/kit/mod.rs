//! What the tests share: a home of their own, the real binary in a scrubbed environment, what it left behind,
//! the simulator, and a bare server whose every byte a test decides.

mod graph;
mod home;
mod left;
mod process;
mod proxy;
mod stub;
mod tls;

use uuid::Uuid;

pub(crate) use graph::Graph;
pub(crate) use home::Home;
pub(crate) use left::{Left, Row};
pub(crate) use process::Process;
pub(crate) use proxy::Proxy;
pub(crate) use stub::{Reply, Seen, Stub, action, answer, jwt, object};
pub(crate) use tls::{Ca, Front, Welcome};

/// The tenant of tests that need one.
pub(crate) const TENANT: Uuid = Uuid::from_u128(0x7e);

/// A second one.
pub(crate) const OTHER: Uuid = Uuid::from_u128(0x07);

/// The app that signs in.
pub(crate) const APP: Uuid = Uuid::from_u128(0xa99);

/// The id of the nth object of a list.
pub(crate) const fn id(n: u128) -> Uuid {
    Uuid::from_u128(0x9dfb_369b_ab13_4fae_a276_0000_0000_0000 + n)
}

/// The rows of a list.
pub(crate) fn rows(numbers: impl IntoIterator<Item = u128>, row: impl FnMut(u128) -> String) -> String {
    numbers.into_iter().map(row).collect()
}

/// A CSV list of so many device-owner profiles.
pub(crate) fn devices(count: u128) -> String {
    list("androidDeviceOwnerEnrollmentProfile", count)
}

/// A CSV list of so many Apple tokens.
pub(crate) fn tokens(count: u128) -> String {
    list("vppToken", count)
}

fn list(kind: &str, count: u128) -> String {
    format!("kind,id\n{}", rows(1..=count, |n| format!("{kind},{}\n", id(n))))
}

/// Tries all cases side by side: most of a run's time is waiting.
pub(crate) fn all_at_once<T: Send>(cases: impl IntoIterator<Item = T>, test: impl Fn(T) + Sync) {
    std::thread::scope(|scope| {
        for case in cases {
            scope.spawn(|| test(case));
        }
    });
}
