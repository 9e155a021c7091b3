//! Work that outlives its response and stays in the trace.

use std::borrow::Cow;

use opentelemetry::{
    Context,
    trace::{FutureExt, Link, SpanBuilder, SpanKind, TraceContextExt},
};

use super::span::{OpenSpan, as_local_root};

/// Wraps work that goes on after the response was sent, as `after()` of Next.js: a transaction of its own in the same
/// trace.
///
/// The transaction is a child of the span that is active where `deferred` is called, and linked to it. It has the
/// sampling decision of the trace. The request's transaction does not wait for it, and the spans of the work belong to
/// the new one. Nothing is spawned: pass the future to the runtime of your choice.
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
/// Do not add `.in_current_span()` to it: that would keep the request's span open until the work is done. The new span
/// starts when the future is first polled. If the future is dropped before it is done, the span's status is `cancelled`;
/// if it panics, the status is `internal_error`.
///
/// At the end of the process, wait for the work before you shut Sentry down.
pub fn deferred<F: Future>(name: impl Into<Cow<'static, str>>, work: F) -> impl Future<Output = F::Output> {
    let cx = Context::current();
    let request = cx.span().span_context().clone();
    let links = if request.is_valid() { vec![Link::with_context(request)] } else { Vec::new() };
    let span = SpanBuilder::from_name(name).with_kind(SpanKind::Internal).with_links(links);
    let parent = as_local_root(&cx);
    async move {
        let open = OpenSpan::start(span, &parent);
        let done = work.with_context(open.context().clone()).await;
        open.end();
        done
    }
}
