//! [`View`]: a slab of another process, mapped in this one.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::mm::ProtFlags;

use crate::mapping::{Mapping, page_size, require_pages};
use crate::memory_file;

/// A slab of another process.
#[derive(Clone, Debug)]
pub struct View {
    memory: Arc<Mapping>,
    file: Arc<OwnedFd>,
}

/// A range of a slab of another process, which may read it until this is dropped.
#[derive(Debug)]
pub struct ViewPart {
    memory: Arc<Mapping>,
    offset: usize,
    length: usize,
}

/// A range of a slab of another process while it is written.
#[derive(Debug)]
pub struct ViewWriter {
    memory: Arc<Mapping>,
    offset: usize,
    /// Whole pages.
    length: usize,
    written: usize,
}

impl View {
    /// Maps the slab that this file is.
    ///
    /// # Errors
    /// When it is no slab, or there is no room for another mapping.
    pub fn open(file: OwnedFd) -> io::Result<View> {
        let file = File::from(file);
        let is_sealed = memory_file::is_sealed(&file)?;
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        if !is_sealed || length == 0 || !length.is_multiple_of(page_size()) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is no slab"));
        }
        // Opened for both, since only then a part of the mapping can become writable.
        let memory = Arc::new(Mapping::of_file(&file, length, ProtFlags::READ)?);
        Ok(View { memory, file: Arc::new(file.into()) })
    }

    /// Its file, by which a process that works for this one can map it.
    pub fn file(&self) -> &Arc<OwnedFd> {
        &self.file
    }

    /// A range to read; `None` if it is not in the slab.
    pub fn part(&self, offset: usize, length: usize) -> Option<ViewPart> {
        let within = offset.checked_add(length).is_some_and(|end| end <= self.memory.len());
        within.then(|| ViewPart { memory: self.memory.clone(), offset, length })
    }

    /// Where in the slab these bytes are, if they are there.
    pub fn offset_of(&self, bytes: &[u8]) -> Option<usize> {
        self.memory.offset_of(bytes)
    }

    /// Makes a range writable until the writer is dropped.
    ///
    /// # Errors
    /// When it does not begin and end with a page or is not in the slab, or the kernel can't remember another range.
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
        // SAFETY: mapped and initialised by the kernel; the owner of the slab handed the range over to be read, and
        // nobody writes to it until it hears that this was dropped (see the module).
        unsafe { std::slice::from_raw_parts(address.as_ptr(), self.length) }
    }
}

impl Write for ViewWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.length - self.written);
        let address = self.memory.at(self.offset + self.written, count);
        // SAFETY: the range is mapped and writable, no reference of this process points there since the owner handed it
        // over to be written, and `bytes` are other memory.
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
        // A range that stays writable is only less well guarded.
        self.memory.set_writable(self.offset, self.length, false).ok();
    }
}
