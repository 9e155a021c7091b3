//! One collection of all instruments, in small steps: callbacks can be slow, and requests get their turn between two steps.

use std::{sync::Arc, time::SystemTime, vec};

use opentelemetry::{KeyValue, otel_warn};
use opentelemetry_sentry_protocol::__shared::contain;

use super::{
    instrument::{Instrument, Observe},
    series::Series,
};
use crate::trace::Measured;

/// One collection of all instruments.
#[derive(Debug)]
pub(crate) struct Walk {
    /// What was collected elsewhere.
    pub(super) ready: vec::IntoIter<Measured>,
    pub(super) instruments: vec::IntoIter<Arc<Instrument>>,
    /// The instrument whose turn it is.
    pub(super) current: Option<Turn>,
    /// The time of what has none of its own.
    pub(super) time: SystemTime,
}

/// The steps that an instrument has left.
pub(super) struct Turn {
    instrument: Arc<Instrument>,
    callbacks: vec::IntoIter<Arc<Observe>>,
    /// `None` until the callbacks were called.
    series: Option<vec::IntoIter<(Vec<KeyValue>, Arc<Series>)>>,
}

impl Walk {
    /// Makes one step. Returns `None` when the walk is over.
    pub(crate) fn step(&mut self) -> Option<Vec<Measured>> {
        if let Some(measured) = self.ready.next() {
            return Some(vec![measured]);
        }
        let turn = match &mut self.current {
            Some(turn) => turn,
            None => {
                let instrument = self.instruments.next()?;
                let callbacks = instrument.callbacks().into_iter();
                self.current.insert(Turn { instrument, callbacks, series: None })
            }
        };
        let step = turn.step(self.time);
        if step.is_none() {
            self.current = None;
        }
        Some(step.unwrap_or_default())
    }

    /// What it still holds itself. The rest is in the series.
    pub(crate) fn into_ready(self) -> impl Iterator<Item = Measured> {
        self.ready
    }
}

impl Turn {
    fn step(&mut self, time: SystemTime) -> Option<Vec<Measured>> {
        if let Some(callback) = self.callbacks.next() {
            if contain(|| callback(&self.instrument)).is_none() {
                otel_warn!(name: "SentryExporter.FunctionPanicked", function = "metric callback");
            }
            return Some(Vec::new());
        }
        let Some(series) = &mut self.series else {
            self.instrument.take_in_late();
            self.series = Some(self.instrument.keys().into_iter());
            return Some(self.instrument.collect_others(time));
        };
        let (attributes, series) = series.next()?;
        Some(self.instrument.collect(attributes, &series, time))
    }
}

impl std::fmt::Debug for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turn").field("instrument", &self.instrument).finish_non_exhaustive()
    }
}
