//! The rings: what is kept of each subject, and the bounds of it (I10).

use std::{
    collections::{BTreeMap, VecDeque},
    mem::size_of,
};

use super::{Bounds, Entry, Subject};

/// What an entry costs beside its text, the allocator's part included.
pub(super) const ENTRY_COST: usize = size_of::<Entry>() + 16;
/// What a ring costs beside its entries: its places in the two maps.
pub(super) const RING_COST: usize = 256;
/// Entries for which room is made at a time.
const MORE: usize = 8;
/// Removed subjects that are remembered.
const GONE: usize = 1000;

#[derive(Default)]
struct Ring {
    entries: VecDeque<Entry>,
    octets: usize,
    /// When it was last written to, as a key of `by_use`.
    used: u64,
}

/// All rings.
pub(super) struct Rings {
    bounds: Bounds,
    rings: BTreeMap<Subject, Ring>,
    /// Which ring was written to at which number: the first is idle longest.
    by_use: BTreeMap<u64, Subject>,
    octets: usize,
    /// Entries so far.
    number: u64,
    /// Connections so far.
    connections: u64,
    /// Subjects that were removed, oldest first.
    gone: VecDeque<Subject>,
}

fn cost(entry: &Entry) -> usize {
    ENTRY_COST + entry.text.len()
}

impl Rings {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            rings: BTreeMap::new(),
            by_use: BTreeMap::new(),
            octets: 0,
            number: 0,
            connections: 0,
            gone: VecDeque::new(),
        }
    }

    pub(super) fn number_connection(&mut self) -> u64 {
        self.connections = self.connections.wrapping_add(1);
        self.connections
    }

    /// Adds an entry, numbered here; old ones make room. An entry larger than all bounds is none.
    pub(super) fn push(&mut self, subject: Subject, mut entry: Entry) {
        if self.gone.contains(&subject) {
            return;
        }
        self.number = self.number.wrapping_add(1);
        entry.number = self.number;
        let cost_here = cost(&entry);
        let ring = self.rings.entry(subject).or_insert_with(|| {
            self.octets += RING_COST;
            Ring::default()
        });
        self.by_use.remove(&ring.used);
        ring.used = self.number;
        self.by_use.insert(self.number, subject);
        if ring.entries.len() == ring.entries.capacity() {
            // There is a ring for each account: twice the room would be too much.
            ring.entries.reserve_exact(MORE);
        }
        ring.entries.push_back(entry);
        ring.octets += cost_here;
        self.octets += cost_here;
        while ring.octets > self.bounds.ring_octets || ring.entries.len() > self.bounds.ring_entries
        {
            let Some(old) = ring.entries.pop_front() else {
                break;
            };
            let freed = cost(&old);
            ring.octets -= freed;
            self.octets -= freed;
        }
        while self.octets > self.bounds.octets {
            let Some((_, idle)) = self.by_use.first_key_value() else {
                break;
            };
            let idle = *idle;
            self.drop_ring(idle);
        }
    }

    fn drop_ring(&mut self, subject: Subject) {
        if let Some(ring) = self.rings.remove(&subject) {
            self.by_use.remove(&ring.used);
            self.octets -= RING_COST + ring.octets;
        }
    }

    pub(super) fn read(&self, subject: Subject) -> Vec<Entry> {
        self.rings
            .get(&subject)
            .map(|ring| ring.entries.iter().cloned().collect())
            .unwrap_or_default()
    }

    pub(super) fn forget(&mut self, subject: Subject) {
        self.drop_ring(subject);
        if !self.gone.contains(&subject) {
            if self.gone.len() >= GONE {
                self.gone.pop_front();
            }
            self.gone.push_back(subject);
        }
    }

    #[cfg(test)]
    pub(super) fn octets(&self) -> (usize, usize) {
        let counted = self
            .rings
            .values()
            .map(|ring| RING_COST + ring.entries.iter().map(cost).sum::<usize>())
            .sum();
        (self.octets, counted)
    }
}
