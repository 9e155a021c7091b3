//! Many traces at once, whose spans begin on one thread, move, and end on another.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
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
use opentelemetry_sentry::{SentryExporter, SentrySpanProcessor, exporter::testing::LocalIngest};

use super::account::{Row, arrived, assert_account, assert_same, row};
use crate::support::PATIENCE;

const THREADS: usize = 8;
const TRACES: usize = 200;

/// Levels below a root.
const DEPTH: u32 = 3;

/// Spans that one thread keeps open before it has the first of them ended.
const FULL_BAG: usize = 40;

#[test]
fn every_span_of_many_threads_arrives_through_our_processor() {
    let ingest = LocalIngest::start().unwrap();
    let exporter = SentryExporter::builder().with_dsn(ingest.dsn()).build().unwrap();
    let processor = SentrySpanProcessor::from(exporter);
    let provider = provider(processor.clone());
    let ended = make_spans(&provider);
    assert_eq!(processor.flush(2 * PATIENCE), Ok(()));
    let arrived = arrived(&ingest.envelopes());
    assert_same(ended, &arrived);
    assert_account(&processor.stats(), &arrived);
}

#[test]
fn every_span_of_many_threads_arrives_through_the_batch_processor() {
    let ingest = LocalIngest::start().unwrap();
    let exporter = Shared::to(&ingest);
    // Room for all of them, as it drops without a word.
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

/// An exporter that can still be asked after a processor has it.
#[derive(Clone, Debug)]
struct Shared(Arc<SentryExporter>);

impl Shared {
    fn to(ingest: &LocalIngest) -> Self {
        Self(Arc::new(SentryExporter::builder().with_dsn(ingest.dsn()).build().expect("a valid setup")))
    }

    fn check(&self, ingest: &LocalIngest, ended: Vec<Row>) {
        flush_for_long(|| self.0.force_flush());
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
    assert!(made.len() > 10 * TRACES, "a forest worth the name");
    flush_for_long(|| provider.force_flush());
    made
}

/// Each flush gives itself five seconds, which a busy machine may exceed.
fn flush_for_long(flush: impl Fn() -> OTelSdkResult) {
    let deadline = Instant::now() + 2 * PATIENCE;
    while let Err(error) = flush() {
        assert!(Instant::now() < deadline, "{error}");
    }
}

/// What one thread asks of another.
enum Task {
    /// Start the children of this span, which are so many levels below their root.
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
        // Every open span is with somebody, who sends it on before long, or ends it.
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

    /// Has any of the spans that may end ended by anybody.
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
        // Who is gone has seen that no span is open.
        self.others[other].send(task).expect("somebody waits");
    }
}

/// A linear congruential generator, of which the upper bits are good enough.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        let next = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 = next;
        (next >> 33) as usize % limit
    }
}
