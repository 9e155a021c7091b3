//! What a server between a browser and other services does, over real HTTP.

mod actions;
mod calls;
mod deferred;
mod hostile;
mod pages;
mod support;
mod tunnel;
