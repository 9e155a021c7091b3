//! A function without a thread that is frozen for minutes between its invocations.

use std::collections::BTreeSet;

use super::{
    super::{Driven, FlushError, Take},
    simulation::{Parcel, Plan, Simulation, accepted, limited, millis, refused, seconds},
};
use crate::{account::DropReason, trace::TraceLifecycle, transport::Answer};

/// How long a platform freezes a function here.
const FREEZE: std::time::Duration = seconds(600);

/// A function: the engine, and what makes its spans.
struct Function {
    sim: Simulation,
    driven: Driven,
    /// The spans that have arrived.
    arrived: Vec<u64>,
}

impl Function {
    fn new(lifecycle: TraceLifecycle) -> Self {
        let mut plan = Plan::default();
        plan.engine.lifecycle = lifecycle;
        let mut sim = Simulation::new(plan, |_| unreachable!("the test answers"));
        let driven = sim.take_driven();
        Self { sim, driven, arrived: Vec::new() }
    }

    /// An invocation with a trace of three spans, and a flush at its end. The server says this to each request.
    fn invoke(&mut self, answer: impl Fn() -> Answer) -> Result<(), FlushError> {
        self.sim.trace(2, |_, _| {});
        let mut what = Take::Ended;
        loop {
            let requests = self.driven.take(what, self.sim.now());
            if requests.is_empty() {
                return self.driven.result(self.sim.now());
            }
            for outgoing in requests {
                let parcel = Parcel::new(self.sim.time(), &outgoing.request);
                let answer = answer();
                if matches!(answer, Answer::Status(200, _)) {
                    self.arrived.extend(parcel.spans);
                }
                self.driven.answered(outgoing.id, answer, self.sim.now());
            }
            what = Take::Ready;
        }
    }

    /// Spans that have arrived; each only once.
    fn arrived(&self) -> usize {
        let distinct: BTreeSet<_> = self.arrived.iter().collect();
        assert_eq!(distinct.len(), self.arrived.len(), "each span arrives once");
        distinct.len()
    }
}

fn ok() -> Answer {
    accepted(millis(1)).answer
}

fn no_answer() -> Answer {
    refused().answer
}

#[test]
fn each_invocation_after_a_freeze_is_right_and_whole() {
    for lifecycle in [TraceLifecycle::Transactions, TraceLifecycle::Stream] {
        let mut function = Function::new(lifecycle);
        for number in 1..=5 {
            assert_eq!(function.invoke(ok), Ok(()));
            assert_eq!(function.arrived(), 3 * number, "before the freeze");
            function.sim.freeze(FREEZE);
        }
        assert_eq!((function.sim.stats().spans_sent, function.sim.stats().spans_lost()), (15, 0));
    }
}

#[test]
fn a_request_that_was_out_while_it_was_frozen_is_sent_again() {
    let mut function = Function::new(TraceLifecycle::Transactions);
    function.sim.trace(2, |_, _| {});
    let out = function.driven.take(Take::Ended, function.sim.now());
    assert_eq!(out.len(), 1);
    function.sim.freeze(FREEZE);
    // Its connection is gone.
    function.driven.answered(out[0].id, no_answer(), function.sim.now());
    function.sim.freeze(FREEZE);
    assert_eq!(function.invoke(ok), Ok(()));
    assert_eq!((function.arrived(), function.sim.stats().spans_lost()), (6, 0));
}

#[test]
fn a_limit_that_has_ended_while_it_was_frozen_is_over() {
    let mut function = Function::new(TraceLifecycle::Transactions);
    assert_eq!(function.invoke(|| limited(60).answer), Err(FlushError::Undelivered { spans: 3 }));
    assert_eq!(function.invoke(ok), Err(FlushError::Undelivered { spans: 3 }), "it holds");
    function.sim.freeze(FREEZE);
    assert_eq!(function.invoke(ok), Ok(()));
    assert_eq!(function.arrived(), 3);
    assert_eq!(
        (function.sim.dropped(DropReason::RateLimited), function.sim.dropped(DropReason::RateLimitBackoff)),
        (3, 3)
    );
}

#[test]
fn what_a_dead_server_did_not_take_arrives_when_it_is_back() {
    for invocations in [1, 5, 20] {
        let mut function = Function::new(TraceLifecycle::Transactions);
        for _ in 0..invocations {
            assert_eq!(function.invoke(no_answer), Err(FlushError::Waiting));
            function.sim.freeze(FREEZE);
            let stats = function.sim.stats();
            assert_eq!(stats.spans_lost() + stats.spans_sent, 0, "{stats}");
        }
        // The first request only asks whether the server is back.
        let mut more = 0;
        while function.invoke(ok).is_err() {
            more += 1;
            assert!(more < 20);
            function.sim.freeze(FREEZE);
        }
        let stats = function.sim.stats();
        assert_eq!((function.arrived(), stats.spans_lost()), (3 * (invocations + more + 1), 0), "{stats}");
        assert_eq!(stats.spans_received, stats.spans_sent);
    }
}
