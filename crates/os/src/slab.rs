//! Memory that two processes share for long values: a file without a name (`memfd_create(2)`), mapped in both.
//!
//! # Who may touch what
//! The owner makes a slab and gets it as one [`Region`], which it splits and joins again as it likes: each byte belongs
//! to one region, and only who has the region can read or write it. The owner tells the other process, by messages, which
//! ranges it may read and which it may write. That process maps the slab as a [`View`], which is read-only but for a
//! range that a [`ViewWriter`] writes at that moment, so that a task that writes to a wrong address kills its own
//! process, and harms no value of another.
//!
//! What neither process can check is that the other one keeps to this: whoever reads a range assumes that nobody writes
//! to it meanwhile. Both are of one build, and a range is written before it is handed over and not after. A program that
//! changes its own mappings to do otherwise could as well write to `/proc/PID/mem`.
//!
//! # No SIGBUS
//! All memory of a slab is there before it is used (`fallocate(2)`), so that a lack of memory shows when the slab is made
//! and not as a signal when it is written. Its seals keep anybody from making it shorter. The kernel itself would not
//! refuse: it kills processes to make room. So no slab takes more than half of the memory that is available.

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

/// Makes a slab of so many bytes, a multiple of [`page_size`], all zero: its memory, and the file by which another process
/// can map it.
///
/// # Errors
/// When less than twice as much memory is available, no file may be so long, or there is no file descriptor left.
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
    retry_on_intr(|| fallocate(&file, FallocateFlags::empty(), 0, length as u64))
        .map_err(name_call(format_args!("fallocate of {length} bytes")))?;
    let memory = Mapping::of_file(&file, length, ProtFlags::READ | ProtFlags::WRITE)?;
    Ok((Region::new(memory), file.into()))
}

/// How many bytes this machine can give without taking them from anybody (`MemAvailable` of `proc_meminfo(5)`).
fn available_memory() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kilobytes: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(|| io::Error::other("/proc/meminfo says nothing of memory"))
}
