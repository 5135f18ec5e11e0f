//! A Prometheus histogram of durations based on atomics: the one in `prometheus_client` takes a lock for each
//! observation.

use std::{
    fmt,
    iter::once,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, TypedMetric},
};

/// Upper bounds in seconds, in ascending order. The last bucket has no bound.
pub type Buckets = &'static [f64];

/// Durations counted by bucket. Clones share the counts.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bounds: Buckets,
    /// One count for each bound, and one for values above all bounds.
    counts: Box<[AtomicU64]>,
    nanoseconds: AtomicU64,
}

impl Histogram {
    #[must_use]
    pub fn new(bounds: Buckets) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Inner {
            bounds,
            counts,
            nanoseconds: AtomicU64::new(0),
        }))
    }

    pub fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bounds = self.0.bounds.iter();
        let bucket = bounds.take_while(|bound| seconds > **bound).count();
        if let Some(count) = self.0.counts.get(bucket) {
            count.fetch_add(1, Relaxed);
        }
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.0.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let bounds = self.0.bounds.iter().copied().chain(once(f64::INFINITY));
        let counts = self.0.counts.iter().map(|count| count.load(Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_nanos(self.0.nanoseconds.load(Relaxed)).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::Histogram;

    #[test]
    fn durations_are_counted_up_to_and_including_the_bound() {
        let histogram = Histogram::new(&[0.01, 0.1]);
        for milliseconds in [1, 10, 11, 100, 101] {
            histogram.observe(Duration::from_millis(milliseconds));
        }
        let mut registry = Registry::default();
        registry.register("x_seconds", "Help", histogram);
        let mut text = String::new();
        encode(&mut text, &registry).expect("text");
        let expected = "# HELP x_seconds Help.\n# TYPE x_seconds histogram\nx_seconds_sum 0.223\nx_seconds_count 5\n\
                        x_seconds_bucket{le=\"0.01\"} 2\nx_seconds_bucket{le=\"0.1\"} 4\n\
                        x_seconds_bucket{le=\"+Inf\"} 5\n# EOF\n";
        assert_eq!(text, expected);
    }
}
