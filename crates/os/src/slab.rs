//! Slabs: memory that two processes share for long values, which is a file in memory (`memfd_create(2)`) mapped in
//! both.
//!
//! # Ownership of bytes
//! The owner of a slab makes it and gets a [`Region`] of all its bytes. The owner splits and joins regions as it needs.
//! Each byte belongs to one region, and only code that has the region reads or writes the byte. By messages, the owner
//! grants the other process ranges to read and ranges to write. Regions can't be cloned, so that code in which two
//! owners have the same byte does not compile; an allocator that hands out numbers would not give that. The other process
//! maps the slab as a [`View`]. The view is read-only but for a range for which a [`ViewWriter`] exists: a task that
//! writes to a wrong address ends its own process, and changes no value of another one.
//!
//! Neither process can check that the other one keeps to its ranges. A process that reads a range relies on it that the
//! other process does not write there meanwhile. This is sound because both processes run the same build, which writes
//! a range before it hands the range over and not afterwards. A program that changes its own mappings to do otherwise
//! could as well write to `/proc/PID/mem`.
//!
//! # No SIGBUS
//! The memory of a slab is allocated when the slab is made (`fallocate(2)`), so that a lack of memory is an error then,
//! and not a signal when the slab is written. The size of the file is fixed, so that no process can make it shorter.
//! The kernel does not refuse to allocate the last memory of the machine, and kills processes instead. A slab therefore
//! takes at most half of the memory that is available.

mod region;
#[cfg(test)]
mod tests;
mod view;

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::retry_on_intr;
use rustix::mm::ProtFlags;

use crate::limits::name_call;
use crate::mapping::Mapping;
use crate::memory_file;

pub use crate::mapping::page_size;
pub use region::Region;
pub use view::{View, ViewPart, ViewWriter};

/// Makes a slab of `length` zero bytes, a multiple of [`page_size`]. Returns its memory, and the file with which
/// another process maps it.
///
/// # Errors
/// When less than twice as much memory is available, or the process may have no file of this length, or has no file
/// descriptor left.
///
/// ```
/// use pushflow_os::slab::{self, View, page_size};
///
/// let (mut region, file) = slab::create(4 * page_size())?;
/// region.as_mut()[..5].copy_from_slice(b"hello");
/// let theirs = View::open(file)?;
/// assert_eq!(theirs.part(0, 5).unwrap().as_ref(), b"hello");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn create(length: usize) -> io::Result<(Region, OwnedFd)> {
    if length == 0 || !length.is_multiple_of(page_size()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the length of a slab is no number of pages"));
    }
    if length as u64 > available_memory()? / 2 {
        return Err(io::Error::new(io::ErrorKind::OutOfMemory, "less than twice the memory of the slab is available"));
    }
    let file = memory_file::create(c"pushflow slab", length)?;
    // The size of the file is sealed; this allocates memory within that size.
    retry_on_intr(|| fallocate(&file, FallocateFlags::empty(), 0, length as u64))
        .map_err(name_call(format_args!("fallocate of {length} bytes")))?;
    let memory = Mapping::of_file(&file, length, ProtFlags::READ | ProtFlags::WRITE)?;
    Ok((Region::new(memory), file.into()))
}

/// The number of bytes that the machine can provide without swapping (`MemAvailable` of `proc_meminfo(5)`).
fn available_memory() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kilobytes: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(|| io::Error::other("/proc/meminfo says nothing of memory"))
}
