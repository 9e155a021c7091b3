//! Attribute names: OpenTelemetry's semantic conventions, old and new, and Sentry's own.
//!
//! They are written out here because the crate of constants hides half of them behind features and deprecates the old
//! names, which the spans of many instrumentations still have.

/// HTTP: the method, stable name.
pub const HTTP_REQUEST_METHOD: &str = "http.request.method";
/// HTTP: the method, old name.
pub const HTTP_METHOD: &str = "http.method";
/// HTTP: the route template of a server, such as `/users/:id`.
pub const HTTP_ROUTE: &str = "http.route";
/// HTTP: path and query, old name.
pub const HTTP_TARGET: &str = "http.target";
/// HTTP: the whole URL, old name.
pub const HTTP_URL: &str = "http.url";
/// HTTP: the response's status, stable name.
pub const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
/// HTTP: the response's status, old name.
pub const HTTP_STATUS_CODE: &str = "http.status_code";
/// URL: the whole URL.
pub const URL_FULL: &str = "url.full";
/// URL: the path.
pub const URL_PATH: &str = "url.path";
/// URL: the query.
pub const URL_QUERY: &str = "url.query";
/// URL: the scheme, stable name.
pub const URL_SCHEME: &str = "url.scheme";
/// URL: the scheme, old name.
pub const HTTP_SCHEME: &str = "http.scheme";
/// HTTP: host and port that the client requested, old name.
pub const HTTP_HOST: &str = "http.host";
/// Server: name or address, stable name.
pub const SERVER_ADDRESS: &str = "server.address";
/// Server: the port, stable name.
pub const SERVER_PORT: &str = "server.port";
/// Server: name or address as a client sees it, old name.
pub const NET_PEER_NAME: &str = "net.peer.name";
/// Server: the port as a client sees it, old name.
pub const NET_PEER_PORT: &str = "net.peer.port";
/// HTTP: prefix of attributes for request headers; the header's name follows in lower case.
pub const HTTP_REQUEST_HEADER: &str = "http.request.header.";
/// HTTP: prefix of attributes for response headers; the header's name follows in lower case.
pub const HTTP_RESPONSE_HEADER: &str = "http.response.header.";
/// HTTP: the size of a response's body in bytes, stable name.
pub const HTTP_RESPONSE_BODY_SIZE: &str = "http.response.body.size";
/// HTTP: the size of a response's body in bytes, old name.
pub const HTTP_RESPONSE_CONTENT_LENGTH: &str = "http.response_content_length";
/// User agent: the text that the client sends, stable name.
pub const USER_AGENT_ORIGINAL: &str = "user_agent.original";
/// User agent: the text that the client sends, old name.
pub const HTTP_USER_AGENT: &str = "http.user_agent";
/// Database: the product, stable name.
pub const DB_SYSTEM_NAME: &str = "db.system.name";
/// Database: the product, old name.
pub const DB_SYSTEM: &str = "db.system";
/// Database: the query, stable name.
pub const DB_QUERY_TEXT: &str = "db.query.text";
/// Database: the query, old name.
pub const DB_STATEMENT: &str = "db.statement";
/// Database: a summary of the query with low cardinality.
pub const DB_QUERY_SUMMARY: &str = "db.query.summary";
/// Database: the operation, stable name.
pub const DB_OPERATION_NAME: &str = "db.operation.name";
/// Database: the operation, old name.
pub const DB_OPERATION: &str = "db.operation";
/// Caches: the operation, such as `get`.
pub const CACHE_OPERATION: &str = "cache.operation";
/// Caches: whether the key was found.
pub const CACHE_HIT: &str = "cache.hit";
/// Caches: the keys, always a list.
pub const CACHE_KEY: &str = "cache.key";
/// Database: the table or collection.
pub const DB_COLLECTION_NAME: &str = "db.collection.name";
/// Database: the stored procedure.
pub const DB_STORED_PROCEDURE_NAME: &str = "db.stored_procedure.name";
/// Database: the number of rows that a query has returned.
pub const DB_RESPONSE_RETURNED_ROWS: &str = "db.response.returned_rows";
/// Serverless functions: the event that started it.
pub const FAAS_TRIGGER: &str = "faas.trigger";
/// Generative models: the operation, such as `chat`.
pub const GEN_AI_OPERATION_NAME: &str = "gen_ai.operation.name";
/// Generative models: the agent's name.
pub const GEN_AI_AGENT_NAME: &str = "gen_ai.agent.name";
/// Generative models: the model that was asked for.
pub const GEN_AI_REQUEST_MODEL: &str = "gen_ai.request.model";
/// Generative models: what the model was asked, newest name.
pub const GEN_AI_INPUT_MESSAGES: &str = "gen_ai.input.messages";
/// Generative models: what the model was asked, old name.
pub const GEN_AI_REQUEST_MESSAGES: &str = "gen_ai.request.messages";
/// Generative models: what the model answered, newest name.
pub const GEN_AI_OUTPUT_MESSAGES: &str = "gen_ai.output.messages";
/// Generative models: the text of the answer, old name.
pub const GEN_AI_RESPONSE_TEXT: &str = "gen_ai.response.text";
/// Generative models: the tools that the answer calls, old name.
pub const GEN_AI_RESPONSE_TOOL_CALLS: &str = "gen_ai.response.tool_calls";
/// Generative models and MCP: the tool's name, newest name first.
pub const TOOL_NAMES: [&str; 2] = ["gen_ai.tool.name", "mcp.tool.name"];
/// MCP: the prompt's name, newest name first.
pub const PROMPT_NAMES: [&str; 2] = ["gen_ai.prompt.name", "mcp.prompt.name"];
/// MCP: the method, such as `tools/call`.
pub const MCP_METHOD_NAME: &str = "mcp.method.name";
/// GraphQL: query, mutation or subscription.
pub const GRAPHQL_OPERATION_TYPE: &str = "graphql.operation.type";
/// GraphQL: the name of the operation.
pub const GRAPHQL_OPERATION_NAME: &str = "graphql.operation.name";
/// GraphQL: the document of the request.
pub const GRAPHQL_DOCUMENT: &str = "graphql.document";
/// Messaging: the product.
pub const MESSAGING_SYSTEM: &str = "messaging.system";
/// Messaging: the operation, such as `publish`, stable name.
pub const MESSAGING_OPERATION_TYPE: &str = "messaging.operation.type";
/// Messaging: the operation, such as `publish`, old name.
pub const MESSAGING_OPERATION: &str = "messaging.operation";
/// RPC: the called service, old name.
pub const RPC_SERVICE: &str = "rpc.service";
/// RPC: the framework, newest name.
pub const RPC_SYSTEM_NAME: &str = "rpc.system.name";
/// RPC: the framework, old name.
pub const RPC_SYSTEM: &str = "rpc.system";
/// RPC: the gRPC status as a number.
pub const RPC_GRPC_STATUS_CODE: &str = "rpc.grpc.status_code";
/// RPC: the status by name or number, newest name.
pub const RPC_RESPONSE_STATUS_CODE: &str = "rpc.response.status_code";
/// Exceptions: the name of the span event, and the prefix of its attributes.
pub const EXCEPTION: &str = "exception";
/// Exceptions: the type.
pub const EXCEPTION_TYPE: &str = "exception.type";
/// Exceptions: the message.
pub const EXCEPTION_MESSAGE: &str = "exception.message";
/// Exceptions: the stack as text. `tracing-opentelemetry` records the list of causes under this name.
pub const EXCEPTION_STACKTRACE: &str = "exception.stacktrace";
/// Exceptions: whether it ended the span.
pub const EXCEPTION_ESCAPED: &str = "exception.escaped";
/// Errors: the type of the error, also on spans.
pub const ERROR_TYPE: &str = "error.type";
/// Errors: the field in which `tracing` events record an error.
pub const ERROR: &str = "error";
/// Errors: the causes of [`ERROR`], the direct cause first.
pub const ERROR_CHAIN: &str = "error.chain";
/// Events: the severity, as `tracing-opentelemetry` records it.
pub const LEVEL: &str = "level";
/// Code: the function with its path, stable name.
pub const CODE_FUNCTION_NAME: &str = "code.function.name";
/// Code: the function, old name.
pub const CODE_FUNCTION: &str = "code.function";
/// Code: the file, stable name.
pub const CODE_FILE_PATH: &str = "code.file.path";
/// Code: the file, old name.
pub const CODE_FILEPATH: &str = "code.filepath";
/// Code: the line, stable name.
pub const CODE_LINE_NUMBER: &str = "code.line.number";
/// Code: the line, old name.
pub const CODE_LINENO: &str = "code.lineno";
/// Code: the module, as `tracing-opentelemetry` names it.
pub const CODE_MODULE_NAME: &str = "code.module.name";
/// Code: the module, old name.
pub const CODE_NAMESPACE: &str = "code.namespace";
/// Browsers: the name of an event with a web vital, and the prefix of its attributes.
pub const BROWSER_WEB_VITAL: &str = "browser.web_vital";
/// Scope: the name of the instrumentation, for back ends that do not know scopes.
pub const OTEL_SCOPE_NAME: &str = "otel.scope.name";
/// Scope: the version of the instrumentation.
pub const OTEL_SCOPE_VERSION: &str = "otel.scope.version";
/// Limits of the SDK: the number of dropped attributes.
pub const OTEL_DROPPED_ATTRIBUTES_COUNT: &str = "otel.dropped_attributes_count";
/// Limits of the SDK: the number of dropped events.
pub const OTEL_DROPPED_EVENTS_COUNT: &str = "otel.dropped_events_count";
/// Limits of the SDK: the number of dropped links.
pub const OTEL_DROPPED_LINKS_COUNT: &str = "otel.dropped_links_count";
/// Resource: the service's name.
pub const SERVICE_NAME: &str = "service.name";
/// Resource: the service's version.
pub const SERVICE_VERSION: &str = "service.version";
/// Resource: the environment in which the service is deployed, stable name.
pub const DEPLOYMENT_ENVIRONMENT_NAME: &str = "deployment.environment.name";
/// Resource: the environment in which the service is deployed, old name.
pub const DEPLOYMENT_ENVIRONMENT: &str = "deployment.environment";
/// Resource: the host's name.
pub const HOST_NAME: &str = "host.name";

/// Sentry: sets the op.
pub const SENTRY_OP: &str = "sentry.op";
/// Sentry: sets the source of the transaction's name; `custom` also keeps the span's own name.
pub const SENTRY_SOURCE: &str = "sentry.source";
/// Sentry: the newer name of [`SENTRY_SOURCE`].
pub const SENTRY_SEGMENT_NAME_SOURCE: &str = "sentry.segment.name.source";
/// Sentry: another name of [`SENTRY_SOURCE`].
pub const SENTRY_SPAN_SOURCE: &str = "sentry.span.source";
/// Sentry: sets the name.
pub const SENTRY_CUSTOM_SPAN_NAME: &str = "sentry.custom_span_name";
/// Sentry: the instrumentation that made the span.
pub const SENTRY_ORIGIN: &str = "sentry.origin";
/// Sentry: GraphQL operations to show after an HTTP route.
pub const SENTRY_GRAPHQL_OPERATION: &str = "sentry.graphql.operation";
/// Sentry: the request is a prefetch.
pub const SENTRY_HTTP_PREFETCH: &str = "sentry.http.prefetch";
/// Sentry: the message of the status.
pub const SENTRY_STATUS_MESSAGE: &str = "sentry.status.message";
/// Sentry: the value of a measurement, on an event that is named after the measurement.
pub const SENTRY_MEASUREMENT_VALUE: &str = "sentry.measurement_value";
/// Sentry: the unit of a measurement.
pub const SENTRY_MEASUREMENT_UNIT: &str = "sentry.measurement_unit";
/// Sentry: the URL of a request, without user info, query and fragment.
pub const SENTRY_URL: &str = "url";
/// Sentry: the query of a request's URL.
pub const SENTRY_HTTP_QUERY: &str = "http.query";
/// Sentry: the fragment of a request's URL.
pub const SENTRY_HTTP_FRAGMENT: &str = "http.fragment";
/// Sentry: the slug of the cron monitor for which a span is a job.
pub const SENTRY_MONITOR_SLUG: &str = "sentry.monitor.slug";
/// Sentry: the schedule of a cron monitor, as a crontab.
pub const SENTRY_MONITOR_SCHEDULE: &str = "sentry.monitor.schedule";
/// Sentry: the kind of a cron monitor's schedule, `crontab` or `interval`.
pub const SENTRY_MONITOR_SCHEDULE_TYPE: &str = "sentry.monitor.schedule.type";
/// Sentry: the crontab of a cron monitor, or the number of units between two of its jobs.
pub const SENTRY_MONITOR_SCHEDULE_VALUE: &str = "sentry.monitor.schedule.value";
/// Sentry: the unit of a cron monitor's interval, such as `hour`.
pub const SENTRY_MONITOR_SCHEDULE_UNIT: &str = "sentry.monitor.schedule.unit";
/// Sentry: how many minutes late a job of a cron monitor may start.
pub const SENTRY_MONITOR_CHECKIN_MARGIN: &str = "sentry.monitor.checkin_margin";
/// Sentry: how many minutes a job of a cron monitor may take.
pub const SENTRY_MONITOR_MAX_RUNTIME: &str = "sentry.monitor.max_runtime";
/// Sentry: the time zone of a cron monitor's crontab, such as `Europe/Vienna`.
pub const SENTRY_MONITOR_TIMEZONE: &str = "sentry.monitor.timezone";
/// Sentry: how many jobs of a cron monitor must fail in a row to open an issue.
pub const SENTRY_MONITOR_FAILURE_ISSUE_THRESHOLD: &str = "sentry.monitor.failure_issue_threshold";
/// Sentry: how many jobs of a cron monitor must succeed in a row to resolve its issue.
pub const SENTRY_MONITOR_RECOVERY_THRESHOLD: &str = "sentry.monitor.recovery_threshold";
/// Sentry: the rate that this service applied to the trace.
pub const SENTRY_SAMPLE_RATE: &str = "sentry.sample_rate";

/// From sampler to exporter, which removes it; on local roots only: the frozen context of the trace.
pub const DSC_FROZEN: &str = "sentry.dsc";
/// From sampler to exporter, which removes it; on local roots only: the name of the transaction with which the trace begins.
pub const DSC_TRANSACTION: &str = "sentry.dsc.transaction";
/// From sampler to exporter, which removes it; on local roots only: the random value, if it came in without a context.
pub const DSC_SAMPLE_RAND: &str = "sentry.dsc.sample_rand";
