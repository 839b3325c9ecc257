//! The items of a lane that are to be read, and how: one by one, or as a list where that costs less. Pure.

use std::collections::{HashMap, HashSet, VecDeque};

use super::held::{Held, Waiting};
use super::port::NextPage;
use crate::clock::Moment;
use crate::model::{Kind, ObjectId, Phase, Service, Snapshot};

/// How many pages a list is taken to have as long as nobody has read it.
const PAGES_GUESSED: usize = 20;

/// How often a page is asked for before the list is given up and its items are read one by one.
const TRIES: u32 = 4;

/// The next read of a lane.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it lives for one step of the loop; a box would cost an allocation per read")]
pub(super) enum Choice {
    /// One object.
    One(Held),
    /// A page of a kind's list.
    Page(Kind, Option<NextPage>),
}

/// How a kind's list is known.
#[derive(Debug)]
enum List {
    /// Never read.
    Unknown,
    /// Read before: so many pages.
    Known(usize),
    /// Being read.
    Reading(Sweep),
    /// It cannot be read.
    Unusable,
}

/// One passage through a list.
#[derive(Debug, Default)]
struct Sweep {
    /// When its first page was asked for.
    began: Option<Moment>,
    next: Option<NextPage>,
    seen: HashSet<NextPage>,
    /// Whether a page is being waited for; otherwise it is asked for when `due`.
    out: bool,
    due: Moment,
    tries: u32,
    pages: usize,
    found: HashMap<ObjectId, Snapshot>,
    /// Items that wait for its end.
    parked: Vec<Held>,
}

/// A list that was read to its end.
#[derive(Debug)]
pub(super) struct Listing {
    /// When its first page was asked for: no item that must be read later may use it.
    pub(super) began: Moment,
    pub(super) found: HashMap<ObjectId, Snapshot>,
    pub(super) parked: Vec<Held>,
}

/// Everything of a lane that is to be read.
#[derive(Debug)]
pub(super) struct Looks {
    later: Waiting,
    /// Due, by kind: a list may serve them.
    due: [VecDeque<Held>; Kind::ALL.len()],
    /// Due, and only their ids serve them.
    alone: VecDeque<Held>,
    lists: [List; Kind::ALL.len()],
    /// Items among these that may be sent afterwards.
    unsent: usize,
    /// How many all these are.
    count: usize,
}

const fn place(kind: Kind) -> usize {
    kind as usize
}

fn is_unsent(held: &Held) -> bool {
    held.work.progress.phase == Phase::Ready
}

impl Looks {
    pub(super) fn new() -> Self {
        Self {
            later: Waiting::default(),
            due: [const { VecDeque::new() }; Kind::ALL.len()],
            alone: VecDeque::new(),
            lists: [const { List::Unknown }; Kind::ALL.len()],
            unsent: 0,
            count: 0,
        }
    }

    /// What an earlier session learned of a kind's list.
    pub(super) fn know(&mut self, kind: Kind, pages: Option<usize>) {
        self.lists[place(kind)] = pages.map_or(List::Unusable, List::Known);
    }

    /// How many pages a kind's list has, if it was read.
    pub(super) const fn pages(&self, kind: Kind) -> Option<usize> {
        if let List::Known(pages) = self.lists[place(kind)] { Some(pages) } else { None }
    }

    /// Whether a kind's list cannot be read.
    pub(super) const fn is_unusable(&self, kind: Kind) -> bool {
        matches!(self.lists[place(kind)], List::Unusable)
    }

    /// An item is to be read, not before a moment.
    pub(super) fn add(&mut self, held: Held, at: Moment) {
        self.enter(&held);
        self.later.push(held, at);
    }

    /// An item is to be read now, by its id.
    pub(super) fn add_alone(&mut self, held: Held) {
        self.enter(&held);
        self.alone.push_back(held);
    }

    /// An item waits for its kind's list, which is read if it is not being read already.
    pub(super) fn park(&mut self, held: Held) {
        self.enter(&held);
        let list = &mut self.lists[place(held.work.item.kind)];
        match list {
            List::Reading(sweep) => sweep.parked.push(held),
            List::Unknown | List::Known(_) => *list = List::Reading(Sweep { parked: vec![held], ..Sweep::default() }),
            List::Unusable => self.alone.push_back(held),
        }
    }

    fn enter(&mut self, held: &Held) {
        self.count += 1;
        self.unsent += usize::from(is_unsent(held));
    }

    fn leave(&mut self, held: &Held) {
        self.count -= 1;
        self.unsent -= usize::from(is_unsent(held));
    }

    /// Items that may be sent after they were read.
    pub(super) const fn unsent(&self) -> usize {
        self.unsent
    }

    /// Items that wait to be read.
    pub(super) const fn len(&self) -> usize {
        self.count
    }

    /// When the next read is due. None: none is to be made.
    pub(super) fn due(&self, now: Moment) -> Option<Moment> {
        if !self.alone.is_empty() || self.due.iter().any(|due| !due.is_empty()) {
            return Some(now);
        }
        let pages = self.lists.iter().filter_map(|list| match list {
            List::Reading(sweep) if !sweep.out => Some(sweep.due),
            List::Reading(_) | List::Unknown | List::Known(_) | List::Unusable => None,
        });
        pages.chain(self.later.first_at()).min()
    }

    /// Takes the next read that is due.
    pub(super) fn next(&mut self, now: Moment) -> Option<Choice> {
        while let Some(held) = self.later.pop_due(now) {
            self.due[place(held.work.item.kind)].push_back(held);
        }
        for kind in Kind::ALL {
            self.list_if_cheaper(kind);
            if let List::Reading(sweep) = &mut self.lists[place(kind)]
                && !sweep.out
                && sweep.due <= now
            {
                sweep.out = true;
                sweep.began.get_or_insert(now);
                return Some(Choice::Page(kind, sweep.next.clone()));
            }
        }
        let held = self.alone.pop_front().or_else(|| self.due.iter_mut().find_map(VecDeque::pop_front))?;
        self.leave(&held);
        Some(Choice::One(held))
    }

    /// VPP tokens are followed one by one: lists are for what has one answer.
    fn list_if_cheaper(&mut self, kind: Kind) {
        let pages = match self.lists[place(kind)] {
            List::Known(pages) => pages,
            List::Unknown => PAGES_GUESSED,
            List::Reading(_) | List::Unusable => return,
        };
        let due = &mut self.due[place(kind)];
        if kind.facts().service == Service::Android && due.len() > pages {
            self.lists[place(kind)] = List::Reading(Sweep { parked: due.drain(..).collect(), ..Sweep::default() });
        }
    }

    /// A page came. At the end of the list: all of it, with the items that waited for it.
    pub(super) fn page(
        &mut self,
        kind: Kind,
        objects: Vec<(ObjectId, Snapshot)>,
        next: Option<NextPage>,
        now: Moment,
    ) -> Option<Listing> {
        let List::Reading(sweep) = &mut self.lists[place(kind)] else { return None };
        sweep.found.extend(objects);
        (sweep.out, sweep.due, sweep.tries) = (false, now, 0);
        sweep.pages += 1;
        if sweep.parked.is_empty() {
            // Nobody waits for it any more.
            self.lists[place(kind)] = List::Unknown;
            return None;
        }
        if let Some(next) = next {
            if sweep.seen.insert(next.clone()) {
                sweep.next = Some(next);
            } else {
                // Pages that name each other in a circle are no list.
                self.give_up(kind);
            }
            return None;
        }
        let pages = sweep.pages;
        let listing = Listing {
            began: sweep.began.unwrap_or(now),
            found: std::mem::take(&mut sweep.found),
            parked: std::mem::take(&mut sweep.parked),
        };
        self.lists[place(kind)] = List::Known(pages);
        for held in &listing.parked {
            self.leave(held);
        }
        Some(listing)
    }

    /// A page did not come; it is asked for again, not before `due`. `counts`: not too often. True if the list is given up.
    pub(super) fn page_failed(&mut self, kind: Kind, due: Moment, counts: bool) -> bool {
        let List::Reading(sweep) = &mut self.lists[place(kind)] else { return false };
        sweep.tries += u32::from(counts);
        (sweep.out, sweep.due) = (false, due);
        if sweep.tries < TRIES {
            return false;
        }
        self.give_up(kind);
        true
    }

    /// The list cannot be read: its items are read one by one.
    pub(super) fn give_up(&mut self, kind: Kind) {
        if let List::Reading(sweep) = std::mem::replace(&mut self.lists[place(kind)], List::Unusable) {
            self.alone.extend(sweep.parked);
        }
    }

    /// All items that `wanted` names, out of every queue.
    pub(super) fn take_if(&mut self, wanted: impl Fn(&Held) -> bool) -> Vec<Held> {
        let mut taken = self.later.take_if(&wanted);
        for queue in self.due.iter_mut().chain([&mut self.alone]) {
            let (out, kept): (Vec<Held>, Vec<Held>) = std::mem::take(queue).into_iter().partition(&wanted);
            taken.extend(out);
            *queue = kept.into();
        }
        for list in &mut self.lists {
            if let List::Reading(sweep) = list {
                taken.extend(sweep.parked.extract_if(.., |held| wanted(held)));
            }
        }
        for held in &taken {
            self.leave(held);
        }
        taken
    }
}
