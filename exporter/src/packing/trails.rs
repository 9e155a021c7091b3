//! The last log lines of each trace, which become the breadcrumbs of its errors.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use foldhash::fast::RandomState;
use opentelemetry::TraceId;

use crate::convert::Breadcrumb;

/// The most lines on an error event. Sentry accepts a hundred; more than a page of them is rarely read.
const MAX_LINES: usize = 30;

/// The most bytes of all lines that are kept: thousands of short ones. Beyond it the traces that began first lose theirs.
const MAX_BYTES: usize = 4 << 20;

/// The last lines of each trace.
#[derive(Debug, Default)]
pub(super) struct Trails {
    traces: HashMap<TraceId, VecDeque<Arc<Breadcrumb>>, RandomState>,
    /// In the order of their first line. Without it the oldest could not make room.
    order: VecDeque<TraceId>,
    bytes: usize,
}

impl Trails {
    /// Notes a line.
    pub(super) fn add(&mut self, trace_id: TraceId, line: Breadcrumb) {
        let order = &mut self.order;
        let lines = self.traces.entry(trace_id).or_insert_with(|| {
            order.push_back(trace_id);
            VecDeque::new()
        });
        self.bytes += line.size();
        lines.push_back(Arc::new(line));
        if lines.len() > MAX_LINES {
            self.bytes -= lines.pop_front().map_or(0, |line| line.size());
        }
        while self.bytes > MAX_BYTES {
            let Some(oldest) = self.order.pop_front() else { return };
            let lines = self.traces.remove(&oldest).unwrap_or_default();
            self.bytes -= lines.iter().map(|line| line.size()).sum::<usize>();
        }
    }

    /// The lines of a trace before a time, without the one that reported the error itself, if that is noted already.
    pub(super) fn before(&self, trace_id: TraceId, timestamp: f64, own: Option<&str>) -> Vec<Arc<Breadcrumb>> {
        let lines = self.traces.get(&trace_id).into_iter().flatten();
        let mut lines: Vec<_> = lines.filter(|line| line.timestamp <= timestamp).cloned().collect();
        if lines.last().zip(own).is_some_and(|(line, own)| line.is_of(own)) {
            lines.pop();
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::trace::LogLine;

    fn texts(trails: &Trails, timestamp: f64, own: Option<&str>) -> Vec<String> {
        let lines = trails.before(trace(0), timestamp, own);
        lines.iter().map(|line| line.message.clone()).collect()
    }

    fn line(second: u64, body: &str) -> Breadcrumb {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        Breadcrumb::of(&LogLine { time, body: body.to_owned(), ..LogLine::default() })
    }

    fn trace(number: u64) -> TraceId {
        TraceId::from(u128::from(number) + 1)
    }

    #[test]
    fn the_last_lines_before_an_error_are_kept() {
        let mut trails = Trails::default();
        (0..40).for_each(|second| trails.add(trace(0), line(second, &second.to_string())));
        trails.add(trace(1), line(0, "of another trace"));
        assert_eq!(texts(&trails, 100.0, None).len(), MAX_LINES);
        assert_eq!(texts(&trails, 12.0, None), ["10", "11", "12"]);
        assert_eq!(texts(&trails, 12.0, Some("12")), ["10", "11"], "without its own line");
        assert_eq!(texts(&trails, 9.0, None).len(), 0);
    }

    #[test]
    fn only_the_own_line_of_an_error_is_left_out() {
        let mut trails = Trails::default();
        ["first", ""].iter().for_each(|body| trails.add(trace(0), line(0, body)));
        assert_eq!(texts(&trails, 1.0, None), ["first", ""], "a line without a text is no error's own");
        let long = "x".repeat(3000);
        trails.add(trace(0), line(0, &long));
        assert_eq!(texts(&trails, 1.0, Some(&long)), ["first", ""], "a long line is kept in part");
    }

    #[test]
    fn lines_take_a_bounded_amount_of_memory() {
        let mut trails = Trails::default();
        let long = "x".repeat(2000);
        for number in 0..20_000 {
            trails.add(trace(number), line(0, &long));
            assert!(trails.bytes <= MAX_BYTES);
        }
        assert_eq!(trails.before(trace(0), 1.0, None).len(), 0);
        assert_eq!(trails.before(trace(19_999), 1.0, None).len(), 1);
        let counted: usize = trails.traces.values().flatten().map(|line| line.size()).sum();
        assert_eq!((trails.bytes, trails.order.len()), (counted, trails.traces.len()));
    }
}
