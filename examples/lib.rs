//! An empty library: every example is a program of its own.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
