//! Which address the client uses next, and which ones it avoids for a while. No I/O: the connections report
//! what they see.
//!
//! One route is shared by all connections of a client, so an address that accepts connections and does not serve
//! costs one wait, not one for each lane, stream and call.

use std::time::{Duration, Instant};

use mosaico_types::Outage;

/// The order of several addresses.
#[derive(Debug)]
pub(crate) struct Route {
    outages: Vec<Outage>,
    /// The address that served last.
    current: usize,
}

impl Route {
    /// A route over `count` addresses; the first one is the current one.
    pub(crate) fn new(count: usize) -> Self {
        Self { outages: vec![Outage::default(); count.max(1)], current: 0 }
    }

    /// Number of addresses.
    pub(crate) fn len(&self) -> usize {
        self.outages.len()
    }

    /// Whether another address is to be preferred to `at` now.
    pub(crate) fn is_avoided(&self, at: usize, now: Instant) -> bool {
        self.outages[at].is_avoided(now) && self.outages.iter().any(|outage| !outage.is_avoided(now))
    }

    /// All addresses in the order in which a new connection tries them: those that are not known to fail from the
    /// current one on, those whose pause is over, and the avoided ones by the end of their pause. An avoided
    /// address is better than none.
    pub(crate) fn order(&self, now: Instant) -> Vec<usize> {
        let count = self.len();
        let mut order: Vec<usize> = (self.current..self.current + count).map(|at| at % count).collect();
        order.sort_by_key(|&at| {
            let outage = &self.outages[at];
            (outage.is_avoided(now), outage.avoided_until())
        });
        order
    }

    /// Reserves an attempt that takes `limit` at most; `false`: another caller probes the address, or its pause
    /// is not over.
    pub(crate) fn claim(&mut self, at: usize, now: Instant, limit: Duration) -> bool {
        self.outages[at].claim(now, limit)
    }

    /// The address does not serve.
    pub(crate) fn failed(&mut self, at: usize, now: Instant) {
        self.outages[at].failed(now);
    }

    /// The address serves; it is the current one now.
    pub(crate) fn served(&mut self, at: usize) {
        self.outages[at].ended();
        self.current = at;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    #[derive(Debug, Clone)]
    enum Step {
        /// A new connection.
        Connect,
        /// An open connection to an address fails.
        Break(usize),
        Wait(u64),
        /// An address begins or stops to serve.
        Turn(usize),
    }

    fn step(count: usize) -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Connect),
            1 => (0..count).prop_map(Step::Break),
            2 => (0_u64..90_000).prop_map(Step::Wait),
            2 => (0..count).prop_map(Step::Turn),
        ]
    }

    /// Connects as the client does; returns the address, and those that were waited for in vain.
    fn connect(route: &mut Route, now: Instant, serves: &[bool]) -> (Option<usize>, Vec<usize>) {
        let mut vain = Vec::new();
        let mut queue: VecDeque<_> = route.order(now).into_iter().map(|at| (at, false)).collect();
        while let Some((at, forced)) = queue.pop_front() {
            if !route.claim(at, now, LIMIT) && !forced {
                queue.push_back((at, true));
                continue;
            }
            if serves[at] {
                route.served(at);
                return (Some(at), vain);
            }
            route.failed(at, now);
            vain.push(at);
        }
        (None, vain)
    }

    proptest! {
        /// A client reaches an address whenever one serves, and never waits for one that failed less than a
        /// second ago while another one serves.
        #[test]
        fn what_failed_is_not_waited_for(
            (count, steps) in (1_usize..5).prop_flat_map(|count| {
                (Just(count), proptest::collection::vec(step(count), 0..60))
            })
        ) {
            let mut route = Route::new(count);
            let mut serves = vec![true; count];
            let mut failed: Vec<Option<Instant>> = vec![None; count];
            let mut now = Instant::now();
            for step in steps {
                match step {
                    Step::Wait(milliseconds) => now += Duration::from_millis(milliseconds),
                    Step::Turn(at) => serves[at] = !serves[at],
                    Step::Break(at) => {
                        route.failed(at, now);
                        failed[at] = Some(now);
                    }
                    Step::Connect => {
                        let order = route.order(now);
                        let mut sorted = order.clone();
                        sorted.sort_unstable();
                        prop_assert_eq!(sorted, (0..count).collect::<Vec<_>>());
                        let healthy = (0..count).any(|at| serves[at] && !route.outages[at].is_avoided(now));
                        let (reached, vain) = connect(&mut route, now, &serves);
                        prop_assert_eq!(reached.is_some(), serves.contains(&true));
                        for at in vain {
                            let recently = |at: Instant| now - at < Duration::from_secs(1);
                            prop_assert!(!(healthy && failed[at].is_some_and(recently)), "waited for {}", at);
                            failed[at] = Some(now);
                        }
                        if let Some(at) = reached {
                            prop_assert_eq!(route.current, at);
                            failed[at] = None;
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_client_stays_where_it_is_served() {
        let mut route = Route::new(3);
        let now = Instant::now();
        route.failed(0, now);
        assert_eq!(route.order(now), [1, 2, 0]);
        route.served(1);
        let later = now + Duration::from_secs(600);
        assert_eq!(
            route.order(later),
            [1, 2, 0],
            "an address without failures is preferred to one with some"
        );
        assert!(!route.is_avoided(0, later));
        route.failed(1, later);
        route.failed(2, later);
        assert_eq!(route.order(later), [0, 1, 2]);
        assert!(route.is_avoided(1, later));
        route.failed(0, later);
        assert!(!route.is_avoided(1, later), "no other one is better");
    }
}
