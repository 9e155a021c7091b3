//! What each kind of instrument sends of any numbers, across flushes.

use std::sync::{Arc, Mutex};

use proptest::{collection::vec, prelude::*};
use serde_json::Value;

use super::{
    super::metrics::{Instrument, Role},
    metrics::metrics,
    simulation::{Simulation, millis, seconds},
};
use crate::{account::DropReason, trace::Number};

/// A server that accepts everything, and the rounds between flushes.
fn start() -> Simulation {
    Simulation::with_server(millis(10))
}

fn values(sim: &Simulation) -> Vec<Value> {
    metrics(sim).into_iter().map(|(_, item)| item["value"].clone()).collect()
}

fn floats(sim: &Simulation) -> Vec<f64> {
    values(sim).iter().map(|value| value.as_f64().expect("a number that is finite")).collect()
}

/// Numbers that are measured between two flushes, several times.
fn rounds<T: std::fmt::Debug>(number: impl Strategy<Value = T> + Clone) -> impl Strategy<Value = Vec<Vec<T>>> {
    vec(vec(number, 0..8), 1..8)
}

fn any_float() -> impl Strategy<Value = f64> + Clone {
    let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, f64::MIN_POSITIVE, -1.0, -0.0, 0.0];
    prop_oneof![prop::sample::select(special.to_vec()), -1e6..1e6, any::<f64>()]
}

fn any_integer() -> impl Strategy<Value = i64> + Clone {
    prop_oneof![-100..100_i64, Just(i64::MAX), Just(i64::MIN), any::<i64>()]
}

/// A sum that stays at the limits of its type.
fn plus(sum: f64, number: f64) -> f64 {
    (sum + number).clamp(f64::MIN, f64::MAX)
}

/// Whether they are the same but for the last digit: `serde_json` does not read it exactly.
fn are_close(one: &[f64], other: &[f64]) -> bool {
    let is_close = |(one, other): (&f64, &f64)| (one - other).abs() <= other.abs() * 1e-14;
    one.len() == other.len() && one.iter().zip(other).all(is_close)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_counter_of_floats_sends_the_sum_of_what_a_counter_can_count(rounds in rounds(any_float())) {
        let mut sim = start();
        let cost = sim.instrument_of_floats("cost", Role::Sum);
        let (mut expected, mut invalid) = (Vec::new(), 0);
        for round in rounds {
            round.iter().for_each(|number| cost.measure(Number::F64(*number), &[]));
            let can_count = |number: &&f64| number.is_finite() && **number >= 0.0;
            invalid += round.iter().filter(|number| !can_count(number)).count() as u64;
            let sum = round.iter().filter(can_count).fold(0.0, |sum, number| plus(sum, *number));
            expected.extend(Some(sum).filter(|sum| *sum != 0.0));
            let _ = sim.flush(seconds(60));
        }
        prop_assert!(are_close(&floats(&sim), &expected), "{:?}, not {:?}", floats(&sim), expected);
        let stats = sim.stats();
        prop_assert_eq!(stats.dropped.get(&DropReason::Invalid).map_or(0, |dropped| dropped.metrics), invalid);
        prop_assert_eq!(stats.metrics_received, stats.metrics_sent + invalid);
    }

    #[test]
    fn a_counter_of_integers_stays_at_its_limit(rounds in rounds(prop_oneof![0..1000_u64, Just(u64::MAX)])) {
        let mut sim = start();
        let orders = sim.instrument("orders", Role::Sum);
        let mut expected = Vec::new();
        for round in rounds {
            round.iter().for_each(|number| orders.measure(Number::U64(*number), &[]));
            let sum = round.iter().fold(0_u64, |sum, number| sum.saturating_add(*number));
            expected.extend(Some(sum).filter(|sum| *sum > 0).map(Value::from));
            prop_assert_eq!(sim.flush(seconds(60)), Ok(()));
        }
        prop_assert_eq!(values(&sim), expected);
    }

    #[test]
    fn a_total_is_that_of_all_changes(integers in rounds(any_integer()), of_floats in rounds(any_float())) {
        let mut sim = start();
        let (depth, cost) = (sim.instrument("depth", Role::Total), sim.instrument_of_floats("level", Role::Total));
        let (mut total, mut cost_total, mut expected) = (0_i64, 0.0, Vec::new());
        for (round, floats) in integers.iter().zip(&of_floats) {
            for number in round {
                depth.measure(Number::I64(*number), &[]);
                total = total.saturating_add(*number);
            }
            for number in floats {
                cost.measure(Number::F64(*number), &[]);
                cost_total = if number.is_finite() { plus(cost_total, *number) } else { cost_total };
            }
            expected.extend(Some(total as f64).filter(|_| !round.is_empty()));
            expected.extend(Some(cost_total).filter(|_| floats.iter().any(|number| number.is_finite())));
            let _ = sim.flush(seconds(60));
        }
        prop_assert!(are_close(&floats(&sim), &expected), "{:?}, not {:?}", floats(&sim), expected);
    }

    #[test]
    fn an_observed_counter_sends_what_was_added_and_begins_anew_after_a_reset(
        readings in vec(prop_oneof![0..50_u64, any::<u64>()], 1..12),
        is_float: bool,
    ) {
        let mut sim = start();
        let number = move |reading: u64| if is_float { Number::F64(reading as f64) } else { Number::U64(reading) };
        let counted = if is_float {
            sim.instrument_of_floats("counted", Role::ObservedSum)
        } else {
            sim.instrument("counted", Role::ObservedSum)
        };
        let next = Arc::new(Mutex::new(readings.clone().into_iter()));
        counted.add_callback(Arc::new(move |instrument: &Instrument| {
            let reading = next.lock().unwrap().next();
            reading.into_iter().for_each(|reading| instrument.measure(number(reading), &[]));
        }));
        let (mut expected, mut before) = (Vec::new(), 0);
        for reading in readings {
            prop_assert_eq!(sim.flush(seconds(60)), Ok(()));
            let added = if is_float {
                let (now, before) = (reading as f64, before as f64);
                if now >= before { now - before } else { now }
            } else {
                reading.checked_sub(before).unwrap_or(reading) as f64
            };
            expected.extend(Some(added).filter(|added| *added > 0.0));
            before = reading;
        }
        prop_assert!(are_close(&floats(&sim), &expected), "{:?}, not {:?}", floats(&sim), expected);
    }

    #[test]
    fn a_histogram_sends_its_own_values_and_their_rates_stand_for_all(
        counts in vec(prop_oneof![0..100_usize, 90..110_usize, 0..3000_usize], 1..5),
    ) {
        let mut sim = start();
        let latency = sim.instrument("latency", Role::Values);
        let mut before = 0;
        for (round, count) in counts.into_iter().enumerate() {
            let first = round as u64 * 10_000;
            (0..count as u64).for_each(|number| latency.measure(Number::U64(first + number), &[]));
            prop_assert_eq!(sim.flush(seconds(60)), Ok(()));
            let sent = metrics(&sim).split_off(before);
            before += sent.len();
            prop_assert_eq!(sent.len(), count.min(100));
            let rate = |item: &Value| item["attributes"]["sentry.client_sample_rate"]["value"].as_f64();
            let stand_for: f64 = sent.iter().map(|(_, item)| 1.0 / rate(item).unwrap_or(1.0)).sum();
            prop_assert!((stand_for - count as f64).abs() < 1e-6, "{} of {}", stand_for, count);
            let mut values: Vec<_> = sent.iter().map(|(_, item)| item["value"].as_u64().unwrap()).collect();
            values.sort_unstable();
            values.dedup();
            prop_assert_eq!(values.len(), sent.len(), "each value at most once");
            prop_assert!(values.iter().all(|value| (first..first + count as u64).contains(value)));
        }
    }
}
