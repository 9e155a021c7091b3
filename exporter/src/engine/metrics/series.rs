//! What one set of attributes of an instrument has measured since it was collected last.
//!
//! A series that ends (because nothing was measured for a while, or at the shutdown) is collected one last time. A thread that
//! has found it before measures again elsewhere, so each value is counted once. At the shutdown, elsewhere means that the value is
//! counted as dropped, so the worker takes what is there before these steps, too:
//!
//! * The worker marks the series as ended, and then takes the value in one atomic step.
//! * A thread adds its value in one atomic step, and then looks at the mark. If its step came after the worker's it sees the
//!   mark, and takes out what is there.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::reservoir::{Reservoir, SIZE};
use crate::trace::{Measurement, MetricType, Number};

/// What an instrument makes of its measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// A counter: the sum since the last flush.
    Sum,
    /// An up-down counter: the sum since the process started.
    Total,
    /// A gauge: the last value.
    Last,
    /// A histogram: a fair sample of the values.
    Values,
    /// An observable counter: the difference to the last flush.
    ObservedSum,
    /// Another observable: the last value.
    Observed,
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

/// The type of an instrument's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum NumberType {
    U64,
    I64,
    F64,
}

impl NumberType {
    const fn of(number: Number) -> Self {
        match number {
            Number::U64(_) => Self::U64,
            Number::I64(_) => Self::I64,
            Number::F64(_) => Self::F64,
        }
    }

    const fn of_bits(self, bits: u64) -> Number {
        match self {
            Self::U64 => Number::U64(bits),
            Self::I64 => Number::I64(bits as i64),
            Self::F64 => Number::F64(f64::from_bits(bits)),
        }
    }
}

const fn bits(number: Number) -> u64 {
    match number {
        Number::U64(number) => number,
        Number::I64(number) => number as u64,
        Number::F64(number) => number.to_bits(),
    }
}

/// The sum. One that is too large stays at the limit: an integer that wraps around would be a wrong small one, and infinity would
/// never become a number again.
fn plus(sum: u64, number: Number) -> u64 {
    match number {
        Number::U64(number) => sum.saturating_add(number),
        Number::I64(number) => (sum as i64).saturating_add(number) as u64,
        Number::F64(number) => (f64::from_bits(sum) + number).clamp(f64::MIN, f64::MAX).to_bits(),
    }
}

#[derive(Debug)]
enum Cell {
    Sum(AtomicU64),
    Total { sum: AtomicU64, is_new: AtomicBool },
    Last { value: AtomicU64, is_new: AtomicBool },
    Values(Mutex<Reservoir>),
    Observed(Mutex<Observed>),
}

#[derive(Debug, Default)]
struct Observed {
    /// What was observed since the last flush.
    now: Option<Number>,
    /// What an observable counter had counted at the last flush. `None` for what has no sum.
    reported: Option<Number>,
    is_sum: bool,
    /// Several sets of attributes share it, so what they observe is added. Sums only: gauges cannot be added.
    is_shared: bool,
}

#[derive(Debug)]
pub(super) struct Series {
    cell: Cell,
    /// Nothing is added any more.
    is_ended: AtomicBool,
    /// It had nothing at the last flush. Only the worker uses it.
    was_idle: AtomicBool,
}

/// What a series had.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// With the time and the trace of a histogram's values.
    pub(super) values: Vec<Measurement>,
    pub(super) sample_rate: Option<f64>,
}

impl Series {
    pub(super) fn new(role: Role, seed: u64, is_shared: bool) -> Self {
        let cell = match role {
            Role::Sum => Cell::Sum(AtomicU64::new(0)),
            Role::Total => Cell::Total { sum: AtomicU64::new(0), is_new: AtomicBool::new(false) },
            Role::Last => Cell::Last { value: AtomicU64::new(0), is_new: AtomicBool::new(false) },
            Role::Values => Cell::Values(Mutex::new(Reservoir::new(seed))),
            Role::ObservedSum | Role::Observed => {
                let is_sum = role == Role::ObservedSum;
                Cell::Observed(Mutex::new(Observed { is_sum, is_shared: is_shared && is_sum, ..Observed::default() }))
            }
        };
        Self { cell, is_ended: AtomicBool::new(false), was_idle: AtomicBool::new(false) }
    }

    /// Adds a number. `make` makes the whole measurement, which most values do not need. If the series has ended, returns what
    /// must be added elsewhere.
    #[inline]
    pub(super) fn add(&self, number: Number, make: impl FnOnce() -> Measurement) -> Option<Number> {
        match &self.cell {
            Cell::Sum(sum) => {
                add(sum, number);
                if self.is_ended() { left_in(sum, number) } else { None }
            }
            Cell::Total { sum: value, is_new } | Cell::Last { value, is_new } => {
                match &self.cell {
                    Cell::Total { .. } => add(value, number),
                    _ => value.store(bits(number), Ordering::Release),
                }
                is_new.swap(true, Ordering::AcqRel);
                (self.is_ended() && is_new.swap(false, Ordering::AcqRel)).then_some(number)
            }
            Cell::Values(reservoir) => {
                let mut reservoir = lock(reservoir);
                if self.is_ended() {
                    return Some(number);
                }
                reservoir.add(make);
                None
            }
            Cell::Observed(observed) => {
                let mut observed = lock(observed);
                if self.is_ended() {
                    return Some(number);
                }
                observed.set(number);
                None
            }
        }
    }

    fn is_ended(&self) -> bool {
        self.is_ended.load(Ordering::Acquire)
    }

    /// Takes what was measured since the last call. `at` makes the measurement of what has no time of its own.
    pub(super) fn take(&self, number_type: NumberType, at: impl Fn(Number) -> Measurement) -> Taken {
        let one = |number: Option<Number>| Taken { values: number.map(&at).into_iter().collect(), sample_rate: None };
        match &self.cell {
            Cell::Sum(sum) => {
                let bits = sum.swap(0, Ordering::AcqRel);
                one((bits != 0).then(|| number_type.of_bits(bits)))
            }
            Cell::Total { sum: value, is_new } | Cell::Last { value, is_new } => {
                let is_new = is_new.swap(false, Ordering::AcqRel);
                one(is_new.then(|| number_type.of_bits(value.load(Ordering::Acquire))))
            }
            Cell::Values(reservoir) => {
                let (values, seen) = lock(reservoir).take();
                let sample_rate = (seen > values.len() as u64).then(|| SIZE as f64 / seen as f64);
                Taken { values, sample_rate }
            }
            Cell::Observed(observed) => one(lock(observed).take()),
        }
    }

    /// Whether [`take`](Self::take) would return nothing.
    pub(super) fn is_empty(&self) -> bool {
        match &self.cell {
            Cell::Sum(sum) => sum.load(Ordering::Acquire) == 0,
            Cell::Total { is_new, .. } | Cell::Last { is_new, .. } => !is_new.load(Ordering::Acquire),
            Cell::Values(reservoir) => lock(reservoir).is_empty(),
            Cell::Observed(observed) => lock(observed).now.is_none(),
        }
    }

    /// Ends the series. What is added from now on is refused; what was added before is there for [`take`](Self::take).
    pub(super) fn end(&self) {
        // A reservoir looks at the mark under its lock.
        let _guards = match &self.cell {
            Cell::Values(reservoir) => (Some(lock(reservoir)), None),
            Cell::Observed(observed) => (None, Some(lock(observed))),
            _ => (None, None),
        };
        self.is_ended.store(true, Ordering::Release);
    }

    /// Whether a series that had nothing has also had nothing the last time. What counts from the start of the process is
    /// never idle: it would begin at zero again.
    pub(super) fn is_idle(&self, had_nothing: bool) -> bool {
        let is_endless = match &self.cell {
            Cell::Total { .. } => true,
            Cell::Observed(observed) => lock(observed).is_sum,
            _ => false,
        };
        let was_idle = self.was_idle.swap(had_nothing, Ordering::Relaxed);
        had_nothing && was_idle && !is_endless
    }
}

impl Observed {
    fn set(&mut self, number: Number) {
        let before = self.now.filter(|_| self.is_shared);
        self.now = Some(before.map_or(number, |before| sum_of(before, number)));
    }

    fn take(&mut self) -> Option<Number> {
        let now = self.now.take()?;
        if !self.is_sum {
            return Some(now);
        }
        let before = self.reported.replace(now);
        // A sum that is lower than before has begun anew.
        let new = match (now, before) {
            (Number::U64(now), Some(Number::U64(before))) => Number::U64(now.checked_sub(before).unwrap_or(now)),
            (Number::F64(now), Some(Number::F64(before))) if now >= before => Number::F64(now - before),
            (now, _) => now,
        };
        (new.to_f64() != 0.0).then_some(new)
    }
}

fn sum_of(one: Number, other: Number) -> Number {
    NumberType::of(one).of_bits(plus(bits(one), other))
}

/// What is in the sum of a series that has ended: what this thread has added, and perhaps what others have. Zero if the worker
/// or another thread has it.
#[cold]
fn left_in(sum: &AtomicU64, number: Number) -> Option<Number> {
    let left = sum.swap(0, Ordering::AcqRel);
    (left != 0).then(|| NumberType::of(number).of_bits(left))
}

#[inline]
fn add(sum: &AtomicU64, number: Number) {
    let mut before = sum.load(Ordering::Relaxed);
    // The step must also happen if it changes nothing: it is what the order of this thread and the worker is made of.
    while let Err(now) = sum.compare_exchange_weak(before, plus(before, number), Ordering::AcqRel, Ordering::Relaxed) {
        before = now;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code panics while it holds this lock, and a poisoned one has intact numbers.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
