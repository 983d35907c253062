//! [`View`]: a slab of another process, mapped in this one.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::mm::ProtFlags;

use crate::mapping::{Mapping, page_size, require_pages};
use crate::memory_file;

/// A slab of another process, mapped in this one.
#[derive(Clone, Debug)]
pub struct View {
    memory: Arc<Mapping>,
    file: Arc<OwnedFd>,
}

/// A range of a slab that this process may read until the value is dropped.
#[derive(Debug)]
pub struct ViewPart {
    memory: Arc<Mapping>,
    offset: usize,
    length: usize,
}

/// A range of a slab that this process may write until the value is dropped.
#[derive(Debug)]
pub struct ViewWriter {
    memory: Arc<Mapping>,
    offset: usize,
    /// Whole pages.
    length: usize,
    written: usize,
}

impl View {
    /// Maps the slab of a file.
    ///
    /// # Errors
    /// When the file is no slab, or the process has no memory or mappings left.
    pub fn open(file: OwnedFd) -> io::Result<View> {
        let file = File::from(file);
        let is_sealed = memory_file::is_sealed(&file)?;
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        if !is_sealed || length == 0 || !length.is_multiple_of(page_size()) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is no slab"));
        }
        // The file is open for reading and writing: otherwise no part of the mapping could become writable.
        let memory = Arc::new(Mapping::of_file(&file, length, ProtFlags::READ)?);
        Ok(View { memory, file: Arc::new(file.into()) })
    }

    /// The file, with which a process that works for this one maps the slab.
    pub fn file(&self) -> &Arc<OwnedFd> {
        &self.file
    }

    /// A range to read; `None` if it is not inside the slab.
    pub fn part(&self, offset: usize, length: usize) -> Option<ViewPart> {
        let within = offset.checked_add(length).is_some_and(|end| end <= self.memory.len());
        within.then(|| ViewPart { memory: self.memory.clone(), offset, length })
    }

    /// The offset of these bytes in the slab; `None` if they are outside of it.
    pub fn offset_of(&self, bytes: &[u8]) -> Option<usize> {
        self.memory.offset_of(bytes)
    }

    /// Makes a range writable until the writer is dropped.
    ///
    /// # Errors
    /// When the range does not begin and end with a page or is not inside the slab, or the process has no mappings
    /// left.
    pub fn writer(&self, offset: usize, length: usize) -> io::Result<ViewWriter> {
        require_pages(offset, length)?;
        if self.part(offset, length).is_none() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the range is not in the slab"));
        }
        self.memory.set_writable(offset, length, true)?;
        Ok(ViewWriter { memory: self.memory.clone(), offset, length, written: 0 })
    }
}

impl AsRef<[u8]> for ViewPart {
    fn as_ref(&self) -> &[u8] {
        let address = self.memory.at(self.offset, self.length);
        // SAFETY: the bytes are mapped and initialised, and live as long as the part. The owner of the slab has granted
        // the range to be read, and no process writes it until this one has told the owner that the part was dropped
        // (see `slab`).
        unsafe { std::slice::from_raw_parts(address.as_ptr(), self.length) }
    }
}

impl Write for ViewWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.length - self.written);
        let address = self.memory.at(self.offset + self.written, count);
        // SAFETY: the range is mapped and writable. The owner has granted the range to be written and not to be read,
        // so that this process has no reference to it, and `bytes` are other memory.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), address.as_ptr(), count) };
        self.written += count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for ViewWriter {
    fn drop(&mut self) {
        // If this fails, the range only stays unprotected against writes to wrong addresses.
        self.memory.set_writable(self.offset, self.length, false).ok();
    }
}
