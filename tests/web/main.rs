//! Servers between a browser and other services, over real HTTP.

mod actions;
mod calls;
#[path = "../support/client.rs"]
mod client;
mod deferred;
mod flush;
mod hostile;
mod pages;
mod server;
mod support;
mod through_tunnel;
mod tunnel;
