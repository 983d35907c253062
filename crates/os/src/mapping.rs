//! [`Mapping`]: a range of mapped memory (`mmap(2)`), which is unmapped when the value is dropped.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;

use nix::unistd::{SysconfVar, sysconf};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap, mmap_anonymous, mprotect, munmap};

use crate::limits::name_call;

/// The number of bytes of a page of memory.
///
/// The `page_size` of `rustix` reads it from `/proc` on older kernels, and so depends on a free file descriptor.
pub fn page_size() -> usize {
    static SIZE: OnceLock<usize> = OnceLock::new();
    *SIZE.get_or_init(|| {
        let size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
        size.and_then(|size| usize::try_from(size).ok()).filter(|&size| size > 0).unwrap_or(4096)
    })
}

/// A range of pages at an address that the kernel chose, which no other value owns.
#[derive(Debug)]
pub(crate) struct Mapping {
    address: NonNull<u8>,
    length: usize,
}

// SAFETY: every thread can use mapped memory. A mapping hands out addresses only. Code that makes references of them
// says why no thread writes bytes that another thread uses.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `length` bytes of a file, shared with all processes that map it.
    ///
    /// # Errors
    /// When the file was not opened for this protection, or the process has no memory or mappings left.
    pub(crate) fn of_file(file: &File, length: usize, protection: ProtFlags) -> io::Result<Mapping> {
        // SAFETY: the kernel chooses an unused address, so that the new mapping replaces no memory that is in use.
        let address = unsafe { mmap(ptr::null_mut(), length, protection, MapFlags::SHARED, file, 0) };
        let address = address.map_err(name_call(format_args!("mmap of {length} bytes of a file")))?;
        Ok(Mapping::at_address(address, length))
    }

    /// Maps memory for a stack. The kernel provides only the pages that are touched. The first `guard` bytes, whole
    /// pages, can be neither read nor written.
    ///
    /// # Errors
    /// When the process has no memory or mappings left.
    pub(crate) fn for_stack(length: usize, guard: usize) -> io::Result<Mapping> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::STACK;
        // SAFETY: as in `of_file`.
        let address = unsafe { mmap_anonymous(ptr::null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, flags) };
        let address = address.map_err(name_call(format_args!("mmap of {length} bytes for a stack")))?;
        let mapping = Mapping::at_address(address, length);
        mapping.protect(0, guard, MprotectFlags::empty())?;
        Ok(mapping)
    }

    fn at_address(address: *mut std::ffi::c_void, length: usize) -> Mapping {
        Mapping { address: NonNull::new(address.cast()).expect("the kernel maps nothing at address 0"), length }
    }

    /// The length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// The address of the first byte, as a number.
    pub(crate) fn begin(&self) -> NonZeroUsize {
        self.address.addr()
    }

    /// The address of a range.
    ///
    /// # Panics
    /// When the range is not inside the mapping.
    pub(crate) fn at(&self, offset: usize, length: usize) -> NonNull<u8> {
        assert!(offset <= self.length && length <= self.length - offset, "the range is in the mapping");
        // SAFETY: the address is inside the mapping or right behind its last byte, as was just checked.
        unsafe { self.address.add(offset) }
    }

    /// The offset of these bytes in the mapping; `None` if they are outside of it.
    pub(crate) fn offset_of(&self, bytes: &[u8]) -> Option<usize> {
        let offset = bytes.as_ptr().addr().checked_sub(self.begin().get())?;
        (offset < self.length && bytes.len() <= self.length - offset).then_some(offset)
    }

    /// Makes a range of whole pages writable, or read-only again.
    ///
    /// The caller has no mutable reference to a range that it makes read-only.
    ///
    /// # Errors
    /// When the range does not begin with a page, the file was opened for reading only, or the process has no mappings
    /// left.
    pub(crate) fn set_writable(&self, offset: usize, length: usize, is_writable: bool) -> io::Result<()> {
        let write = if is_writable { MprotectFlags::WRITE } else { MprotectFlags::empty() };
        self.protect(offset, length, MprotectFlags::READ | write)
    }

    fn protect(&self, offset: usize, length: usize, protection: MprotectFlags) -> io::Result<()> {
        let address = self.at(offset, length);
        // SAFETY: the range is inside this mapping, and the new protection forbids nothing that a reference needs:
        // there is no reference to the guard pages of a new mapping, and the caller of `set_writable` has no mutable
        // reference.
        unsafe { mprotect(address.as_ptr().cast(), length, protection) }
            .map_err(name_call(format_args!("mprotect of {length} bytes")))
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range was mapped with this length, and is unmapped once. References to it borrow the mapping, or
        // a value that owns it.
        let unmapped = unsafe { munmap(self.address.as_ptr().cast(), self.length) };
        debug_assert_eq!(unmapped, Ok(()));
    }
}

/// An error unless a range begins and ends with a page.
pub(crate) fn require_pages(offset: usize, length: usize) -> io::Result<()> {
    if offset.is_multiple_of(page_size()) && length.is_multiple_of(page_size()) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "the range does not begin and end with a page"))
}
