//! Large pages under large tables.
//!
//! A read of a table that no cache holds also waits for the processor to find out where the page is, and who writes a
//! table for the first time waits for each of its pages. Large pages are 512 times fewer.

#![allow(unsafe_code, reason = "a system call; the figures are in DESIGN.md")]

/// Asks the system for large pages under what a vector has room for and has not used yet. Where it has none, or does
/// not want to be asked, nothing happens.
#[cfg(all(target_os = "linux", not(miri)))]
pub(super) fn enlarge<T>(room: &mut Vec<T>) {
    /// Of x86-64, and of others mostly. With another size there are fewer large pages, and nothing else is different.
    const LARGE: usize = 2 << 20;

    let spare = room.spare_capacity_mut();
    let bytes = size_of_val(spare);
    let start = spare.as_mut_ptr().cast::<u8>();
    let skipped = start.align_offset(LARGE);
    let whole = bytes.saturating_sub(skipped) / LARGE * LARGE;
    if whole == 0 {
        return;
    }
    // SAFETY: these bytes are the vector's, and nothing is in them. The call changes what they are made of, and not
    // what can be done with them.
    unsafe { libc::madvise(start.add(skipped).cast(), whole, libc::MADV_HUGEPAGE) };
}

#[cfg(not(all(target_os = "linux", not(miri))))]
pub(super) fn enlarge<T>(_: &mut Vec<T>) {}
