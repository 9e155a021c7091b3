//! Spans and headers for requests that go out; the guide's page `web` lists the attributes.

mod call;
mod layer;
#[cfg(feature = "reqwest-013")]
mod reqwest;

pub use self::layer::{ClientLayer, TracedClient, TracedFuture};
#[cfg(feature = "reqwest-013")]
pub use self::reqwest::RequestBuilderExt;
