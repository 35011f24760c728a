//! Histograms of latencies in µs with 3 significant digits, merged without loss.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hdrhistogram::{
    Histogram,
    serialization::{Deserializer, Serializer, V2DeflateSerializer},
};
use serde::{Deserialize, Deserializer as SerdeDeserializer, Serialize, Serializer as SerdeSerializer, de};

use super::document::Bucket;
use crate::event::load::Latency;

const SIGNIFICANT_DIGITS: u8 = 3;
/// Of a distribution: each bucket reaches this much further than the one before.
const BUCKETS_PER_DECADE: f64 = 20.0;

/// Up to 0.2 MB of counters, by the largest value held.
#[derive(Debug, Clone, PartialEq)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies(match Histogram::new(SIGNIFICANT_DIGITS) {
            Ok(histogram) => histogram,
            Err(_) => unreachable!("3 is a valid number of digits"),
        })
    }
}

impl Latencies {
    /// Counts one, in µs.
    pub fn record(&mut self, micros: u64) {
        // It grows by itself, so that no value is refused.
        let _ = self.0.record(micros);
    }

    pub fn add(&mut self, other: &Latencies) {
        let _ = self.0.add(&other.0);
    }

    #[cfg(test)]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Forgets all values and keeps the memory.
    pub fn clear(&mut self) {
        self.0.reset();
    }

    /// In µs; `quantile` from 0 to 1.
    pub fn quantile(&self, quantile: f64) -> u64 {
        self.0.value_at_quantile(quantile)
    }

    /// In ms, all 0 without a value.
    pub fn summary(&self) -> Latency {
        if self.0.is_empty() {
            return Latency::default();
        }
        let at = |quantile| self.quantile(quantile) as f64 / 1000.0;
        Latency {
            mean: self.0.mean() / 1000.0,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: self.0.max() as f64 / 1000.0,
        }
    }

    /// Buckets that grow by a constant factor, without the empty ones at both ends.
    pub fn distribution(&self) -> Vec<Bucket> {
        let step = |micros: u64| ((micros.max(1) as f64).log10() * BUCKETS_PER_DECADE).ceil() as i64;
        let Some(first) = self.0.iter_recorded().next().map(|value| step(value.value_iterated_to())) else {
            return Vec::new();
        };
        let last = step(self.0.max()).max(first);
        let bound = |step: i64| 10_f64.powf(step as f64 / BUCKETS_PER_DECADE) / 1000.0;
        let mut buckets: Vec<Bucket> = (first..=last).map(|step| Bucket { ms: bound(step), count: 0 }).collect();
        for value in self.0.iter_recorded() {
            let at = usize::try_from(step(value.value_iterated_to()) - first).unwrap_or(0).min(buckets.len() - 1);
            buckets[at].count += value.count_at_value();
        }
        buckets
    }

    pub fn pack(&self) -> Packed {
        let mut bytes = Vec::new();
        if !self.0.is_empty() {
            // The format tells the capacity, too: made anew, it depends on the values alone.
            let mut exact = Latencies::default();
            exact.add(self);
            if V2DeflateSerializer::new().serialize(&exact.0, &mut bytes).is_err() {
                unreachable!("writing to memory does not fail");
            }
        }
        Packed(bytes)
    }
}

/// HdrHistogram's V2 deflate format, some hundred bytes to some thousand; as text it is base64. Empty: no values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Packed(Vec<u8>);

impl Packed {
    /// Fails for bytes that are no histogram.
    pub fn unpack(&self) -> Result<Latencies, String> {
        let mut latencies = Latencies::default();
        if !self.0.is_empty() {
            let packed: Histogram<u64> = Deserializer::new()
                .deserialize(&mut self.0.as_slice())
                .map_err(|error| format!("no histogram: {error}"))?;
            let _ = latencies.0.add(&packed);
        }
        Ok(latencies)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn base64(&self) -> String {
        STANDARD.encode(&self.0)
    }

    pub fn from_base64(text: &str) -> Result<Packed, String> {
        let packed = Packed(STANDARD.decode(text).map_err(|error| format!("no base64: {error}"))?);
        packed.unpack().map(|_| packed)
    }
}

impl Serialize for Packed {
    fn serialize<S: SerdeSerializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.base64())
    }
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: SerdeDeserializer<'de>>(deserializer: D) -> Result<Packed, D::Error> {
        Packed::from_base64(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::default();
        values.into_iter().for_each(|value| latencies.record(value));
        latencies
    }

    #[test]
    fn merging_equals_recording_in_one_place() {
        let (left, right) = (of((0..50_000).map(|n| n * 7)), of((0..100).map(|n| n * 1_000_003)));
        let mut merged = left.pack().unpack().unwrap();
        merged.add(&right.pack().unpack().unwrap());
        let whole = of((0..50_000).map(|n| n * 7).chain((0..100).map(|n| n * 1_000_003)));
        assert_eq!(merged, whole);
        assert_eq!(merged.pack(), whole.pack());
        assert_eq!(merged.distribution(), whole.distribution());
    }

    #[test]
    fn three_digits_are_kept() {
        let latencies = of(1..=1_000_000);
        for (quantile, expected) in [(0.5, 500_000.0), (0.99, 990_000.0), (0.999, 999_000.0)] {
            let seen = latencies.quantile(quantile) as f64;
            assert!((seen / expected - 1.0).abs() < 0.001, "{quantile}: {seen}");
        }
        assert_eq!(Latencies::default().summary(), Latency::default());
    }

    #[test]
    fn every_value_is_in_a_bucket_that_reaches_to_it() {
        let latencies = of([0, 1, 900, 950, 20_000, 20_001, 3_000_000]);
        let buckets = latencies.distribution();
        assert_eq!(buckets.iter().map(|bucket| bucket.count).sum::<u64>(), 7);
        assert!(buckets.windows(2).all(|pair| pair[0].ms < pair[1].ms));
        assert!(buckets.first().unwrap().count > 0 && buckets.last().unwrap().count == 1);
        assert!(buckets.last().unwrap().ms >= 3000.0);
        assert!(Latencies::default().distribution().is_empty());
    }

    #[test]
    fn other_text_is_refused() {
        assert!(Packed::from_base64("").unwrap().unpack().unwrap().count() == 0);
        for wrong in ["!", "AAAA", "AAAAAAAAAAAAAAAA"] {
            assert!(Packed::from_base64(wrong).is_err(), "{wrong}");
        }
    }
}
