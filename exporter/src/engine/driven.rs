//! A machine that the application drives, on runtimes without threads: no thread, no socket, no timer, no disk.

use std::{
    collections::VecDeque,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use opentelemetry::{Context, TraceId};
use opentelemetry_sentry_protocol::__shared::own_thread;
use web_time::Instant;

use super::{flush_error::FlushError, machine::Machine};
use crate::{
    account::Now,
    transport::{Answer, Outgoing},
};

/// What a call takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Take {
    /// What is due: traces whose wait for late spans is over, full envelopes, and what waited for a pause to end.
    Ready,
    /// Besides, what has ended of this trace, all logs and all check-ins of jobs. Spans below a local root that is still
    /// open stay, so this is for the end of a request.
    Trace(TraceId),
    /// Everything that is complete, of all traces, with all logs, check-ins and metrics. Spans below a local root that is still
    /// open stay, so this is for the end of a request whose trace is not known, and for one that may have begun others.
    Ended,
    /// Everything, also spans whose local root is still open: before a runtime freezes or ends.
    Everything,
}

/// How long a request may be out. It is the time that the thread gives to a request, and Workers to `waitUntil`.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A machine, and the answers to its requests.
pub(crate) struct Driven {
    machine: Mutex<Machine>,
    /// The requests that are out, by when they were taken: at most as many as the machine lets out. A runtime that ends a
    /// task neither answers nor drops its requests. Without this, a few such tasks would leave no room for others.
    out: Mutex<VecDeque<(Instant, u64)>>,
    /// Answers that the machine has not seen. Without it, an answer that comes while another thread packs would wait for that
    /// thread.
    answers: Mutex<Vec<(u64, Answer)>>,
}

impl Driven {
    pub(super) const fn new(machine: Machine) -> Self {
        Self { machine: Mutex::new(machine), out: Mutex::new(VecDeque::new()), answers: Mutex::new(Vec::new()) }
    }

    /// The requests that may be sent now.
    pub(crate) fn take(&self, what: Take, now: Now) -> Vec<Outgoing> {
        let take = |machine: &mut Machine| {
            self.give_up(machine, now);
            machine.step(now);
            match what {
                Take::Ready => {}
                Take::Trace(trace_id) => machine.take_in_trace(trace_id, now),
                Take::Ended => machine.take_in_ended(now),
                Take::Everything => machine.take_in_all(now),
            }
            let mut requests = machine.requests(now);
            // The process may be frozen for long after it.
            if matches!(what, Take::Ended | Take::Everything) && requests.is_empty() {
                requests.extend(machine.report_losses(now));
            }
            lock(&self.out).extend(requests.iter().map(|request| (now.instant, request.id)));
            requests
        };
        self.with_machine(now, take).unwrap_or_default()
    }

    /// Notes the answer to a request.
    pub(crate) fn answered(&self, id: u64, answer: Answer, now: Now) {
        lock(&self.answers).push((id, answer));
        // If another thread packs, the next call hands the answer over.
        if let Ok(mut machine) = self.machine.try_lock() {
            self.hand_over(&mut machine, now);
        }
    }

    /// What became of everything that was taken.
    pub(crate) fn result(&self, now: Now) -> Result<(), FlushError> {
        self.with_machine(now, Machine::result).unwrap_or(Err(FlushError::Waiting))
    }

    /// How long it takes at most until something is due, if nothing else happens.
    pub(crate) fn due_in(&self, now: Now) -> Duration {
        let given_up = |(taken, _): &(Instant, u64)| *taken + REQUEST_TIMEOUT;
        let due = self.with_machine(now, |machine| {
            let due = machine.wake_at(now);
            lock(&self.out).front().map_or(due, |request| due.min(given_up(request)))
        });
        due.map_or(Duration::ZERO, |due| due.saturating_duration_since(now.instant))
    }

    /// `None` if one of the application's hooks makes the call: it would wait for itself.
    fn with_machine<T>(&self, now: Now, f: impl FnOnce(&mut Machine) -> T) -> Option<T> {
        if own_thread::is_marked() {
            return None;
        }
        // Hooks run in here, and what they record would have to be delivered as well.
        let _own = own_thread::enter();
        let _suppressed = Context::enter_telemetry_suppressed_scope();
        let mut machine = lock(&self.machine);
        self.hand_over(&mut machine, now);
        Some(f(&mut machine))
    }

    fn hand_over(&self, machine: &mut Machine, now: Now) {
        let answers = mem::take(&mut *lock(&self.answers));
        if !answers.is_empty() {
            lock(&self.out).retain(|(_, out)| answers.iter().all(|(id, _)| id != out));
            answers.into_iter().for_each(|(id, answer)| machine.answered(id, answer, now));
            machine.settle();
        }
    }

    /// Counts requests that are out for too long as not answered. The machine ignores an answer that comes later.
    fn give_up(&self, machine: &mut Machine, now: Now) {
        let mut out = lock(&self.out);
        let late = out.iter().take_while(|(taken, _)| *taken + REQUEST_TIMEOUT <= now.instant).count();
        for (_, id) in out.drain(..late) {
            machine.answered(id, Answer::Nothing(format!("no answer within {REQUEST_TIMEOUT:?}")), now);
            machine.settle();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The application's functions are contained, so no code panics while it holds one of the locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
