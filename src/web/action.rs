//! Server actions; the guide's page `web` lists what their results become.

use std::{any::type_name, borrow::Cow, fmt};

use http::{HeaderMap, StatusCode};
use opentelemetry::{
    Context, KeyValue, Value, global,
    propagation::Extractor,
    trace::{FutureExt, SpanBuilder, SpanKind, TraceContextExt},
};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sentry_semantics::semconv;

use super::span::{INTERNAL_ERROR, NOT_FOUND, OpenSpan, as_local_root};

const OP: &str = "function.server_action";
const ORIGIN: &str = "auto.function.server_action";
const SOURCE: &str = "route";
const FORM_DATA: &str = "server_action.form_data.";
const RESULT: &str = "server_action.result";

/// Wraps an async function as Next.js wraps server actions: a transaction `serverAction/<name>` of its own.
///
/// It is a child of the active span. If no span is active, it continues the trace of the
/// [headers](ServerAction::with_headers). Form data and result are recorded only if you ask for it, and secrets in them
/// are filtered as in all attributes.
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use opentelemetry_sentry::web::server_action;
///
/// async fn create_order(sku: &str) -> Result<u64, StatusCode> {
///     if sku == "lamp" { Ok(42) } else { Err(StatusCode::NOT_FOUND) }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # let headers = HeaderMap::new();
/// let order = server_action("createOrder")
///     .with_headers(&headers)
///     .with_form_data([("sku", "lamp")])
///     .with_result(|order: &u64| order.to_string().into())
///     .run_with(create_order("lamp"), |status: &StatusCode| (*status).into())
///     .await;
/// assert_eq!(order, Ok(42));
/// # }
/// ```
pub fn server_action<T>(name: impl AsRef<str>) -> ServerAction<T> {
    ServerAction {
        name: format!("serverAction/{}", name.as_ref()),
        remote: None,
        attributes: vec![
            KeyValue::new(semconv::SENTRY_OP, OP),
            KeyValue::new(semconv::SENTRY_ORIGIN, ORIGIN),
            KeyValue::new(semconv::SENTRY_SOURCE, SOURCE),
        ],
        result: None,
    }
}

/// A server action that does not run yet. See [`server_action`].
#[must_use = "it does nothing until it is run"]
pub struct ServerAction<T> {
    name: String,
    /// The context that was extracted from the headers.
    remote: Option<Context>,
    attributes: Vec<KeyValue>,
    result: Option<Box<Describe<T>>>,
}

/// Returns the value of the attribute that describes a result.
type Describe<T> = dyn FnOnce(&T) -> Value + Send;

impl<T> ServerAction<T> {
    /// Sets the headers of the request. Their trace is continued if no span is active when the action runs. Defaults to
    /// none.
    pub fn with_headers(self, headers: &HeaderMap) -> Self {
        self.with_extractor(&HeaderExtractor(headers))
    }

    /// Sets the headers of the request from any carrier. Defaults to none. See [`with_headers`](Self::with_headers).
    pub fn with_extractor(mut self, headers: &dyn Extractor) -> Self {
        let cx = Context::current();
        self.remote = Some(global::get_text_map_propagator(|propagator| propagator.extract_with_context(&cx, headers)));
        self
    }

    /// Records the fields of a form, as `server_action.form_data.<name>`. Defaults to none.
    pub fn with_form_data(mut self, fields: impl IntoIterator<Item = (impl AsRef<str>, impl Into<String>)>) -> Self {
        let fields = fields.into_iter();
        self.attributes
            .extend(fields.map(|(name, value)| KeyValue::new(format!("{FORM_DATA}{}", name.as_ref()), value.into())));
        self
    }

    /// Records what the action returns, as `server_action.result`. Defaults to not recording it.
    pub fn with_result(mut self, describe: impl FnOnce(&T) -> Value + Send + 'static) -> Self {
        self.result = Some(Box::new(describe));
        self
    }

    /// Runs the action. Every error is a failure with the error's text as its message.
    ///
    /// # Errors
    ///
    /// Those of the action.
    pub async fn run<E: fmt::Display>(self, action: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        self.run_with(action, ActionOutcome::failed).await
    }

    /// Runs the action. A function classifies its errors.
    ///
    /// The error can be of any type, for example one that axum turns into a response:
    ///
    /// ```
    /// use axum::response::{IntoResponse, Redirect, Response};
    /// use opentelemetry_sentry::web::{ActionOutcome, server_action};
    ///
    /// async fn sign_in() -> Result<(), Redirect> {
    ///     Err(Redirect::to("/welcome"))
    /// }
    ///
    /// async fn create_order() -> Result<(), Response> {
    ///     sign_in().await.map_err(IntoResponse::into_response)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let _ = server_action("signIn").run_with(sign_in(), |_: &Redirect| ActionOutcome::Redirect).await;
    /// let _ = server_action("createOrder").run_with(create_order(), |error: &Response| error.status().into()).await;
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the action.
    pub async fn run_with<E>(
        self,
        action: impl Future<Output = Result<T, E>>,
        outcome: impl FnOnce(&E) -> ActionOutcome,
    ) -> Result<T, E> {
        let Self { name, remote, attributes, result } = self;
        let cx = Context::current();
        let parent = match remote {
            Some(remote) if !cx.span().span_context().is_valid() => remote,
            _ => as_local_root(&cx),
        };
        let span = SpanBuilder::from_name(name).with_kind(SpanKind::Internal).with_attributes(attributes);
        let open = OpenSpan::start(span, &parent);
        let done = action.with_context(open.context().clone()).await;
        match &done {
            Ok(value) => {
                if let Some(describe) = result {
                    open.span().set_attribute(KeyValue::new(RESULT, describe(value)));
                }
            }
            Err(error) => note(&open, outcome(error), type_name::<E>()),
        }
        open.end();
        done
    }
}

impl<T> fmt::Debug for ServerAction<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Attributes are left out: form data may be secret.
        f.debug_struct("ServerAction").field("name", &self.name).finish_non_exhaustive()
    }
}

fn note(open: &OpenSpan, outcome: ActionOutcome, error_type: &'static str) {
    match outcome {
        ActionOutcome::NoError | ActionOutcome::Redirect => {}
        ActionOutcome::NotFound => open.fail(NOT_FOUND),
        ActionOutcome::Failed(message) => {
            let exception = [
                KeyValue::new(semconv::EXCEPTION_TYPE, error_type),
                KeyValue::new(semconv::EXCEPTION_MESSAGE, message.into_owned()),
                // As in Sentry's SDK for Next.js: the action did not handle it.
                KeyValue::new(semconv::EXCEPTION_ESCAPED, true),
            ];
            open.span().add_event(semconv::EXCEPTION, exception.into());
            open.fail(INTERNAL_ERROR);
        }
    }
}

/// What the error of a server action means for its transaction.
///
/// ```
/// use http::StatusCode;
/// use opentelemetry_sentry::web::ActionOutcome;
///
/// assert_eq!(ActionOutcome::from(StatusCode::OK), ActionOutcome::NoError);
/// assert_eq!(ActionOutcome::from(StatusCode::SEE_OTHER), ActionOutcome::Redirect);
/// assert_eq!(ActionOutcome::from(StatusCode::NOT_FOUND), ActionOutcome::NotFound);
/// assert_eq!(ActionOutcome::failed(&"no stock"), ActionOutcome::Failed("no stock".into()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ActionOutcome {
    /// Not an error: the action answers early, for example with a cached page.
    NoError,
    /// Not an error: the action sends the browser to another URL.
    Redirect,
    /// Something does not exist.
    NotFound,
    /// Any other error, with its message.
    Failed(Cow<'static, str>),
}

impl ActionOutcome {
    /// A failure with the text of this error as its message.
    pub fn failed(error: &impl fmt::Display) -> Self {
        Self::Failed(error.to_string().into())
    }
}

impl From<StatusCode> for ActionOutcome {
    /// 3xx is `Redirect`, 404 is `NotFound`, other 4xx and 5xx are failures, and anything else is `NoError`.
    fn from(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NotFound,
            status if status.is_redirection() => Self::Redirect,
            status if status.is_client_error() || status.is_server_error() => Self::failed(&status),
            _ => Self::NoError,
        }
    }
}
