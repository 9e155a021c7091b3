//! An inner provider that fails.

use std::{
    collections::BTreeMap,
    sync::{Arc, Barrier},
    thread,
};

use opentelemetry::{
    InstrumentationScope, KeyValue,
    metrics::{
        AsyncInstrumentBuilder, Counter, Gauge, Histogram, HistogramBuilder, InstrumentBuilder, InstrumentProvider,
        Meter, MeterProvider, ObservableGauge, SyncInstrument, UpDownCounter,
    },
};

use crate::{Metrics, PATIENCE};

/// Where another provider panics.
#[derive(Clone, Copy, Debug)]
enum Panics {
    Meter,
    Instrument,
    Measurement,
}

impl MeterProvider for Panics {
    fn meter_with_scope(&self, _: InstrumentationScope) -> Meter {
        assert!(!matches!(self, Self::Meter), "no meter");
        Meter::new(Arc::new(*self))
    }
}

impl<T> SyncInstrument<T> for Panics {
    fn measure(&self, _: T, _: &[KeyValue]) {
        panic!("no measurement");
    }
}

impl Panics {
    fn instrument<T>(self) -> Arc<dyn SyncInstrument<T> + Send + Sync> {
        assert!(matches!(self, Self::Measurement), "no instrument");
        Arc::new(self)
    }
}

impl InstrumentProvider for Panics {
    fn u64_counter(&self, _: InstrumentBuilder<'_, Counter<u64>>) -> Counter<u64> {
        Counter::new(self.instrument())
    }

    fn i64_up_down_counter(&self, _: InstrumentBuilder<'_, UpDownCounter<i64>>) -> UpDownCounter<i64> {
        UpDownCounter::new(self.instrument())
    }

    fn f64_gauge(&self, _: InstrumentBuilder<'_, Gauge<f64>>) -> Gauge<f64> {
        Gauge::new(self.instrument())
    }

    fn f64_histogram(&self, _: HistogramBuilder<'_, Histogram<f64>>) -> Histogram<f64> {
        Histogram::new(self.instrument())
    }

    fn u64_observable_gauge(&self, _: AsyncInstrumentBuilder<'_, ObservableGauge<u64>, u64>) -> ObservableGauge<u64> {
        self.instrument::<u64>();
        ObservableGauge::new()
    }
}

#[test]
fn an_inner_provider_that_panics_costs_its_own_measurements_alone() {
    for panics in [Panics::Meter, Panics::Instrument, Panics::Measurement] {
        let metrics = Metrics::start(|exporter| exporter);
        let meter = metrics.provider.clone().with_inner(panics).meter("");
        meter.u64_counter("counter").build().add(1, &[]);
        meter.u64_counter("counter").build().bind(&[]).add(2);
        meter.i64_up_down_counter("total").build().add(-1, &[]);
        meter.f64_gauge("gauge").build().record(0.5, &[]);
        meter.f64_histogram("histogram").build().record(1.5, &[]);
        meter.u64_observable_gauge("observed").with_callback(|observer| observer.observe(7, &[])).build();
        let expected = [("counter", 3.0), ("gauge", 0.5), ("histogram", 1.5), ("observed", 7.0), ("total", -1.0)];
        let expected = expected.map(|(name, value)| (name.to_owned(), vec![value]));
        assert_eq!(metrics.flush(), BTreeMap::from(expected), "{panics:?}");
    }
}

/// Another provider whose measurements wait for each other, two at a time.
struct Waits(Arc<Barrier>);

impl MeterProvider for Waits {
    fn meter_with_scope(&self, _: InstrumentationScope) -> Meter {
        Meter::new(Arc::new(Self(Arc::clone(&self.0))))
    }
}

impl InstrumentProvider for Waits {
    fn u64_histogram(&self, _: HistogramBuilder<'_, Histogram<u64>>) -> Histogram<u64> {
        Histogram::new(Arc::new(Self(Arc::clone(&self.0))))
    }
}

impl<T> SyncInstrument<T> for Waits {
    fn measure(&self, _: T, _: &[KeyValue]) {
        self.0.wait();
    }
}

#[test]
fn an_inner_provider_that_blocks_holds_up_its_caller_alone() {
    let metrics = Metrics::start(|exporter| exporter);
    let barrier = Arc::new(Barrier::new(2));
    let meter = metrics.provider.clone().with_inner(Waits(Arc::clone(&barrier))).meter("");
    let histogram = meter.u64_histogram("histogram").build();
    let blocked = thread::spawn(move || histogram.record(1, &[]));
    // The same series by another meter, a flush and the end: none of them waits for the one that is blocked.
    metrics.meter().u64_histogram("histogram").build().record(2, &[]);
    metrics.meter().u64_counter("counter").build().add(1, &[]);
    metrics.flush();
    barrier.wait();
    blocked.join().expect("no panic");
    assert_eq!(metrics.provider.shutdown(PATIENCE), Ok(()));
    let mut sent = metrics.values();
    sent.get_mut("histogram").expect("values").sort_by(f64::total_cmp);
    assert_eq!(sent, BTreeMap::from([("counter".to_owned(), vec![1.0]), ("histogram".to_owned(), vec![1.0, 2.0])]));
}
