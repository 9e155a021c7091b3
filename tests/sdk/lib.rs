//! Nothing to import: the tests of this package are all there is.
