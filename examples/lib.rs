//! Nothing to import: every example is a program of its own.
