//! An instrument: its series, by their attributes.

use std::{
    hash::BuildHasherDefault,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering, fence},
    },
    time::SystemTime,
};

use foldhash::fast::RandomState;
use opentelemetry::{Context, KeyValue, trace::TraceContextExt};
use papaya::HashMap;

use super::{
    account::MetricAccount,
    attributes::{AttributeSet, Lookup, Ready},
    reservoir::SIZE,
    series::{NumberType, Role, Series, Taken},
};
use crate::{
    account::DropReason,
    convert::size_of_attributes,
    trace::{Measured, Measurement, MetricInfo, MetricType, Number},
};

/// The most series of an instrument with attributes, as in OpenTelemetry. Further ones share one with this attribute.
const MAX_SERIES: usize = 2000;

/// The attribute of what has no series of its own, by OpenTelemetry's specification.
const OVERFLOW: &str = "otel.metric.overflow";

/// The most callbacks of an instrument. Each registration of the same instrument adds some, and none is ever removed.
const MAX_CALLBACKS: usize = 1000;

/// What a series takes beside its attributes and its values.
const OVERHEAD: usize = 256;

/// Reads what an observable instrument observes.
pub(crate) type Observe = dyn Fn(&Instrument) + Send + Sync;

/// The series of an instrument. No thread waits for another one here, unless both measure the same series of a histogram.
pub(crate) struct Instrument {
    info: Arc<MetricInfo>,
    role: Role,
    number_type: NumberType,
    account: Arc<MetricAccount>,
    state: RandomState,
    series: HashMap<AttributeSet, Arc<Series>, BuildHasherDefault<Ready>>,
    /// How many series there are, and how many threads are about to add one.
    count: AtomicUsize,
    /// The series without attributes.
    bare: Series,
    overflow: OnceLock<Series>,
    callbacks: Mutex<Vec<Arc<Observe>>>,
}

impl Instrument {
    pub(super) fn new(info: MetricInfo, role: Role, number_type: NumberType, account: Arc<MetricAccount>) -> Self {
        let seed = account.seed();
        Self {
            info: Arc::new(info),
            role,
            number_type,
            account,
            state: RandomState::default(),
            series: HashMap::default(),
            count: AtomicUsize::new(0),
            bare: Series::new(role, seed, false),
            overflow: OnceLock::new(),
            callbacks: Mutex::default(),
        }
    }

    /// Takes a measurement of this thread.
    #[inline]
    pub(crate) fn measure(&self, number: Number, attributes: &[KeyValue]) {
        if !self.is_valid(number) {
            return self.refuse(DropReason::Invalid, attributes);
        }
        let left = if attributes.is_empty() {
            self.bare.add(number, || self.here(number))
        } else if let Some(lookup) = Lookup::new(attributes, &self.state) {
            let guard = self.series.guard();
            let series = self.series.get(&lookup, &guard);
            series.map_or(Some(number), |series| series.add(number, || self.here(number)))
        } else {
            Some(number)
        };
        if let Some(left) = left {
            self.measure_elsewhere(left, attributes);
        }
    }

    /// Takes a measurement whose series does not exist yet, or has just ended.
    #[cold]
    fn measure_elsewhere(&self, mut number: Number, attributes: &[KeyValue]) {
        let set = AttributeSet::new(attributes, &self.state);
        loop {
            if let Some(reason) = self.closed() {
                return self.refuse(reason, attributes);
            }
            let place = self.find_or_add(&set, attributes);
            let series = match &place {
                Place::Own(series) => series,
                Place::Shared(series) => *series,
            };
            let left = series.add(number, || self.here(number));
            // The engine may have closed after it was asked. Either its last collection has seen this series, or this thread
            // sees that it has closed.
            fence(Ordering::SeqCst);
            if left.is_none() {
                if let Some(reason) = self.closed() {
                    series.end();
                    let Taken { values, .. } = self.taken(series, SystemTime::UNIX_EPOCH);
                    values.iter().for_each(|_| self.refuse(reason, attributes));
                }
                return;
            }
            number = left.unwrap_or(number);
            // It has ended, but is still in the map. The worker would remove it too.
            self.remove(&set, series, &self.series.guard());
        }
    }

    /// Why nothing more is accepted. The last collection still calls the callbacks of observables.
    fn closed(&self) -> Option<DropReason> {
        self.account.closed().filter(|_| !self.is_observable())
    }

    const fn is_observable(&self) -> bool {
        matches!(self.role, Role::ObservedSum | Role::Observed)
    }

    fn find_or_add(&self, set: &AttributeSet, attributes: &[KeyValue]) -> Place<'_> {
        if attributes.is_empty() {
            return Place::Shared(&self.bare);
        }
        let guard = self.series.guard();
        if let Some(series) = self.series.get(&set.lookup(), &guard) {
            return Place::Own(Arc::clone(series));
        }
        let size = self.size(set);
        if self.count.fetch_add(1, Ordering::AcqRel) >= MAX_SERIES || !self.account.reserve(size) {
            self.count.fetch_sub(1, Ordering::AcqRel);
            return Place::Shared(self.overflow.get_or_init(|| Series::new(self.role, self.account.seed(), true)));
        }
        let series = Arc::new(Series::new(self.role, self.account.seed(), false));
        let set = AttributeSet::new(set.as_slice(), &self.state);
        match self.series.try_insert(set, Arc::clone(&series), &guard) {
            Ok(_) => Place::Own(series),
            Err(occupied) => {
                // Another thread was faster.
                self.count.fetch_sub(1, Ordering::AcqRel);
                self.account.release(size);
                Place::Own(Arc::clone(occupied.current))
            }
        }
    }

    /// Removes a series that has ended, unless another one has its place already.
    fn remove(&self, set: &AttributeSet, series: &Series, guard: &impl papaya::Guard) {
        let is_it = |_: &AttributeSet, found: &Arc<Series>| std::ptr::eq(&raw const **found, series);
        if let Ok(Some(_)) = self.series.remove_if(&set.lookup(), is_it, guard) {
            self.count.fetch_sub(1, Ordering::AcqRel);
            self.account.release(self.size(set));
        }
    }

    fn size(&self, set: &AttributeSet) -> usize {
        let values = if self.role == Role::Values { SIZE * size_of::<Measurement>() } else { 0 };
        OVERHEAD + values + set.size()
    }

    /// Counters only grow, and JSON has neither infinities nor NaN.
    const fn is_valid(&self, number: Number) -> bool {
        let can_fall = !matches!(self.role, Role::Sum | Role::ObservedSum);
        match number {
            Number::F64(number) => number.is_finite() && (can_fall || number >= 0.0),
            Number::U64(_) | Number::I64(_) => true,
        }
    }

    #[cold]
    fn refuse(&self, reason: DropReason, attributes: &[KeyValue]) {
        self.account.refuse(reason, self.info.name.len() + 8 + size_of_attributes(attributes));
    }

    /// The measurement with the time and the active span of this thread.
    fn here(&self, number: Number) -> Measurement {
        let time = self.account.now();
        Context::map_current(|cx| {
            let span = cx.span();
            let span = span.span_context();
            let is_valid = span.is_valid();
            Measurement {
                number,
                time,
                trace_id: is_valid.then(|| span.trace_id()),
                span_id: (is_valid && span.is_sampled()).then(|| span.span_id()),
            }
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.info.name
    }

    /// Adds a callback. Returns whether there was room for it.
    pub(crate) fn add_callback(&self, callback: Arc<Observe>) -> bool {
        let mut callbacks = self.callbacks.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = callbacks.len() < MAX_CALLBACKS;
        if has_room {
            callbacks.push(callback);
        }
        has_room
    }

    /// The callbacks, to be called without the lock.
    pub(super) fn callbacks(&self) -> Vec<Arc<Observe>> {
        self.callbacks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The series with attributes, as they are now.
    pub(super) fn keys(&self) -> Vec<(Vec<KeyValue>, Arc<Series>)> {
        let guard = self.series.guard();
        self.series.iter(&guard).map(|(set, series)| (set.as_slice().to_vec(), Arc::clone(series))).collect()
    }

    /// What a series has measured. One that stays idle ends.
    pub(super) fn collect(&self, attributes: Vec<KeyValue>, series: &Series, time: SystemTime) -> Option<Measured> {
        let taken = self.taken(series, time);
        if !series.is_idle(taken.values.is_empty()) {
            return self.measured(attributes, taken);
        }
        series.end();
        let set = AttributeSet::new(&attributes, &self.state);
        self.remove(&set, series, &self.series.guard());
        // What came between the two.
        self.measured(attributes, self.taken(series, time))
    }

    /// The same for what has no place in the map. It never ends before the engine does.
    pub(super) fn collect_others(&self, time: SystemTime) -> impl Iterator<Item = Measured> {
        let overflow = self
            .overflow
            .get()
            .and_then(|series| self.measured(vec![KeyValue::new(OVERFLOW, true)], self.taken(series, time)));
        self.measured(Vec::new(), self.taken(&self.bare, time)).into_iter().chain(overflow)
    }

    /// Ends all series. The engine has closed.
    pub(super) fn end(&self) {
        if self.is_observable() {
            return;
        }
        self.bare.end();
        self.overflow.get().into_iter().for_each(Series::end);
        let guard = self.series.guard();
        self.series.iter(&guard).for_each(|(_, series)| series.end());
    }

    fn taken(&self, series: &Series, time: SystemTime) -> Taken {
        series.take(self.number_type, |number| Measurement { number, time, trace_id: None, span_id: None })
    }

    fn measured(&self, attributes: Vec<KeyValue>, taken: Taken) -> Option<Measured> {
        let Taken { values, sample_rate } = taken;
        (!values.is_empty()).then(|| Measured { info: Arc::clone(&self.info), attributes, values, sample_rate })
    }
}

/// Where a measurement goes.
enum Place<'a> {
    /// To the series with its attributes.
    Own(Arc<Series>),
    /// To the series without attributes, or to that of the overflow.
    Shared(&'a Series),
}

impl std::fmt::Debug for Instrument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instrument").field("info", &self.info).field("role", &self.role).finish_non_exhaustive()
    }
}

impl Role {
    /// What Sentry calls it.
    pub(crate) const fn metric_type(self) -> MetricType {
        match self {
            Self::Sum | Self::ObservedSum => MetricType::Counter,
            Self::Total | Self::Last | Self::Observed => MetricType::Gauge,
            Self::Values => MetricType::Distribution,
        }
    }
}
