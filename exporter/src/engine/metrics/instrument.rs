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
use opentelemetry_sentry_protocol::__shared::has_context;
use papaya::HashMap;

use super::{
    account::MetricAccount,
    attributes::{AttributeSet, Lookup, Ready},
    late::Late,
    own_values,
    reservoir::SIZE,
    series::{NumberType, Role, Series, Taken},
};
use crate::{
    account::DropReason,
    convert::size_of_attributes,
    trace::{Measured, Measurement, MetricInfo, Number},
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
    late: Late,
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
            late: Late::default(),
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
        } else if !own_values::has_guards() {
            return self.measure_late(number, attributes);
        } else if let Some(lookup) = Lookup::new(attributes, &self.state) {
            let guard = self.series.guard();
            let series = self.series.get(&lookup, &guard);
            series.map_or(Some(number), |series| series.add(number, || self.here(number)))
        } else {
            Some(number)
        };
        if let Some(left) = left {
            self.measure_elsewhere(left, attributes, &|number| self.here(number));
        }
    }

    /// Takes a measurement of a thread that ends and cannot read the map any more.
    #[cold]
    fn measure_late(&self, number: Number, attributes: &[KeyValue]) {
        let measurement = self.here(number);
        if let Err(reason) = self.late.push(attributes, measurement, &self.account, || self.closed()) {
            self.refuse(reason, attributes);
        }
    }

    /// Adds what threads have measured while they ended to its series.
    pub(super) fn take_in_late(&self) {
        // The thread that closes the engine may end itself.
        let late = if own_values::has_guards() { self.late.take(&self.account) } else { Vec::new() };
        for (attributes, measurement) in late {
            self.measure_elsewhere(measurement.number, &attributes, &|number| Measurement { number, ..measurement });
        }
    }

    /// Takes a measurement whose series does not exist yet, or has just ended.
    #[cold]
    fn measure_elsewhere(&self, mut number: Number, attributes: &[KeyValue], at: &dyn Fn(Number) -> Measurement) {
        let set = AttributeSet::new(attributes, &self.state);
        loop {
            if let Some(reason) = self.closed() {
                return self.refuse(reason, attributes);
            }
            let (place, is_new) = self.find_or_add(&set, attributes);
            let series = match &place {
                Place::Own(series) => series,
                Place::Shared(series) => *series,
            };
            let left = series.add(number, || at(number));
            // The engine may have closed after it was asked. Either its last collection has seen this series, or this thread
            // sees that it has closed. A series that was there before is seen, with all that was measured before.
            fence(Ordering::SeqCst);
            if left.is_none() {
                if let Some(reason) = self.closed().filter(|_| is_new) {
                    series.end();
                    let Taken { values, .. } = self.taken(series, SystemTime::UNIX_EPOCH);
                    values.iter().for_each(|_| self.refuse(reason, attributes));
                }
                return;
            }
            number = left.unwrap_or(number);
            // It has ended, but is still in the map. The worker would remove it too.
            self.remove(&set, series);
        }
    }

    /// Why nothing more is accepted. The last collection still calls the callbacks of observables.
    fn closed(&self) -> Option<DropReason> {
        self.account.closed().filter(|_| !self.is_observable())
    }

    const fn is_observable(&self) -> bool {
        matches!(self.role, Role::ObservedSum | Role::Observed)
    }

    /// The series of a measurement, and whether this call has added it.
    fn find_or_add(&self, set: &AttributeSet, attributes: &[KeyValue]) -> (Place<'_>, bool) {
        if attributes.is_empty() {
            return (Place::Shared(&self.bare), false);
        }
        let guard = self.series.guard();
        if let Some(series) = self.series.get(&set.lookup(), &guard) {
            return (Place::Own(Arc::clone(series)), false);
        }
        let size = self.size(set);
        if self.count.fetch_add(1, Ordering::AcqRel) >= MAX_SERIES || !self.account.reserve(size) {
            self.count.fetch_sub(1, Ordering::AcqRel);
            let mut is_new = false;
            let overflow = self.overflow.get_or_init(|| {
                is_new = true;
                Series::new(self.role, self.account.seed(), true)
            });
            return (Place::Shared(overflow), is_new);
        }
        let series = Arc::new(Series::new(self.role, self.account.seed(), false));
        let set = AttributeSet::new(set.as_slice(), &self.state);
        match self.series.try_insert(set, Arc::clone(&series), &guard) {
            Ok(_) => (Place::Own(series), true),
            Err(occupied) => {
                // Another thread was faster.
                self.count.fetch_sub(1, Ordering::AcqRel);
                self.account.release(size);
                (Place::Own(Arc::clone(occupied.current)), false)
            }
        }
    }

    /// Removes a series that has ended, unless another one has its place already.
    fn remove(&self, set: &AttributeSet, series: &Series) {
        let is_it = |_: &AttributeSet, found: &Arc<Series>| std::ptr::eq(&raw const **found, series);
        // The thread that closes the engine may end itself. Then the series stay until the instrument goes.
        if own_values::has_guards()
            && matches!(self.series.remove_if(&set.lookup(), is_it, &self.series.guard()), Ok(Some(_)))
        {
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
        if !has_context() {
            return Measurement { number, time, trace_id: None, span_id: None };
        }
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

    /// Whether nothing was measured since the last collection.
    pub(super) fn is_empty(&self) -> bool {
        let others = [&self.bare].into_iter().chain(self.overflow.get());
        let guard = self.series.owned_guard();
        let is_empty = |(_, series): (&AttributeSet, &Arc<Series>)| series.is_empty();
        self.late.is_empty() && others.into_iter().all(Series::is_empty) && self.series.iter(&guard).all(is_empty)
    }

    /// The series with attributes, as they are now.
    pub(super) fn keys(&self) -> Vec<(Vec<KeyValue>, Arc<Series>)> {
        let copy = |(set, series): (&AttributeSet, &Arc<Series>)| (set.as_slice().to_vec(), Arc::clone(series));
        // A guard that every thread can make, also one that ends.
        let guard = self.series.owned_guard();
        self.series.iter(&guard).map(copy).collect()
    }

    /// What a series has measured. One that stays idle ends, and so do all when the engine has closed.
    pub(super) fn collect(&self, attributes: Vec<KeyValue>, series: &Series, time: SystemTime) -> Vec<Measured> {
        let is_closed = self.closed().is_some();
        let taken = self.taken(series, time);
        let is_idle = series.is_idle(taken.values.is_empty());
        let late = if is_idle || is_closed { self.end_series(series, time) } else { Taken::default() };
        if is_idle {
            self.remove(&AttributeSet::new(&attributes, &self.state), series);
        }
        self.measured(attributes, [taken, late])
    }

    /// The same for what has no place in the map. It never ends before the engine does.
    pub(super) fn collect_others(&self, time: SystemTime) -> Vec<Measured> {
        let overflow = self.overflow.get().map(|series| (vec![KeyValue::new(OVERFLOW, true)], series));
        let collect = |(attributes, series): (Vec<KeyValue>, &Series)| {
            let is_closed = self.closed().is_some();
            let taken = self.taken(series, time);
            let late = if is_closed { self.end_series(series, time) } else { Taken::default() };
            self.measured(attributes, [taken, late])
        };
        [(Vec::new(), &self.bare)].into_iter().chain(overflow).flat_map(collect).collect()
    }

    /// Ends a series after what it had was taken. Returns what came since. In this order, because a thread that adds to a series
    /// that has ended takes out all that is there: it would take what was measured before the shutdown.
    fn end_series(&self, series: &Series, time: SystemTime) -> Taken {
        series.end();
        self.taken(series, time)
    }

    /// Ends an instrument that was made after the engine has closed. It has no attributes yet.
    pub(super) fn end(&self) {
        if !self.is_observable() {
            self.bare.end();
        }
    }

    fn taken(&self, series: &Series, time: SystemTime) -> Taken {
        series.take(self.number_type, |number| Measurement { number, time, trace_id: None, span_id: None })
    }

    /// Of totals and last values, the newer one replaces the older one.
    fn measured(&self, attributes: Vec<KeyValue>, [taken, late]: [Taken; 2]) -> Vec<Measured> {
        let adds_up = !matches!(self.role, Role::Total | Role::Last);
        let of = |attributes, Taken { values, sample_rate }| {
            let info = Arc::clone(&self.info);
            (!values.is_empty()).then_some(Measured { info, attributes, values, sample_rate })
        };
        if late.values.is_empty() {
            return of(attributes, taken).into_iter().collect();
        }
        let taken = of(attributes.clone(), taken).filter(|_| adds_up);
        taken.into_iter().chain(of(attributes, late)).collect()
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
