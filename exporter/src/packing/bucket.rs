//! Makes envelopes of streamed spans.

use super::{
    container::{SpanWriter, envelopes},
    envelope::Envelope,
    packer::Packer,
};
use crate::{
    account::Ledger,
    trace::{Bucket, Fate, Trace},
};

impl Packer {
    /// Makes the envelopes of a bucket: of its exceptions, if the application wants these, and of its spans.
    pub(crate) fn pack_bucket(&mut self, bucket: Bucket, ledger: &Ledger) -> Vec<Envelope> {
        let Bucket { trace_id, context, spans } = bucket;
        let mut trace = Trace { context, spans, fate: Fate::Early };
        self.scrub(&mut trace);
        let mut all = if self.rules.exceptions_as_errors { self.pack_errors(&trace, ledger) } else { Vec::new() };
        let bucket = Bucket { trace_id, context: trace.context, spans: trace.spans };
        let Self { sender, rules, buffer, container_limit, .. } = self;
        let writer = SpanWriter { sender, transaction: None, buffer, ledger };
        all.extend(envelopes(bucket, &rules.hooks, writer, *container_limit));
        all
    }
}
