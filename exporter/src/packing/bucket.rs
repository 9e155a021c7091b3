//! Makes envelopes of streamed spans.

use std::sync::Arc;

use super::{
    container::{SpanWriter, envelopes},
    envelope::Envelope,
    packer::Packer,
};
use crate::{
    account::{Counts, DropReason, Ledger},
    trace::{Bucket, Fate, Trace, TraceContext, known_or_minimal},
};

impl Packer {
    /// Makes the envelopes of a bucket: of its exceptions, if the application wants these, and of its spans.
    pub(crate) fn pack_bucket(&mut self, bucket: Bucket, ledger: &Ledger) -> Vec<Envelope> {
        let Bucket { trace_id, context, spans } = bucket;
        let mut trace = Trace { context, spans, fate: Fate::Early };
        self.scrub(&mut trace);
        let mut all = self.pack_span_events(&trace.spans, ledger);
        if self.rules.exceptions_as_errors {
            // An error event has the same context as the spans, also if it is made here.
            let dsc = known_or_minimal(trace.context.as_deref(), &self.sender.service, trace_id);
            trace.context = Some(Arc::new(TraceContext::Frozen(dsc)));
            all.extend(self.pack_errors(&trace, ledger));
        }
        let before = trace.spans.len();
        trace.spans.retain(|span| !span.is_ignored);
        ledger.dropped(DropReason::Ignored, Counts::spans(before - trace.spans.len()));
        let bucket = Bucket { trace_id, context: trace.context, spans: trace.spans };
        let Self { sender, rules, buffer, container_limit, .. } = self;
        let writer = SpanWriter { sender, transaction: None, buffer, ledger };
        all.extend(envelopes(bucket, &rules.hooks, writer, *container_limit));
        all
    }
}
