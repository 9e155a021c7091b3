//! How does work that outlives its response stay in the trace?

use std::borrow::Cow;

use opentelemetry::{
    Context,
    trace::{FutureExt, Link, SpanBuilder, SpanKind, TraceContextExt},
};

use super::span::{OpenSpan, apart};

/// Work that goes on when the response has left, as `after()` of Next.js: a transaction of its own in the same trace.
///
/// The transaction is a child of the span that is active **here**, and linked to it. What the trace's sampling decided
/// holds for it. The request's transaction does not wait for it; all that the work does is part of this one. Nothing is
/// spawned: give the future to the runtime of your choice.
///
/// ```
/// use opentelemetry_sentry::web::deferred;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// async fn place_order() -> &'static str {
///     tokio::spawn(deferred("send_confirmation", async { /* … */ }));
///     "ordered"
/// }
/// # place_order().await;
/// # }
/// ```
///
/// Do not add `.in_current_span()` to it: a `tracing` span stays open as long as something runs inside of it. The span
/// begins when the work does. If the future is dropped before it is done, or panics, the span says so.
///
/// At the end of the process, wait for the work before you shut down Sentry.
pub fn deferred<F: Future>(name: impl Into<Cow<'static, str>>, work: F) -> impl Future<Output = F::Output> {
    let cx = Context::current();
    let request = cx.span().span_context().clone();
    let links = if request.is_valid() { vec![Link::with_context(request)] } else { Vec::new() };
    let span = SpanBuilder::from_name(name).with_kind(SpanKind::Internal).with_links(links);
    let parent = apart(&cx);
    async move {
        let open = OpenSpan::start(span, &parent);
        let done = work.with_context(open.context().clone()).await;
        open.end();
        done
    }
}
