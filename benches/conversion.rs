//! How often a trace's way to JSON allocates, and how long it takes, beside the writing alone.
//!
//! Ours is all that the exporter's thread does with a trace before it is packed: it filters secrets, finds out op,
//! name, status and data of every span, and serialises. Beside it `serde_json` writes the very same bytes from structs
//! in which all of that is there already: nobody who has to write them can be faster. Both write into a buffer that is
//! kept.
//!
//! With `-- ours 1000` (or `ready-made`) it makes so many events and prints nothing, for whoever counts instructions.

use std::{env, hint::black_box};

use opentelemetry_sentry_benches::{
    counting::{Counting, count},
    timing::Effort,
};
use opentelemetry_sentry_exporter::testing::Conversion;

use self::ready_made::Event;

mod ready_made;
mod service_trace;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Makes an event.
type Side<'a> = Box<dyn FnMut() + 'a>;

fn main() {
    let spans = service_trace::spans();
    let count_of_spans = spans.len();
    let mut conversion = Conversion::new(spans).with_resource(&service_trace::resource());
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
