//! Which client request ids are durable: what a transport may send. A list that grows under a shared reference, without a
//! lock in sight of the executor.

use std::sync::OnceLock;

use uuid::Uuid;

/// Enough for every test here.
const MOST: usize = 4_000;

pub(super) struct Durable(Vec<OnceLock<Uuid>>);

impl Default for Durable {
    fn default() -> Self {
        Self((0..MOST).map(|_| OnceLock::new()).collect())
    }
}

impl Durable {
    pub(super) fn add(&self, id: Uuid) {
        self.0.iter().find(|place| place.set(id).is_ok()).expect("room for one more");
    }

    pub(super) fn has(&self, id: Uuid) -> bool {
        self.0.iter().map_while(OnceLock::get).any(|known| *known == id)
    }
}
