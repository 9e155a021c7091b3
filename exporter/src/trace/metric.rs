//! What an instrument has measured, as it is on its way from its series to its items.

use std::{sync::Arc, time::SystemTime};

use opentelemetry::{KeyValue, SpanId, TraceId};

/// What a metric is to Sentry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum MetricType {
    Counter,
    Gauge,
    Distribution,
}

impl MetricType {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Distribution => "distribution",
        }
    }
}

/// What all metrics of an instrument have in common.
#[derive(Clone, Debug)]
pub(crate) struct MetricInfo {
    /// The name in Sentry's alphabet. It is not blank.
    pub(crate) name: String,
    pub(crate) metric_type: MetricType,
    /// One of Sentry's units.
    pub(crate) unit: Option<&'static str>,
    /// A unit that Sentry does not know.
    pub(crate) other_unit: Option<String>,
    /// Name and version of the instrumentation scope. They may be empty.
    pub(crate) scope: [String; 2],
}

/// A number as it was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    U64(u64),
    I64(i64),
    F64(f64),
}

impl Number {
    pub(crate) const fn is_finite(self) -> bool {
        match self {
            Self::U64(_) | Self::I64(_) => true,
            Self::F64(number) => number.is_finite(),
        }
    }

    /// The nearest `f64`.
    pub(crate) const fn to_f64(self) -> f64 {
        match self {
            Self::U64(number) => number as f64,
            Self::I64(number) => number as f64,
            Self::F64(number) => number,
        }
    }
}

/// One value, and when and where it was measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measurement {
    pub(crate) number: Number,
    pub(crate) time: SystemTime,
    /// `None` outside of any trace, and for what is summed over several.
    pub(crate) trace_id: Option<TraceId>,
    /// The active span, if it is sampled. A span that is not sent cannot be opened.
    pub(crate) span_id: Option<SpanId>,
}

/// What a series has measured since it was collected last. The values share everything else.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) info: Arc<MetricInfo>,
    /// Each key occurs once.
    pub(crate) attributes: Vec<KeyValue>,
    pub(crate) values: Vec<Measurement>,
    /// The share of the values that were kept; `None` if all were.
    pub(crate) sample_rate: Option<f64>,
}

impl Measured {
    /// A metric without a name and attributes.
    pub(crate) fn nothing() -> Self {
        let info = MetricInfo {
            name: String::new(),
            metric_type: MetricType::Counter,
            unit: None,
            other_unit: None,
            scope: Default::default(),
        };
        let time = SystemTime::UNIX_EPOCH;
        let value = Measurement { number: Number::U64(0), time, trace_id: None, span_id: None };
        Self { info: Arc::new(info), attributes: Vec::new(), values: vec![value], sample_rate: None }
    }
}
