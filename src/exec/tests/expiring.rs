//! More items than are held at once, all of them waiting to be read back: each gets its time, and none is forgotten.

use super::rig::{LATENCY, Rig, yes};
use crate::exec::{Goal, Sight};
use crate::model::{AfterLook, Event, Expiry, ItemNo, Look, Seen, Snapshot, Stamp, Status, What};

/// What an object shows that tells nothing.
fn shown() -> Snapshot {
    Snapshot { date: None, name: None, seen: Seen::Android { expiry: Expiry::Never, created: None }, about: None }
}

/// What an earlier session left of an item: an action at work, which is followed.
fn followed(item: ItemNo) -> Event {
    let look = Look { reading: Some(shown()), then: AfterLook::Follow };
    Event { item: Some(item), at: Stamp(0), what: What::Looked(Box::new(look)) }
}

#[tokio::test(start_paused = true)]
async fn what_finds_no_room_comes_when_the_time_of_the_others_is_over() {
    const ITEMS: u32 = 21_000;
    let mut rig = Rig::of(ITEMS);
    (rig.policy.goal, rig.policy.quota) = (Goal::Confirm, None);
    rig.past = rig.items.iter().map(|item| followed(item.no)).collect();
    rig.eyes = Box::new(|_, _, _| Sight::Shown(shown()));
    let outcome = rig.run(|_, _| (LATENCY, yes())).await;
    assert_eq!(outcome.count(Status::Unconfirmed), ITEMS as usize);
    let told = outcome.progress.iter().filter(|progress| progress.finished_at.is_some()).count();
    assert_eq!(told, ITEMS as usize, "each was given up by name");
}
