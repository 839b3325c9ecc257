//! The items of a lane that are to be read, and how: one by one, or as a list where that costs less. Pure.

use std::collections::{HashMap, HashSet, VecDeque};

use super::held::{Held, Waiting};
use super::port::NextPage;
use super::survey::Listed;
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

/// What a page shows.
pub(super) type Objects = HashMap<ObjectId, Snapshot>;

/// One passage through a list.
#[derive(Debug, Default)]
struct Sweep {
    /// Whether it is a survey's, which wants all of it; the others serve what is parked.
    surveys: bool,
    /// When its first page was asked for.
    began: Option<Moment>,
    next: Option<NextPage>,
    /// A page that was named a while ago: pages that name each other in a circle come by it again.
    mark: Option<NextPage>,
    /// Whether a page is being waited for; otherwise it is asked for when `due`.
    out: bool,
    due: Moment,
    tries: u32,
    pages: usize,
    /// What was on the last page, if it is a survey's.
    last: HashSet<ObjectId>,
    parked: Vec<Parked>,
}

/// An item that waits for the end of a list, with what has been shown of it so far.
type Parked = (Held, Option<Snapshot>);

/// A list that was read to its end.
#[derive(Debug)]
pub(super) struct Listing {
    /// When its first page was asked for: no item that must be read later may use it.
    pub(super) began: Moment,
    pub(super) parked: Vec<Parked>,
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
    /// How many objects a survey's list has shown, by kind.
    objects: [u64; Kind::ALL.len()],
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
            objects: [0; Kind::ALL.len()],
            unsent: 0,
            count: 0,
        }
    }

    /// What an earlier session learned of a kind's list.
    pub(super) fn know(&mut self, kind: Kind, pages: Option<usize>) {
        self.lists[place(kind)] = pages.map_or(List::Unusable, List::Known);
    }

    /// How a kind's list turned out for a survey.
    pub(super) const fn listed(&self, kind: Kind) -> Option<Listed> {
        match self.lists[place(kind)] {
            List::Known(pages) => Some(Listed::Read { pages, objects: self.objects[place(kind)] }),
            List::Unusable => Some(Listed::Unreadable),
            List::Unknown | List::Reading(_) => None,
        }
    }

    /// Begins a kind's list for a survey, unless it was read before.
    pub(super) fn survey(&mut self, kind: Kind) {
        let list = &mut self.lists[place(kind)];
        if matches!(list, List::Unknown) {
            *list = List::Reading(Sweep { surveys: true, ..Sweep::default() });
        }
    }

    /// Whether a survey is reading a kind's list.
    pub(super) const fn is_surveying(&self, kind: Kind) -> bool {
        matches!(&self.lists[place(kind)], List::Reading(sweep) if sweep.surveys)
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
            let parked = due.drain(..).map(|held| (held, None)).collect();
            self.lists[place(kind)] = List::Reading(Sweep { parked, ..Sweep::default() });
        }
    }

    /// A page came. At the end of the list: the items that waited for it, with what it has shown of them. Nothing else
    /// of it is kept.
    pub(super) fn page(&mut self, kind: Kind, objects: &Objects, next: Option<NextPage>, now: Moment) -> Option<Listing> {
        let List::Reading(sweep) = &mut self.lists[place(kind)] else { return None };
        (sweep.out, sweep.due, sweep.tries) = (false, now, 0);
        sweep.pages += 1;
        if sweep.surveys {
            let again = objects.keys().filter(|id| sweep.last.contains(id)).count();
            self.objects[place(kind)] += (objects.len() - again) as u64;
            sweep.last = objects.keys().copied().collect();
        } else if sweep.parked.is_empty() {
            // Nobody waits for it any more.
            self.lists[place(kind)] = List::Unknown;
            return None;
        }
        for (held, shown) in &mut sweep.parked {
            if let Some(object) = objects.get(&held.work.item.id) {
                *shown = Some(object.clone());
            }
        }
        if next.is_some() {
            if next == sweep.mark {
                // Pages that name each other in a circle are no list.
                self.give_up(kind);
                return None;
            }
            if sweep.pages.is_power_of_two() {
                sweep.mark.clone_from(&next);
            }
            sweep.next = next;
            return None;
        }
        let listing = Listing { began: sweep.began.unwrap_or(now), parked: std::mem::take(&mut sweep.parked) };
        self.lists[place(kind)] = List::Known(sweep.pages);
        for (held, _) in &listing.parked {
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
            self.alone.extend(sweep.parked.into_iter().map(|(held, _)| held));
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
                taken.extend(sweep.parked.extract_if(.., |(held, _)| wanted(held)).map(|(held, _)| held));
            }
        }
        for held in &taken {
            self.leave(held);
        }
        taken
    }
}
