//! A meter: makes instruments that measure for Sentry, and perhaps for another meter provider too.

use std::{marker::PhantomData, sync::Arc};

use opentelemetry::{
    InstrumentationScope, KeyValue,
    metrics::{
        AsyncInstrument, AsyncInstrumentBuilder, BoundSyncInstrument, Callback, Counter, Gauge, Histogram,
        HistogramBuilder, InstrumentBuilder, InstrumentProvider, Meter, ObservableCounter, ObservableGauge,
        ObservableUpDownCounter, SyncInstrument, UpDownCounter,
    },
    otel_warn,
};
use opentelemetry_sentry_protocol::__shared::{contain, own_thread};

use crate::{
    engine::{Instrument, MetricStore, NumberType, Observe, Role, Sink, Wanted},
    trace::Number,
};

/// Makes instruments.
pub(super) struct SentryMeter {
    /// `None` without a DSN.
    pub(super) store: Option<Arc<MetricStore>>,
    pub(super) scope: InstrumentationScope,
    /// The meter of another provider that gets every measurement too.
    pub(super) inner: Option<Meter>,
}

/// A number that instruments take.
pub(super) trait Measurable: Copy + Send + Sync + 'static {
    const TYPE: NumberType;

    fn number(self) -> Number;
}

impl Measurable for u64 {
    const TYPE: NumberType = NumberType::U64;

    fn number(self) -> Number {
        Number::U64(self)
    }
}

impl Measurable for i64 {
    const TYPE: NumberType = NumberType::I64;

    fn number(self) -> Number {
        Number::I64(self)
    }
}

impl Measurable for f64 {
    const TYPE: NumberType = NumberType::F64;

    fn number(self) -> Number {
        Number::F64(self)
    }
}

/// Hands a measurement to another provider's instrument.
type Forward<T> = Arc<dyn Fn(T, &[KeyValue]) + Send + Sync>;

/// An instrument that is called where something happens.
#[derive(Clone)]
struct Synchronous<T> {
    destination: Option<Sink>,
    forward: Option<Forward<T>>,
}

impl<T: Measurable> SyncInstrument<T> for Synchronous<T> {
    #[inline]
    fn measure(&self, value: T, attributes: &[KeyValue]) {
        if let Some(destination) = &self.destination {
            // What the exporter's HTTP client measures would have to be sent as well, and so on without end.
            match destination {
                Sink::Instrument(instrument) if !own_thread::is_marked() => {
                    instrument.measure(value.number(), attributes);
                }
                Sink::Refused(refused) if !own_thread::is_marked() => refused.measure(attributes),
                _ => {}
            }
        }
        if let Some(forward) = &self.forward {
            contained(|| forward(value, attributes));
        }
    }

    fn bind(&self, attributes: &[KeyValue]) -> Box<dyn BoundSyncInstrument<T> + Send + Sync> {
        Box::new(Bound { instrument: self.clone(), attributes: attributes.into() })
    }
}

/// An instrument with its attributes.
struct Bound<T> {
    instrument: Synchronous<T>,
    attributes: Box<[KeyValue]>,
}

impl<T: Measurable> BoundSyncInstrument<T> for Bound<T> {
    fn measure(&self, value: T) {
        self.instrument.measure(value, &self.attributes);
    }
}

/// Calls another provider. A panic in it costs its own measurement, and neither ours nor the caller.
pub(super) fn contained<T>(call: impl FnOnce() -> T) -> Option<T> {
    let value = contain(call);
    if value.is_none() {
        otel_warn!(name: "SentryMeter.InnerProviderPanicked");
    }
    value
}

/// Takes what a callback observes.
struct Observer<'a, T>(&'a Instrument, PhantomData<fn(T)>);

impl<T: Measurable> AsyncInstrument<T> for Observer<'_, T> {
    fn observe(&self, value: T, attributes: &[KeyValue]) {
        self.0.measure(value.number(), attributes);
    }
}

impl SentryMeter {
    fn destination<T: Measurable>(&self, name: &str, unit: Option<&str>, role: Role) -> Option<Sink> {
        let unit = unit.unwrap_or_default();
        let wanted = Wanted { scope: &self.scope, name, unit, role, number_type: T::TYPE };
        self.store.as_ref().map(|store| store.instrument(&wanted))
    }

    fn observable<T: Measurable>(&self, name: &str, unit: Option<&str>, role: Role, callbacks: Vec<Arc<Callback<T>>>) {
        let Some(Sink::Instrument(instrument)) = self.destination::<T>(name, unit, role) else { return };
        for callback in callbacks {
            let observe: Arc<Observe> = Arc::new(move |instrument| callback(&Observer(instrument, PhantomData)));
            if !instrument.add_callback(observe) {
                otel_warn!(name: "SentryMeter.TooManyCallbacks", instrument = name.to_owned());
            }
        }
    }
}

/// The methods for instruments that are called where something happens: the builder, the role, and how the instrument of
/// another provider is called.
macro_rules! synchronous {
    ($($method:ident: $builder:ident<$instrument:ident<$number:ty>>, $role:ident, $record:ident $(, $boundaries:ident)?;)*) => {$(
        fn $method(&self, builder: $builder<'_, $instrument<$number>>) -> $instrument<$number> {
            let destination = self.destination::<$number>(&builder.name, builder.unit.as_deref(), Role::$role);
            let forward = self.inner.as_ref().and_then(|inner| contained(|| {
                let mut forwarded = inner.$method(builder.name);
                (forwarded.description, forwarded.unit) = (builder.description, builder.unit);
                $(forwarded.$boundaries = builder.$boundaries;)?
                let instrument = forwarded.build();
                Arc::new(move |value, attributes: &[KeyValue]| instrument.$record(value, attributes)) as Forward<$number>
            }));
            $instrument::new(Arc::new(Synchronous { destination, forward }))
        }
    )*};
}

/// The methods for instruments that are read by callbacks.
macro_rules! observable {
    ($($method:ident: $instrument:ident<$number:ty>, $role:ident;)*) => {$(
        fn $method(
            &self,
            builder: AsyncInstrumentBuilder<'_, $instrument<$number>, $number>,
        ) -> $instrument<$number> {
            let AsyncInstrumentBuilder { name, description, unit, callbacks, .. } = builder;
            let callbacks: Vec<_> = callbacks.into_iter().map(Arc::new).collect();
            self.observable::<$number>(&name, unit.as_deref(), Role::$role, callbacks.clone());
            let Some(inner) = &self.inner else { return $instrument::new() };
            let built = contained(|| {
                let mut forwarded = inner.$method(name);
                (forwarded.description, forwarded.unit) = (description, unit);
                let forward = |callback| -> Callback<$number> { Box::new(move |observer| shared(&callback, observer)) };
                forwarded.callbacks = callbacks.into_iter().map(forward).collect();
                forwarded.build()
            });
            built.unwrap_or_else($instrument::new)
        }
    )*};
}

/// Calls a callback that two providers have.
fn shared<T>(callback: &Arc<Callback<T>>, observer: &dyn AsyncInstrument<T>) {
    callback(observer);
}

impl InstrumentProvider for SentryMeter {
    synchronous! {
        u64_counter: InstrumentBuilder<Counter<u64>>, Sum, add;
        f64_counter: InstrumentBuilder<Counter<f64>>, Sum, add;
        i64_up_down_counter: InstrumentBuilder<UpDownCounter<i64>>, Total, add;
        f64_up_down_counter: InstrumentBuilder<UpDownCounter<f64>>, Total, add;
        u64_gauge: InstrumentBuilder<Gauge<u64>>, Last, record;
        i64_gauge: InstrumentBuilder<Gauge<i64>>, Last, record;
        f64_gauge: InstrumentBuilder<Gauge<f64>>, Last, record;
        u64_histogram: HistogramBuilder<Histogram<u64>>, Values, record, boundaries;
        f64_histogram: HistogramBuilder<Histogram<f64>>, Values, record, boundaries;
    }

    observable! {
        u64_observable_counter: ObservableCounter<u64>, ObservedSum;
        f64_observable_counter: ObservableCounter<f64>, ObservedSum;
        i64_observable_up_down_counter: ObservableUpDownCounter<i64>, Observed;
        f64_observable_up_down_counter: ObservableUpDownCounter<f64>, Observed;
        u64_observable_gauge: ObservableGauge<u64>, Observed;
        i64_observable_gauge: ObservableGauge<i64>, Observed;
        f64_observable_gauge: ObservableGauge<f64>, Observed;
    }
}
