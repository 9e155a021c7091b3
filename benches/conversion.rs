//! Allocations and time of converting a trace to JSON, compared with only writing the JSON.
//!
//! Our side does all that the exporter's thread does with a trace before it is packed: it filters secrets, infers op,
//! name, status and data of every span, and serialises. On the other side, `serde_json` writes the same bytes from
//! structs that already have all of it: no conversion can be faster. Both write into a buffer that is reused.
//!
//! With `-- ours 1000` (or `ready-made`) it makes that many events and prints nothing, so that a profiler can count
//! instructions.

use std::{
    env,
    hint::black_box,
    sync::{Arc, Mutex},
};

use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SimpleSpanProcessor, SpanData, SpanExporter},
};
use opentelemetry_sentry_benches::{
    counting::{Counting, count},
    doors,
    service::Through,
    timing::Effort,
};
use opentelemetry_sentry_exporter::testing::Conversion;

use self::ready_made::Event;

mod ready_made;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Makes an event.
type Side<'a> = Box<dyn FnMut() + 'a>;

fn main() {
    let spans = spans();
    let count_of_spans = spans.len();
    let mut conversion = Conversion::new(spans).with_resource(&resource());
    let event: Event = serde_json::from_slice(conversion.serialise()).expect("the event has this shape");
    let mut buffer = Vec::new();
    serde_json::to_writer(&mut buffer, &event).expect("memory can be written to");
    assert_eq!(String::from_utf8_lossy(&buffer), String::from_utf8_lossy(conversion.serialise()));
    let bytes = buffer.len();
    let ours = || {
        black_box(black_box(&mut conversion).serialise());
    };
    let ready_made = || {
        buffer.clear();
        serde_json::to_writer(&mut buffer, black_box(&event)).expect("memory can be written to");
        black_box(&buffer);
    };
    let mut sides: [(&str, Side<'_>); 2] = [("ours", Box::new(ours)), ("ready-made", Box::new(ready_made))];
    let args: Vec<_> = env::args().skip(1).collect();
    if let Some((_, side)) = sides.iter_mut().find(|(name, _)| args.first().is_some_and(|arg| arg == name)) {
        let times = args.get(1).and_then(|times| times.parse().ok()).unwrap_or(1);
        return (0..times).for_each(|_| side());
    }
    println!("one transaction of {count_of_spans} spans, {bytes} bytes\n");
    print_table(sides, count_of_spans);
}

fn print_table(mut sides: [(&str, Side<'_>); 2], spans: usize) {
    let names = sides.each_ref().map(|(name, _)| *name);
    let counts = sides.each_mut().map(|(_, side)| count(side).own);
    let times = Effort::asked_for().time(sides.map(|(_, mut side)| move |(): &mut ()| side()), || ());
    println!("{:12} | allocations | per span | time", "");
    for ((name, count), time) in names.into_iter().zip(counts).zip(times) {
        println!("{name:12} | {count:11} | {:8.2} | {time:6.0} ns", count as f64 / spans as f64);
    }
    let [ours, ready_made] = times;
    println!("\nratio of times: {:.2}", ours / ready_made);
}

/// The spans of one trace of the service, the root first.
fn spans() -> Vec<SpanData> {
    let ended: Arc<Mutex<Vec<SpanData>>> = Arc::default();
    let provider = doors::provider(SimpleSpanProcessor::new(Collecting(Arc::clone(&ended))));
    Through::Api.make_trace(&provider.tracer("bench"));
    let mut spans = ended.lock().expect("no panic").split_off(0);
    spans.reverse();
    spans
}

/// An exporter that keeps the spans in order of their end.
#[derive(Debug)]
struct Collecting(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Collecting {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().expect("no panic").append(&mut batch);
        Ok(())
    }
}

/// The resource of the service.
fn resource() -> Resource {
    let attributes = [
        ("deployment.environment.name", "production"),
        ("service.name", "shop"),
        ("service.version", "1.2.3"),
        ("host.name", "shop-7d9c5b6f4-x2x7k"),
        ("os.type", "linux"),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.name", "opentelemetry"),
        ("telemetry.sdk.version", "0.33.1"),
    ];
    let attributes = attributes.map(|(key, value)| KeyValue::new(key, value));
    Resource::builder_empty().with_attributes(attributes).build()
}
