//! Durations of operations, by operation and outcome.

use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

/// Upper bounds of durations in seconds: from a sync of a fast disk to a store that hardly responds.
const SECONDS: [f64; 12] = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];

/// Histograms of durations, one per label set.
pub type Times<L> = Family<L, Histogram, fn() -> Histogram>;

/// A histogram of durations.
pub fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

/// Histograms of durations.
pub fn times<L: Clone + std::hash::Hash + Eq>() -> Times<L> {
    Family::new_with_constructor(seconds)
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
/// Labels of a finished operation.
pub struct Operation {
    operation: &'static str,
    result: &'static str,
}

/// Reads of the chunk cache, in blocks.
#[derive(Debug, Clone, Default)]
pub struct CacheReads {
    pub hits: Counter,
    pub misses: Counter,
}

/// Measures operations of one kind.
#[derive(Debug, Clone)]
pub struct Timer(pub Times<Operation>);

impl Default for Timer {
    fn default() -> Self {
        Self(times())
    }
}

impl Timer {
    /// Begins an operation.
    pub fn begin(&self, operation: &'static str) -> Timing {
        Timing { times: self.0.clone(), operation, result: "cancelled", begun: Instant::now() }
    }

    /// Measures an operation; `result` returns the label of its outcome.
    pub async fn time<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = T>,
        result: impl FnOnce(&T) -> &'static str,
    ) -> T {
        let timing = self.begin(operation);
        let outcome = work.await;
        timing.end(result(&outcome));
        outcome
    }
}

/// An operation in progress; measured when this is dropped.
#[derive(Debug)]
pub struct Timing {
    times: Times<Operation>,
    operation: &'static str,
    /// The label of the outcome; until it is set, the operation counts as cancelled.
    result: &'static str,
    begun: Instant,
}

impl Timing {
    /// Ends the operation.
    pub fn end(mut self, result: &'static str) {
        self.result = result;
    }
}

impl Drop for Timing {
    fn drop(&mut self) {
        let labels = Operation { operation: self.operation, result: self.result };
        self.times.get_or_create(&labels).observe(self.begun.elapsed().as_secs_f64());
    }
}
