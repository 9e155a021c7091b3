//! Parts of a request that is too large.

use std::mem;

/// How a format puts records, scopes and resources into each other.
pub(super) trait Nesting {
    /// The most bytes that it adds to a part.
    const OVERHEAD: usize;

    /// Appends a record to a list.
    fn add_record(&self, list: &mut Vec<u8>, record: &[u8]);

    /// Appends a scope or a resource to a list: its other fields, and the list that it has itself.
    fn add(&self, list: &mut Vec<u8>, level: Level, rest: &[u8], inner: &[u8]);

    /// The request with this list of resources.
    fn finish(&self, resources: Vec<u8>) -> Vec<u8>;
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Level {
    Resource,
    Scope,
}

/// A request with some of the records.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) records: usize,
    /// The bytes of the records alone.
    pub(super) record_bytes: usize,
    /// Empty if it is larger than the server accepts.
    pub(super) body: Vec<u8>,
}

/// Writes the parts of a request while it is read, so that no record takes memory of its own.
#[derive(Debug)]
pub(super) struct Splitter<N> {
    nesting: N,
    /// A part has no more bytes, unless it is a single record or most of it describes its resource and its scope.
    largest: usize,
    /// What the server accepts.
    limit: usize,
    parts: Vec<Part>,
    current: Part,
    resources: Vec<u8>,
    resource: Place,
    scope: Place,
}

/// A resource or a scope: its own fields, and what is in it.
#[derive(Debug, Default)]
struct Place {
    rest: Vec<u8>,
    inner: Vec<u8>,
}

impl Place {
    fn len(&self) -> usize {
        self.rest.len() + self.inner.len()
    }
}

impl<N: Nesting> Splitter<N> {
    pub(super) fn new(nesting: N, largest: usize, limit: usize) -> Self {
        let (resource, scope) = Default::default();
        Self {
            nesting,
            largest,
            limit,
            parts: Vec::new(),
            current: Part::default(),
            resources: Vec::new(),
            resource,
            scope,
        }
    }

    /// Starts a resource with these fields.
    pub(super) fn begin_resource(&mut self, rest: Vec<u8>) {
        self.end_resource();
        self.resource.rest = rest;
    }

    /// Starts a scope with these fields.
    pub(super) fn begin_scope(&mut self, rest: Vec<u8>) {
        self.end_scope();
        self.scope.rest = rest;
    }

    /// Adds a record to the scope.
    pub(super) fn add(&mut self, record: &[u8]) {
        // Each part repeats what describes its resource and its scope. If that could be most of a part, a large body would
        // become many times as large.
        let place = self.resource.rest.len() + self.scope.rest.len();
        if place > self.limit / 2 {
            self.parts.push(Part { records: 1, record_bytes: record.len(), body: Vec::new() });
            return;
        }
        let size = self.resources.len() + self.resource.len() + self.scope.len() + record.len() + N::OVERHEAD;
        if self.current.records > 0 && size > self.largest.max(2 * place) {
            self.end_part();
        }
        self.nesting.add_record(&mut self.scope.inner, record);
        self.current.records += 1;
        self.current.record_bytes += record.len();
    }

    pub(super) fn finish(mut self) -> Vec<Part> {
        self.end_part();
        self.parts
    }

    fn end_part(&mut self) {
        self.end_resource();
        let mut part = mem::take(&mut self.current);
        let body = self.nesting.finish(mem::take(&mut self.resources));
        if part.records > 0 {
            if body.len() <= self.limit {
                part.body = body;
            }
            self.parts.push(part);
        }
    }

    fn end_resource(&mut self) {
        self.end_scope();
        let inner = mem::take(&mut self.resource.inner);
        if !inner.is_empty() {
            self.nesting.add(&mut self.resources, Level::Resource, &self.resource.rest, &inner);
        }
    }

    fn end_scope(&mut self) {
        let inner = mem::take(&mut self.scope.inner);
        if !inner.is_empty() {
            self.nesting.add(&mut self.resource.inner, Level::Scope, &self.scope.rest, &inner);
        }
    }
}
