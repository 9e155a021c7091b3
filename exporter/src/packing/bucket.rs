//! Makes envelopes of streamed spans.

use std::sync::Arc;

use super::{
    container::{SpanWriter, envelopes},
    envelope::Envelope,
    packer::Packer,
};
use crate::{
    account::{Counts, DropReason, Ledger},
    trace::{Bucket, EndedSpan, Fate, Trace, TraceContext, known_or_minimal},
};

impl Packer {
    /// Makes the envelopes of a bucket: of its exceptions, if the application wants these, and of its spans.
    pub(crate) fn pack_bucket(&mut self, bucket: Bucket, ledger: &Ledger) -> Vec<Envelope> {
        let Bucket { trace_id, context, spans } = bucket;
        let mut trace = Trace { context, spans, fate: Fate::Early };
        self.scrub(&mut trace);
        self.name_segments(&trace.spans);
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
        let mut bucket = Bucket { trace_id, context: trace.context, spans: trace.spans };
        let Self { sender, rules, buffer, container_limit, .. } = self;
        let writer = SpanWriter { sender, transaction: None, buffer, ledger };
        all.extend(envelopes(&mut bucket, &rules.hooks, writer, *container_limit));
        self.spent = bucket.spans;
        all
    }

    /// Makes the names of the segments that these spans repeat, after secrets are hidden.
    fn name_segments(&self, spans: &[EndedSpan]) {
        let segments = || spans.iter().filter_map(|span| Some((span, span.segment.as_ref()?)));
        for (root, segment) in segments().filter(|(span, _)| span.is_local_root()) {
            segment.ended(&root.attributes().describe_streamed(&root.name, &root.span_kind).name);
        }
        segments().for_each(|(_, segment)| segment.name_start(|start| self.rules.scrubber.scrub_start(start)));
    }
}
