//! The objects the service holds: some forty bytes of state each, found by tenant, collection and id.
//! All else about an object follows from the seed.

use std::collections::HashMap;
use std::time::Duration;

use uuid::Uuid;

use super::behaviour::Shares;
use super::dice::{Dice, Topic};
use super::options::Collection;
use super::vpp::Action;

/// How an object stands, revocations aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Live,
    Expired,
    /// Known to the client's list, unknown here.
    Unknown,
    /// Readable, not writable.
    Forbidden,
}

/// A revocation that has taken effect, in milliseconds since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Revoked {
    pub(super) at_ms: u32,
    pub(super) seen_ms: u32,
}

/// One object.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) id: Uuid,
    pub(super) revoked: Option<Revoked>,
    /// When its token was last re-issued, in milliseconds since the start.
    pub(super) issued_ms: u32,
    /// How often a revocation took effect.
    pub(super) effects: u16,
    /// Requests to revoke it that reached the service.
    pub(super) writes: u16,
    /// Reads of it by id that reached the service.
    pub(super) reads: u16,
    /// How often its token was re-issued.
    pub(super) issues: u8,
    pub(super) standing: Standing,
}

/// Whole milliseconds; 49 days are enough for a simulator.
pub(super) fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// All objects of one tenant and collection, in the order in which lists show them.
#[derive(Debug, Default)]
struct Shelf {
    records: Vec<Record>,
    index: HashMap<Uuid, u32>,
}

/// Where an object lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    row: usize,
    slot: u32,
}

/// All objects.
#[derive(Debug, Default)]
pub(super) struct Store {
    shelves: Vec<Shelf>,
    actions: HashMap<Place, Vec<Action>>,
}

fn shelf_of(tenant: u16, collection: Collection) -> usize {
    usize::from(tenant) * Collection::ALL.len() + collection as usize
}

impl Store {
    /// Adds an object; one that is already there stays as it is.
    pub(super) fn add(&mut self, tenant: u16, collection: Collection, id: Uuid, standing: Standing) {
        let at = shelf_of(tenant, collection);
        if self.shelves.len() <= at {
            self.shelves.resize_with(at + 1, Shelf::default);
        }
        let Shelf { records, index } = &mut self.shelves[at];
        let Ok(slot) = u32::try_from(records.len()) else {
            return;
        };
        index.entry(id).or_insert_with(|| {
            records.push(Record { id, revoked: None, issued_ms: 0, effects: 0, writes: 0, reads: 0, issues: 0, standing });
            slot
        });
    }

    /// Where an object lies, also one that stands as unknown.
    pub(super) fn place(&self, tenant: u16, collection: Collection, id: Uuid) -> Option<Place> {
        let row = shelf_of(tenant, collection);
        let slot = *self.shelves.get(row)?.index.get(&id)?;
        Some(Place { row, slot })
    }

    /// The object at a place, unless it stands as unknown.
    pub(super) fn known(&self, place: Place) -> Option<&Record> {
        self.record(place).filter(|record| record.standing != Standing::Unknown)
    }

    fn record(&self, place: Place) -> Option<&Record> {
        self.shelves.get(place.row)?.records.get(usize::try_from(place.slot).ok()?)
    }

    /// The object at a place, to change it.
    pub(super) fn record_mut(&mut self, place: Place) -> Option<&mut Record> {
        self.shelves.get_mut(place.row)?.records.get_mut(usize::try_from(place.slot).ok()?)
    }

    /// The licence revocations of a token, oldest first.
    pub(super) fn actions(&self, place: Place) -> &[Action] {
        self.actions.get(&place).map_or(&[], Vec::as_slice)
    }

    /// The same, to change them.
    pub(super) fn actions_mut(&mut self, place: Place) -> &mut Vec<Action> {
        self.actions.entry(place).or_default()
    }

    /// The known objects of a collection with their position, from a position on.
    pub(super) fn from(
        &self,
        tenant: u16,
        collection: Collection,
        start: usize,
    ) -> impl Iterator<Item = (usize, Place, &Record)> {
        let row = shelf_of(tenant, collection);
        let records = self.shelves.get(row).map_or(&[][..], |shelf| &shelf.records);
        records
            .iter()
            .enumerate()
            .skip(start)
            .filter(|(_, record)| record.standing != Standing::Unknown)
            .filter_map(move |(at, record)| Some((at, Place { row, slot: u32::try_from(at).ok()? }, record)))
    }

    /// The sum of the effects on all objects of this collection and id, in whatever tenant.
    pub(super) fn effects(&self, collection: Collection, id: Uuid) -> u32 {
        let stride = Collection::ALL.len();
        self.shelves
            .iter()
            .skip(collection as usize)
            .step_by(stride)
            .filter_map(|shelf| {
                let slot = usize::try_from(*shelf.index.get(&id)?).ok()?;
                shelf.records.get(slot).map(|record| u32::from(record.effects))
            })
            .sum()
    }
}

/// How an object stands at the start.
pub(super) fn standing(seed: u64, id: Uuid, shares: &Shares) -> Standing {
    let throw = Dice::new(seed, Topic::Standing).about(id).unit();
    if throw < shares.expired {
        Standing::Expired
    } else if throw < shares.expired + shares.unknown {
        Standing::Unknown
    } else if throw < shares.expired + shares.unknown + shares.forbidden {
        Standing::Forbidden
    } else {
        Standing::Live
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_takes_less_than_half_a_hundred_bytes() {
        assert!(size_of::<Record>() <= 48, "{}", size_of::<Record>());
    }

    #[test]
    fn the_same_id_in_two_tenants_is_two_objects() {
        let (mut store, id) = (Store::default(), Uuid::from_u128(1));
        for tenant in [0, 1, 1] {
            store.add(tenant, Collection::VppTokens, id, Standing::Live);
        }
        let place = store.place(1, Collection::VppTokens, id).unwrap();
        store.record_mut(place).unwrap().effects = 2;
        assert_ne!(store.place(0, Collection::VppTokens, id).unwrap(), place);
        assert_eq!(store.place(0, Collection::AndroidForWork, id), None);
        assert_eq!(store.from(1, Collection::VppTokens, 0).count(), 1);
        assert_eq!(store.effects(Collection::VppTokens, id), 2);
    }

    #[test]
    fn the_shares_are_kept() {
        let shares = Shares { expired: 0.1, unknown: 0.1, ..Shares::default() };
        let count = |wanted| (0..5_000).filter(|n| standing(3, Uuid::from_u128(*n), &shares) == wanted).count();
        assert!((400..600).contains(&count(Standing::Expired)));
        assert!((400..600).contains(&count(Standing::Unknown)));
        assert_eq!(count(Standing::Forbidden), 0);
    }
}
