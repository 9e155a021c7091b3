//! How often something allocates.
//!
//! Counted is every call of the global allocator, which must be [`Counting`]; growing a block counts as one.

#![expect(unsafe_code, reason = "a global allocator is unsafe to implement; this one only counts")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    fmt,
};

/// Allocations so far, or those of one call.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Count {
    /// Those of what is measured.
    pub own: usize,
    /// Those of what it works on.
    pub carrier: usize,
    /// What all of them asked for.
    pub bytes: usize,
    in_carrier: bool,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:3} + {:2} ({:4})", self.own, self.carrier, self.bytes)
    }
}

thread_local! {
    /// Needs no allocation of its own and no destructor.
    static COUNT: Cell<Count> = const { Cell::new(Count { own: 0, carrier: 0, bytes: 0, in_carrier: false }) };
}

/// Counts a call, after one that makes what is made only once.
pub fn count(mut call: impl FnMut()) -> Count {
    call();
    let before = COUNT.get();
    call();
    let after = COUNT.get();
    Count {
        own: after.own - before.own,
        carrier: after.carrier - before.carrier,
        bytes: after.bytes - before.bytes,
        ..after
    }
}

/// Counts what a carrier does by itself.
pub fn apart<R>(carrier: impl FnOnce() -> R) -> R {
    COUNT.set(Count { in_carrier: true, ..COUNT.get() });
    let result = carrier();
    COUNT.set(Count { in_carrier: false, ..COUNT.get() });
    result
}

/// The system's allocator, counted.
#[derive(Debug)]
pub struct Counting;

impl Counting {
    fn note(bytes: usize) {
        let count = COUNT.get();
        let (own, carrier) = (usize::from(!count.in_carrier), usize::from(count.in_carrier));
        COUNT.set(Count {
            own: count.own + own,
            carrier: count.carrier + carrier,
            bytes: count.bytes + bytes,
            ..count
        });
    }
}

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::note(layout.size());
        // SAFETY: the caller keeps the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::note(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        Self::note(new_size);
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}
