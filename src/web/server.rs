//! Spans of requests that come in; the guide's page `web` lists the attributes.

mod address;
mod body;
mod grpc;
mod headers;
mod layer;
mod request;
mod response;
mod settings;
mod span;

pub(super) use self::layer::Traced;
pub use self::{
    body::ServerBody,
    layer::{ServerFuture, ServerLayer, TracedServer},
};
