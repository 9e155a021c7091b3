//! What is sent: tags, attributes, secrets, hooks, filters, exceptions.

use opentelemetry::{Key, Value};

use super::SentryExporterBuilder;
use crate::packing::{ErrorEvent, SpanEvent, SpanFilter, TransactionEvent};

impl SentryExporterBuilder {
    /// Adds a tag to all transactions and error events. A second tag with the same key replaces the first. Streamed spans
    /// have no tags: [`with_attribute`](Self::with_attribute) takes their place. Defaults to no tags.
    ///
    /// A key may contain ASCII letters, digits, `_`, `.`, `:` and `-`; other characters are replaced. Key and value are
    /// cut after 200 characters. An empty value removes the tag. An empty key is an error of [`build`](Self::build),
    /// and so are the keys that Sentry reserves: `dist`, `environment`, `filename`, `function`, `release` and `user`.
    ///
    /// ```
    /// use opentelemetry_sentry_exporter::SentryExporter;
    ///
    /// let error = SentryExporter::builder().with_tag("release", "1.2.3").build().unwrap_err();
    /// assert_eq!(error.to_string(), "with_tag: Sentry keeps the key \"release\" for itself");
    /// ```
    pub fn with_tag(mut self, key: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.options.tags.add(|tags| tags.add(key.as_ref(), value.as_ref()));
        self
    }

    /// Adds an attribute to all streamed spans, logs and metrics. A second one with the same key replaces the first, and an
    /// attribute of the span, record or measurement itself beats it. Transactions and error events do not have it: they have
    /// [tags](Self::with_tag). Defaults to no attributes.
    ///
    /// An empty key, and more than 16 KiB of keys and values, are errors of [`build`](Self::build). The attribute
    /// replaces `sentry.release`, `sentry.environment`, `service.name` and `server.address`; other keys that this crate sets,
    /// such as `sentry.op`, have no effect.
    ///
    /// ```
    /// use opentelemetry_sentry_exporter::{SentryExporter, TraceLifecycle};
    ///
    /// let exporter = SentryExporter::builder()
    ///     .with_lifecycle(TraceLifecycle::Stream)
    ///     .with_attribute("tenant", "acme")
    ///     .with_attribute("shard", 7)
    ///     .build()?;
    /// # Ok::<(), opentelemetry_sentry_exporter::ExporterBuildError>(())
    /// ```
    pub fn with_attribute(mut self, key: impl Into<Key>, value: impl Into<Value>) -> Self {
        self.options.attributes.add(key.into(), value.into());
        self
    }

    /// Makes tags of these attributes. Defaults to none.
    ///
    /// The value is taken from the root of a transaction or from the span of an error event; if it is missing there,
    /// from the first span of the transaction that has the attribute; otherwise from the resource. Such a tag replaces
    /// one of the same name that was set with [`with_tag`](Self::with_tag).
    ///
    /// ```
    /// use opentelemetry_sentry_exporter::SentryExporter;
    ///
    /// let exporter = SentryExporter::builder().with_tag_attributes(["tenant.id", "service.namespace"]).build()?;
    /// # Ok::<(), opentelemetry_sentry_exporter::ExporterBuildError>(())
    /// ```
    pub fn with_tag_attributes(mut self, attributes: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        for attribute in attributes {
            self.options.tags.add(|tags| tags.add_attribute(attribute.as_ref()));
        }
        self
    }

    /// Sets a function that can replace the value of any attribute of a span, its events, its links and the resource.
    /// It returns the value to send instead, or `None` to keep the value. If it panics, the value is hidden. Defaults
    /// to none.
    ///
    /// It runs after the default filter, which hides the text of attributes whose key contains `authorization`,
    /// `cookie`, `token`, `secret`, `password` or `api-key`, and user info in URLs.
    ///
    /// ```
    /// use opentelemetry_sentry_exporter::SentryExporter;
    ///
    /// let exporter = SentryExporter::builder()
    ///     .with_scrubber(|key, _| (key == "card.number").then(|| "[card]".into()))
    ///     .build()?;
    /// # Ok::<(), opentelemetry_sentry_exporter::ExporterBuildError>(())
    /// ```
    pub fn with_scrubber(mut self, f: impl Fn(&str, &Value) -> Option<Value> + Send + Sync + 'static) -> Self {
        self.options.rules.scrubber.set_own(f);
        self
    }

    /// Sets whether the default filter hides secrets, by the names of attributes, and user info in URLs. Defaults to
    /// `true`.
    pub const fn with_default_scrubbing(mut self, on: bool) -> Self {
        self.options.rules.scrubber.set_default(on);
        self
    }

    /// Sets a hook that may change each transaction before it is sent, or drop it by returning `None`. A panic also
    /// drops it. It runs on the exporter's thread. With [`TraceLifecycle::Stream`](crate::TraceLifecycle::Stream) it is an
    /// error of [`build`](Self::build), because there are no transactions. See [`TransactionEvent`] for an example.
    /// Defaults to none.
    pub fn with_before_send_transaction(
        mut self,
        f: impl Fn(TransactionEvent) -> Option<TransactionEvent> + Send + Sync + 'static,
    ) -> Self {
        self.options.rules.hooks.set_transaction(f);
        self
    }

    /// Sets a hook that may change each span before its transaction is sent, including the root. It runs before the
    /// hook for transactions. A panic drops the transaction. See [`SpanEvent`]. Defaults to none.
    ///
    /// With [`TraceLifecycle::Stream`](crate::TraceLifecycle::Stream) it may change the name, the op and the attributes of
    /// each span, and a panic changes nothing. The attributes then include those that this crate adds, such as
    /// `sentry.segment.name`.
    ///
    /// ```
    /// use opentelemetry_sentry_exporter::SentryExporter;
    ///
    /// let exporter = SentryExporter::builder()
    ///     .with_before_send_span(|span| {
    ///         if span.op.as_deref() == Some("db") {
    ///             span.data.remove("db.query.text");
    ///         }
    ///     })
    ///     .build()?;
    /// # Ok::<(), opentelemetry_sentry_exporter::ExporterBuildError>(())
    /// ```
    pub fn with_before_send_span(mut self, f: impl Fn(&mut SpanEvent) + Send + Sync + 'static) -> Self {
        self.options.rules.hooks.set_span(f);
        self
    }

    /// Adds filters for transactions that are not sent. A filter is applied to the root. A text matches a part of the
    /// name, or with a `*` the whole name. With [`TraceLifecycle::Stream`](crate::TraceLifecycle::Stream) they are an
    /// error of [`build`](Self::build): use [`with_ignore_spans`](Self::with_ignore_spans). See [`SpanFilter`] for an
    /// example. Defaults to no filters.
    pub fn with_ignore_transactions(mut self, filters: impl IntoIterator<Item = impl Into<SpanFilter>>) -> Self {
        self.options.rules.ignored_transactions.add(filters);
        self
    }

    /// Adds filters for spans that are not sent. The children of such a span move up to its parent. If a local root
    /// matches, its whole transaction is dropped. A text matches a part of the name, as in `ignoreSpans` of Sentry's SDKs,
    /// or with a `*` the whole name: the name in Sentry, or the one with which the span was started. See [`SpanFilter`] for an example. Defaults to no filters.
    ///
    /// With [`TraceLifecycle::Stream`](crate::TraceLifecycle::Stream) a filter is applied when a span **starts**, because its
    /// children leave before it ends. It sees the name, the op and the attributes of the start; what is set later cannot
    /// match, such as the status of a response. A local root that matches takes its whole tree along, and the services that
    /// it calls do not sample it either. Requests below an ignored child name its parent as theirs.
    ///
    /// | without | what changes |
    /// | --- | --- |
    /// | `SentrySampler`, with a shared [decision log](Self::with_decision_log) | the services that an ignored local root calls get the other sampler's decision |
    /// | [`SentrySpanProcessor`](crate::SentrySpanProcessor) | a filter is applied when a span ends, to this span alone |
    pub fn with_ignore_spans(mut self, filters: impl IntoIterator<Item = impl Into<SpanFilter>>) -> Self {
        self.options.rules.ignored_spans.add(filters);
        self
    }

    /// Sets whether spans of generative models leave beside their transaction, as streamed spans in an item of their own.
    /// Defaults to `true`.
    ///
    /// These are the spans below a transaction's root whose op begins with `gen_ai.`. Prompts and answers are long: as
    /// items of their own they take no room of the other spans, and each may have 1 MB. Self-hosted Sentry before 26.4
    /// may lose them, so set `false` there. It has no effect on [`TraceLifecycle::Stream`](crate::TraceLifecycle::Stream).
    ///
    /// ```
    /// use opentelemetry_sentry_exporter::SentryExporter;
    ///
    /// let exporter = SentryExporter::builder().with_gen_ai_span_items(false).build()?;
    /// # Ok::<(), opentelemetry_sentry_exporter::ExporterBuildError>(())
    /// ```
    pub const fn with_gen_ai_span_items(mut self, on: bool) -> Self {
        self.options.rules.keeps_gen_ai = !on;
        self
    }

    /// Sets whether what generative models were asked and what they answered is sent, as `include_prompts` of Sentry's
    /// Python SDK does. Defaults to `true`.
    ///
    /// With `false` the messages, instructions and tool definitions of spans, of their events and of logs are removed, and so
    /// is what tools and MCP servers get and return. The guide of `opentelemetry-sentry` lists the attributes, on its page
    /// `privacy`. Models, names of tools and numbers of tokens are sent in any case.
    ///
    /// ```
    /// use opentelemetry_sentry_exporter::SentryExporter;
    ///
    /// let exporter = SentryExporter::builder().with_include_prompts(false).build()?;
    /// # Ok::<(), opentelemetry_sentry_exporter::ExporterBuildError>(())
    /// ```
    pub const fn with_include_prompts(mut self, on: bool) -> Self {
        self.options.rules.removes_prompts = !on;
        self
    }

    /// Sets whether exceptions become error events of their own. Defaults to `false`.
    ///
    /// Exceptions are span events named `exception` (OpenTelemetry's `record_error`, `#[instrument(err)]`) or with
    /// `exception.*` attributes, and `tracing` events of level `ERROR` with a field `error`. A failure that
    /// passes through several spans of a trace is one event, if its text stays the same or is among the causes of the
    /// next one. Causes are known if the error itself is recorded, as in `error!(error = &e as &dyn Error)`.
    ///
    /// Spans have them in sampled traces only. A `SentryLogProcessor` of this exporter adds those of log records at ERROR and
    /// above, in any trace and in none: records with `exception.*` attributes or an attribute `error`. A failure that span and
    /// record report is one event.
    pub const fn with_exceptions_as_errors(mut self, on: bool) -> Self {
        self.options.rules.exceptions_as_errors = on;
        self
    }

    /// Sets a hook that may change each error event before it is sent, or drop it by returning `None`. A panic also drops
    /// it. It runs on the exporter's thread. Without [`with_exceptions_as_errors`](Self::with_exceptions_as_errors) there are
    /// no error events. See [`ErrorEvent`] for an example. Defaults to none.
    pub fn with_before_send_error(
        mut self,
        f: impl Fn(ErrorEvent) -> Option<ErrorEvent> + Send + Sync + 'static,
    ) -> Self {
        self.options.rules.hooks.set_error(f);
        self
    }

    /// Adds texts of error events that are not sent, as in the `ignoreErrors` of Sentry's SDKs: each is a part of type and
    /// message, as in `shop::NoStock: no lamps left`. They count as [`Ignored`](crate::DropReason::Ignored). Defaults to
    /// none.
    pub fn with_ignore_errors(mut self, parts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.options.rules.ignored_errors.extend(parts.into_iter().map(Into::into));
        self
    }
}
