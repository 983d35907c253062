//! [`Join`]: what a join keeps, and when it has one arrival of each link (`docs/parity.md` P52-P54, repaired).
//!
//! Each link has a queue of its own. A *round* takes the oldest arrival of each queue and merges them in link order, a
//! later link's entries over an earlier one's, whatever the order of their arrival. A second arrival on a link waits in
//! its queue for the next round. So a join works in loops, and two arrivals on one link never complete a round.

use std::collections::VecDeque;

use pushflow_model::Data;

/// What one join keeps of its arrivals.
#[derive(Debug)]
pub(super) struct Join {
    /// For each link, in link order, its arrivals that no round has taken.
    links: Vec<VecDeque<Data>>,
    /// How many of the queues are empty.
    missing: usize,
    kept: usize,
}

impl Join {
    pub(super) fn new(links: usize) -> Self {
        Join { links: (0..links).map(|_| VecDeque::new()).collect(), missing: links, kept: 0 }
    }

    /// How many arrivals wait for a round.
    pub(super) fn kept(&self) -> usize {
        self.kept
    }

    /// How many arrivals of each link wait, in link order.
    pub(super) fn waiting(&self) -> impl Iterator<Item = usize> {
        self.links.iter().map(VecDeque::len)
    }

    /// Keeps one arrival. Returns the merged data of the round that it completes, if it does; it can't complete two.
    pub(super) fn arrive(&mut self, link: u32, data: Data) -> Option<Data> {
        let queue = &mut self.links[link as usize];
        self.missing -= usize::from(queue.is_empty());
        self.kept += 1;
        queue.push_back(data);
        if self.missing > 0 {
            return None;
        }
        self.kept -= self.links.len();
        let mut arrivals = self.links.iter_mut().map(|queue| {
            let arrival = queue.pop_front().expect("no queue is empty, since none is missing");
            self.missing += usize::from(queue.is_empty());
            arrival
        });
        let first = arrivals.next()?;
        Some(arrivals.fold(first, |merged, arrival| merged.merged(&arrival)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(name: &str, value: i64) -> Data {
        Data::new().with(name, value).with("last", name)
    }

    fn value(data: &Data, name: &str) -> String {
        format!("{:?}", data.value(name).unwrap())
    }

    #[test]
    fn a_round_is_merged_in_link_order_whatever_came_first() {
        for order in [[0, 1], [1, 0]] {
            let mut join = Join::new(2);
            let mut rounds = order.map(|link| join.arrive(link, arrival(["a", "b"][link as usize], 1))).into_iter();
            assert!(rounds.next().unwrap().is_none());
            let merged = rounds.next().unwrap().expect("both have arrived");
            assert_eq!(value(&merged, "last"), r#"Some(Str("b"))"#);
            assert_eq!((merged.len(), join.kept()), (3, 0));
        }
    }

    #[test]
    fn what_arrives_twice_on_one_link_waits_for_the_next_round() {
        let mut join = Join::new(2);
        assert!(join.arrive(0, arrival("a", 1)).is_none());
        assert!(join.arrive(0, arrival("a", 2)).is_none());
        assert_eq!(join.waiting().collect::<Vec<_>>(), [2, 0]);
        let first = join.arrive(1, arrival("b", 1)).expect("a round is complete");
        assert_eq!(value(&first, "a"), "Some(Int(1))");
        let second = join.arrive(1, arrival("b", 2)).expect("the next one is, too");
        assert_eq!((value(&second, "a"), value(&second, "b")), ("Some(Int(2))".into(), "Some(Int(2))".into()));
        assert_eq!(join.kept(), 0);
    }
}
