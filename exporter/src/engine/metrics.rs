//! Where instruments leave what they measure, and the worker collects it.
//!
//! | file, in the order of use | contains |
//! | --- | --- |
//! | `instrument` | finds the series of a measurement, on the thread that measures |
//! | `instrument_id` | what an instrument is asked for by |
//! | `attributes` | sets of attributes as keys |
//! | `own_values`, `late` | what a thread that ends can still do, and what it measures |
//! | `series` | sums, totals, last values |
//! | `reservoir` | a fair sample of a histogram's values |
//! | `account` | what all instruments share |
//! | `walk` | one collection of all instruments, on the worker's thread |

mod account;
mod attributes;
mod instrument;
mod instrument_id;
mod late;
mod own_values;
mod reservoir;
mod series;
mod walk;

use std::{
    collections::HashMap,
    fmt, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sentry_semantics::cut;
use tokio::sync::Notify;
use wildmatch::WildMatch;

use self::{
    account::MetricAccount,
    instrument_id::{InstrumentId, MAX_TEXT},
};
pub(crate) use self::{
    instrument::{Instrument, Observe},
    instrument_id::Wanted,
    series::{NumberType, Role},
    walk::Walk,
};
use crate::{
    account::{DropReason, Ledger},
    convert::{metric_name, other_unit, sentry_unit, size_of_attributes},
    trace::{Measured, MetricInfo, MetricType},
};

/// The most instruments. Each has series of its own, and none is ever removed, as in OpenTelemetry.
const MAX_INSTRUMENTS: usize = 2000;

/// The most values of a metric exporter that wait, as in Sentry's SDK for Python.
const MAX_READY: usize = 10_000;

/// The most bytes of their attributes, as for all series.
const MAX_READY_BYTES: usize = 64 << 20;

/// Instruments, and what they have measured.
pub(crate) struct MetricStore {
    instruments: Mutex<HashMap<InstrumentId, Arc<Instrument>>>,
    /// What a metric exporter has handed over.
    ready: Mutex<Collected>,
    /// Whether there is something to collect, now or later. Without it the worker would wake up for nothing.
    is_used: AtomicBool,
    account: Arc<MetricAccount>,
    /// Names of metrics that are not sent.
    ignored: Vec<WildMatch>,
    arrived: Notify,
}

/// What a metric exporter has handed over, and the size of its attributes.
#[derive(Default)]
struct Collected {
    all: Vec<Measured>,
    bytes: usize,
}

impl fmt::Debug for MetricStore {
    /// Leaves out the series: their attributes contain user data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricStore").field("is_used", &self.is_used).finish_non_exhaustive()
    }
}

/// What becomes of the measurements of an instrument.
#[derive(Clone, Debug)]
pub(crate) enum Sink {
    Instrument(Arc<Instrument>),
    /// The application ignores it.
    Ignored,
    /// Each measurement is counted as dropped.
    Refused(Arc<Refused>),
}

/// An instrument that cannot be: its name is blank, or there are too many.
#[derive(Debug)]
pub(crate) struct Refused {
    account: Arc<MetricAccount>,
    reason: DropReason,
    /// The size of the name and the value, as Sentry counts it.
    size: usize,
}

impl Refused {
    pub(crate) fn measure(&self, attributes: &[KeyValue]) {
        let size = self.size + size_of_attributes(attributes);
        self.account.refuse(self.account.closed().unwrap_or(self.reason), size);
    }
}

impl MetricStore {
    pub(crate) fn new(ledger: Arc<Ledger>, ignored: Vec<WildMatch>, clock: fn() -> SystemTime, seed: u64) -> Self {
        Self {
            instruments: Mutex::default(),
            ready: Mutex::default(),
            is_used: AtomicBool::new(false),
            account: Arc::new(MetricAccount::new(ledger, clock, seed)),
            ignored,
            arrived: Notify::new(),
        }
    }

    /// The instrument that is asked for, which may exist already.
    pub(crate) fn instrument(&self, wanted: &Wanted<'_>) -> Sink {
        let Wanted { scope, name, unit, role, number_type } = *wanted;
        if self.ignores(name) {
            return Sink::Ignored;
        }
        let Some(info) = info(scope, name, unit, role.metric_type()) else {
            return self.refused(0, DropReason::Invalid);
        };
        let id = InstrumentId::new(wanted);
        let mut instruments = lock(&self.instruments);
        if let Some(known) = instruments.get(&id) {
            return Sink::Instrument(Arc::clone(known));
        }
        if instruments.len() >= MAX_INSTRUMENTS {
            drop(instruments);
            return self.refused(info.name.len(), DropReason::QueueOverflow);
        }
        let instrument = Arc::new(Instrument::new(info, role, number_type, Arc::clone(&self.account)));
        instruments.insert(id, Arc::clone(&instrument));
        drop(instruments);
        // It may be created after the engine has closed.
        if self.account.closed().is_some() {
            instrument.end();
        }
        self.wake();
        Sink::Instrument(instrument)
    }

    /// Whether a metric with this name is not sent.
    pub(crate) fn ignores(&self, name: &str) -> bool {
        let matches = |name: &str| self.ignored.iter().any(|pattern| pattern.matches(name));
        !self.ignored.is_empty() && (matches(name) || metric_name(name).is_some_and(|name| matches(&name)))
    }

    /// Counts what a metric exporter has collected under a blank name.
    pub(crate) fn refuse(&self, attributes: &[KeyValue]) {
        self.account.refuse(DropReason::Invalid, 8 + size_of_attributes(attributes));
    }

    fn refused(&self, name: usize, reason: DropReason) -> Sink {
        Sink::Refused(Arc::new(Refused { account: Arc::clone(&self.account), reason, size: name + 8 }))
    }

    /// Takes what a metric exporter has collected.
    pub(crate) fn push(&self, measured: Measured) {
        let size = measured.info.name.len() + 8 + size_of_attributes(&measured.attributes);
        let mut ready = lock(&self.ready);
        let is_full = ready.all.len() >= MAX_READY || ready.bytes.saturating_add(size) > MAX_READY_BYTES;
        // Under the lock: the last collection comes after the closing.
        let reason = self.account.closed().or(is_full.then_some(DropReason::QueueOverflow));
        if let Some(reason) = reason {
            drop(ready);
            measured.values.iter().for_each(|_| self.account.refuse(reason, size));
            return;
        }
        ready.bytes += size;
        ready.all.push(measured);
        drop(ready);
        self.wake();
    }

    fn wake(&self) {
        if !self.is_used.swap(true, Ordering::AcqRel) {
            self.arrived.notify_one();
        }
    }

    /// Whether there is something to collect, now or later.
    pub(crate) fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Acquire)
    }

    /// Whether nothing was measured since the last collection. Callbacks are not asked.
    pub(crate) fn is_empty(&self) -> bool {
        let is_ready = !lock(&self.ready).all.is_empty();
        !is_ready && lock(&self.instruments).values().all(|instrument| instrument.is_empty())
    }

    /// Waits until there is something to collect.
    pub(crate) async fn wait(&self) {
        self.arrived.notified().await;
    }

    pub(crate) fn set_default_size(&self, bytes: u64) {
        self.account.set_default_size(bytes);
    }

    /// Begins to collect all instruments.
    pub(crate) fn walk(&self, time: SystemTime) -> Walk {
        let ready = mem::take(&mut *lock(&self.ready)).all.into_iter();
        let mut instruments: Vec<_> = lock(&self.instruments).values().cloned().collect();
        // Items of one time keep this order.
        instruments.sort_by(|a, b| a.name().cmp(b.name()));
        Walk { ready, instruments: instruments.into_iter(), current: None, time }
    }

    /// Accepts nothing more: what is measured from now on is dropped for this reason, or for an earlier one. What a series that
    /// exists gets until it is collected is still sent.
    pub(crate) fn close(&self, reason: DropReason) {
        // It was measured before the end.
        lock(&self.instruments).values().for_each(|instrument| instrument.take_in_late());
        self.account.close(reason);
    }

    /// Collects what is there without callbacks, at the end.
    pub(crate) fn drain(&self, mut each: impl FnMut(Measured)) {
        let mut walk = self.walk(SystemTime::UNIX_EPOCH);
        walk.ready.by_ref().for_each(&mut each);
        for instrument in walk.instruments {
            instrument.take_in_late();
            instrument.collect_others(SystemTime::UNIX_EPOCH).into_iter().for_each(&mut each);
            for (attributes, series) in instrument.keys() {
                instrument.collect(attributes, &series, SystemTime::UNIX_EPOCH).into_iter().for_each(&mut each);
            }
        }
    }
}

/// What the metrics of an instrument have in common. `None` if its name is blank.
pub(crate) fn info(
    scope: &InstrumentationScope,
    name: &str,
    unit: &str,
    metric_type: MetricType,
) -> Option<MetricInfo> {
    Some(MetricInfo {
        name: metric_name(name)?.into_owned(),
        metric_type,
        unit: sentry_unit(unit),
        other_unit: other_unit(unit),
        scope: [scope.name(), scope.version().unwrap_or_default()].map(|text| cut(text, MAX_TEXT).to_owned()),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code panics while it holds this lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
