//! The machine over a simulated network and disk: hours of outages pass in milliseconds.

mod callers;
mod check_ins;
mod driven;
mod fairness;
mod freezes;
mod gen_ai;
mod laws;
mod logs;
mod metric_laws;
mod metrics;
mod otlp;
mod outages;
mod poison;
mod portions;
mod pressure;
mod rest;
mod simulation;
mod spool;
mod stream;
mod wide;
