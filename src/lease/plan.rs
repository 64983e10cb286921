//! Pure decisions: who is dead, and which leases to try for.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use crate::{
    model::NodeId,
    store::{LeaseRow, NodeRow},
};

/// A node whose beat stood still for this long is dead.
pub const DEAD_AFTER: Duration = Duration::from_secs(15);
/// A node that could not beat for this long stops working by itself: two thirds of [`DEAD_AFTER`].
pub const SELF_FENCE_AFTER: Duration = Duration::from_secs(10);

/// What this process has seen of the others' beats.
#[derive(Debug, Default)]
pub(super) struct Observed {
    seen: BTreeMap<String, (i64, Instant)>,
}

impl Observed {
    /// Takes note of the beats just read. Nodes that left are forgotten.
    pub(super) fn note(&mut self, nodes: &[NodeRow], now: Instant) {
        let mut next = BTreeMap::new();
        for node in nodes {
            let key = node.id.as_str();
            let entry = match self.seen.get(key) {
                Some(&(beat, since)) if beat == node.beat => (beat, since),
                Some(_) | None => (node.beat, now),
            };
            next.insert(key.to_owned(), entry);
        }
        self.seen = next;
    }

    /// Registered, but its beat has stood still for [`DEAD_AFTER`].
    pub(super) fn is_dead(&self, node: &NodeId, now: Instant) -> bool {
        self.seen
            .get(node.as_str())
            .is_some_and(|&(_, since)| now.duration_since(since) >= DEAD_AFTER)
    }

    fn is_registered(&self, node: &NodeId) -> bool {
        self.seen.contains_key(node.as_str())
    }
}

/// The leases worth trying for: held by nobody, by a node that is not registered, or by a dead one.
pub(super) fn free<'a>(
    leases: &'a [LeaseRow],
    observed: &Observed,
    me: &NodeId,
    now: Instant,
) -> Vec<&'a LeaseRow> {
    leases
        .iter()
        .filter(|lease| match &lease.holder {
            None => true,
            Some(holder) if holder == me => false,
            Some(holder) => !observed.is_registered(holder) || observed.is_dead(holder, now),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AccountId, Timestamp};

    fn node(id: &str, beat: i64) -> NodeRow {
        NodeRow {
            id: NodeId::from_stored(id.into()),
            name: id.into(),
            home: id.into(),
            beat,
            started_at: Timestamp::from_millis(0),
        }
    }

    fn lease(account: i64, holder: Option<&str>) -> LeaseRow {
        LeaseRow {
            account: AccountId::new(account),
            holder: holder.map(|id| NodeId::from_stored(id.into())),
            epoch: 1,
        }
    }

    fn accounts(leases: &[&LeaseRow]) -> Vec<i64> {
        leases.iter().map(|lease| lease.account.get()).collect()
    }

    #[test]
    fn only_leases_of_nobody_of_strangers_and_of_the_dead_are_free() {
        let me = NodeId::from_stored("me".into());
        let start = Instant::now();
        let mut observed = Observed::default();
        observed.note(&[node("me", 1), node("alive", 1), node("frozen", 1)], start);
        let later = start + DEAD_AFTER;
        observed.note(&[node("me", 2), node("alive", 2), node("frozen", 1)], later);
        let leases = [
            lease(1, None),
            lease(2, Some("me")),
            lease(3, Some("alive")),
            lease(4, Some("frozen")),
            lease(5, Some("gone")),
        ];
        assert_eq!(accounts(&free(&leases, &observed, &me, later)), [1, 4, 5]);
        assert_eq!(
            accounts(&free(
                &leases,
                &observed,
                &me,
                start + DEAD_AFTER - Duration::from_millis(1)
            )),
            [1, 5],
            "a moment earlier the frozen node still counts as alive"
        );
    }

    #[test]
    fn a_node_that_beats_again_is_alive_again() {
        let frozen = NodeId::from_stored("frozen".into());
        let start = Instant::now();
        let mut observed = Observed::default();
        observed.note(&[node("frozen", 1)], start);
        let later = start + DEAD_AFTER;
        assert!(observed.is_dead(&frozen, later));
        observed.note(&[node("frozen", 2)], later);
        assert!(!observed.is_dead(&frozen, later));
    }
}
