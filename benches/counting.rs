//! Counts allocations: every call of the global allocator, which must be [`Counting`]. Growing a block counts as one.

#![expect(unsafe_code, reason = "a global allocator is unsafe to implement; this one only counts")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    fmt,
};

/// The allocations so far, or those of one call.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Count {
    /// Allocations of the measured code.
    pub own: usize,
    /// Allocations of the carrier that the code works on.
    pub carrier: usize,
    /// The bytes of all allocations.
    pub bytes: usize,
    in_carrier: bool,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:3} + {:2} ({:4})", self.own, self.carrier, self.bytes)
    }
}

thread_local! {
    /// Initialising it allocates nothing, and it has no destructor.
    static COUNT: Cell<Count> = const { Cell::new(Count { own: 0, carrier: 0, bytes: 0, in_carrier: false }) };
}

/// Counts the allocations of a call. An earlier call makes what is allocated only once.
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

/// Counts the allocations of a function as the carrier's.
pub fn in_carrier<R>(carrier: impl FnOnce() -> R) -> R {
    COUNT.set(Count { in_carrier: true, ..COUNT.get() });
    let result = carrier();
    COUNT.set(Count { in_carrier: false, ..COUNT.get() });
    result
}

/// The system's allocator with a count.
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

// SAFETY: every call is passed on unchanged to the system's allocator.
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
