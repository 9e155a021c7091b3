//! Many traces at once, whose spans start on one thread, move to others, and end on any of them.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::Duration,
};

use opentelemetry::{
    Context, SpanId,
    trace::{TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider, SimpleSpanProcessor, SpanData,
        SpanExporter, SpanProcessor,
    },
};
use opentelemetry_sentry::{SentryExporter, exporter::testing::LocalIngest};

use super::account::{Row, arrived, assert_account, assert_same, row};
use crate::support::{PATIENCE, exporter_to, flush_patiently, processor_to};

const THREADS: usize = 8;
const TRACES: usize = 200;

/// Levels below a root.
const DEPTH: u32 = 3;

/// A thread with more open spans than this has one of them ended.
const FULL_BAG: usize = 40;

#[test]
fn every_span_of_many_threads_arrives_through_our_processor() {
    let ingest = LocalIngest::start().unwrap();
    let processor = processor_to(&ingest);
    let provider = provider(processor.clone());
    let ended = make_spans(&provider);
    assert_eq!(processor.flush(PATIENCE), Ok(()));
    let arrived = arrived(&ingest.envelopes());
    assert_same(ended, &arrived);
    assert_account(&processor.stats(), &arrived);
}

#[test]
fn every_span_of_many_threads_arrives_through_the_batch_processor() {
    let ingest = LocalIngest::start().unwrap();
    let exporter = Shared::to(&ingest);
    // Room for all spans: this processor drops the rest without counting them.
    let config = BatchConfigBuilder::default().with_max_queue_size(1 << 15).build();
    let processor = BatchSpanProcessor::builder(exporter.clone()).with_batch_config(config).build();
    let provider = provider(processor);
    let ended = make_spans(&provider);
    exporter.check(&ingest, ended);
}

#[test]
fn every_span_of_many_threads_arrives_through_the_simple_processor() {
    let ingest = LocalIngest::start().unwrap();
    let exporter = Shared::to(&ingest);
    let provider = provider(SimpleSpanProcessor::new(exporter.clone()));
    let ended = make_spans(&provider);
    exporter.check(&ingest, ended);
}

/// An exporter that the test can still use after it gave it to a processor.
#[derive(Clone, Debug)]
struct Shared(Arc<SentryExporter>);

impl Shared {
    fn to(ingest: &LocalIngest) -> Self {
        Self(Arc::new(exporter_to(ingest)))
    }

    fn check(&self, ingest: &LocalIngest, ended: Vec<Row>) {
        flush_patiently(|| self.0.force_flush());
        let arrived = arrived(&ingest.envelopes());
        assert_same(ended, &arrived);
        assert_account(&self.0.stats(), &arrived);
    }
}

impl SpanExporter for Shared {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.export(batch).await
    }
}

fn provider(processor: impl SpanProcessor + 'static) -> SdkTracerProvider {
    SdkTracerProvider::builder().with_span_processor(processor).build()
}

/// Makes the spans of all traces, and returns them when all have ended and the processor's queue is empty.
fn make_spans(provider: &SdkTracerProvider) -> Vec<Row> {
    let (inboxes, receivers): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| mpsc::channel()).unzip();
    let (open, all_roots) = (AtomicUsize::new(0), Barrier::new(THREADS));
    let made = thread::scope(|scope| {
        let workers: Vec<_> = (1..)
            .zip(receivers)
            .map(|(seed, inbox)| {
                let random = Random(seed);
                let tracer = provider.tracer("stress");
                let worker = Worker {
                    tracer,
                    random,
                    inbox,
                    others: inboxes.clone(),
                    open: &open,
                    bag: Vec::new(),
                    made: Vec::new(),
                };
                scope.spawn(|| worker.run(&all_roots))
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect::<Vec<_>>()
    });
    assert!(made.len() > 10 * TRACES, "the traces are not trivial");
    flush_patiently(|| provider.force_flush());
    made
}

/// What one thread makes another one do.
enum Task {
    /// Start the children of this span, which has this depth below its root.
    Grow(Context, u32),
    End(Context),
}

struct Worker<'a> {
    tracer: SdkTracer,
    random: Random,
    inbox: Receiver<Task>,
    others: Vec<Sender<Task>>,
    /// Spans of all threads that have not ended.
    open: &'a AtomicUsize,
    /// Spans that have all of their children and may end.
    bag: Vec<Context>,
    made: Vec<Row>,
}

impl Worker<'_> {
    fn run(mut self, all_roots: &Barrier) -> Vec<Row> {
        for _ in 0..TRACES / THREADS {
            self.start(&Context::new(), 1);
        }
        all_roots.wait();
        // Every open span is in an inbox or a bag, so some thread passes it on or ends it.
        while self.open.load(Ordering::Acquire) > 0 {
            match self.inbox.recv_timeout(Duration::from_micros(100)) {
                Ok(Task::Grow(parent, depth)) => self.grow(parent, depth),
                Ok(Task::End(cx)) => self.end(&cx),
                Err(_) => self.pass_one_on(),
            }
            if self.bag.len() > FULL_BAG {
                self.pass_one_on();
            }
        }
        self.made
    }

    fn start(&mut self, parent: &Context, depth: u32) {
        let cx = parent.with_span(self.tracer.start_with_context("work", parent));
        self.open.fetch_add(1, Ordering::AcqRel);
        let parent_id = if parent.has_active_span() { parent.span().span_context().span_id() } else { SpanId::INVALID };
        self.made.push(row(cx.span().span_context(), parent_id));
        self.send(Task::Grow(cx, depth));
    }

    fn grow(&mut self, parent: Context, depth: u32) {
        if depth <= DEPTH {
            for _ in 0..1 + self.random.below(4) {
                self.start(&parent, depth + 1);
            }
        }
        self.bag.push(parent);
    }

    /// Makes a random thread end a random one of the spans that may end.
    fn pass_one_on(&mut self) {
        if self.bag.is_empty() {
            return;
        }
        let place = self.random.below(self.bag.len());
        let task = Task::End(self.bag.swap_remove(place));
        self.send(task);
    }

    fn end(&self, cx: &Context) {
        cx.span().end();
        self.open.fetch_sub(1, Ordering::AcqRel);
    }

    fn send(&mut self, task: Task) {
        let other = self.random.below(self.others.len());
        // A thread stops only when no span is open, and the span of this task is.
        self.others[other].send(task).expect("all threads run");
    }
}

/// A linear congruential generator. Only its upper bits are used, as the lower ones are hardly random.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        let next = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 = next;
        (next >> 33) as usize % limit
    }
}
