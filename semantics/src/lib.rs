#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod attributes;
mod content;
mod describe;
mod keys;
mod secrets;
pub mod semconv;
mod url;

pub use crate::{
    attributes::{AttributeIndex, Attributes},
    content::is_model_content,
    describe::{Description, Source, describe},
    secrets::{is_sensitive, without_secrets},
    url::{has_host, host_of_url, sanitize_url},
};

// For the sibling crates only: these may change in any release.
#[doc(hidden)]
pub use crate::{
    describe::{cut, is_database, is_database_key, shortened},
    keys::Keys,
    secrets::without_parameters,
};
