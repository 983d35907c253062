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

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::files::require_file_length;

/// How the file of a slab is sealed: its size stays.
const SEALS: SealFlag = SealFlag::F_SEAL_SHRINK.union(SealFlag::F_SEAL_GROW).union(SealFlag::F_SEAL_SEAL);

/// How many bytes a page of memory has: a range that the other process is to write begins and ends with one.
pub fn page_size() -> usize {
    static SIZE: OnceLock<usize> = OnceLock::new();
    // SAFETY: sysconf only asks.
    *SIZE.get_or_init(|| usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096))
}

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
    require_file_length(length as u64)?;
    let file = File::from(memfd_create(c"pushflow slab", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?);
    file.set_len(length as u64)?;
    reserve(&file, length)?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(SEALS))?;
    let memory = Mapping::new(&file, length, libc::PROT_READ | libc::PROT_WRITE)?;
    Ok((Region { memory: Arc::new(memory), offset: 0, length }, file.into()))
}

/// How many bytes this machine can give without taking them from anybody (`MemAvailable` of `proc_meminfo(5)`).
fn available_memory() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kilobytes: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(|| io::Error::other("/proc/meminfo says nothing of memory"))
}

fn reserve(file: &File, length: usize) -> io::Result<()> {
    let length = libc::off_t::try_from(length).map_err(io::Error::other)?;
    loop {
        match fallocate(file, FallocateFlags::empty(), 0, length) {
            Err(Errno::EINTR) => {}
            result => return Ok(result?),
        }
    }
}

/// A whole file mapped into this process.
#[derive(Debug)]
struct Mapping {
    address: NonNull<u8>,
    length: usize,
}

// SAFETY: a mapping is memory like any other; who may touch which part of it is a matter of regions and views.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(file: &File, length: usize, protection: i32) -> io::Result<Mapping> {
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let address = unsafe {
            libc::mmap(std::ptr::null_mut(), length, protection, libc::MAP_SHARED, file.as_fd().as_raw_fd(), 0)
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let address = NonNull::new(address.cast()).ok_or_else(|| io::Error::other("mmap returned nothing"))?;
        Ok(Mapping { address, length })
    }

    /// Where this range begins.
    fn at(&self, offset: usize, length: usize) -> NonNull<u8> {
        assert!(offset <= self.length && length <= self.length - offset, "the range is in the slab");
        // SAFETY: it is inside the mapping, as was just checked.
        unsafe { self.address.add(offset) }
    }

    /// Changes what may be done with this range of pages.
    fn protect(&self, offset: usize, length: usize, protection: i32) -> io::Result<()> {
        let address = self.at(offset, length);
        // SAFETY: the range is inside the mapping; what is taken away is writing, while nobody writes there.
        match unsafe { libc::mprotect(address.as_ptr().cast(), length, protection) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped with this length, unmapped once, and whoever looks at it keeps it from being dropped.
        unsafe { libc::munmap(self.address.as_ptr().cast(), self.length) };
    }
}

// ----- the owner -----

/// A range of a slab that belongs to whoever has this.
///
/// While the other process is allowed to write there, its owner does not look at it.
#[derive(Debug)]
pub struct Region {
    memory: Arc<Mapping>,
    offset: usize,
    length: usize,
}

impl Region {
    /// Where in the slab it begins.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Where in the slab these bytes are, if they are in this region.
    pub fn offset_of(&self, bytes: &[u8]) -> Option<usize> {
        let begin = self.memory.at(self.offset, self.length).as_ptr().addr();
        offset_in(begin, self.length, bytes).map(|offset| self.offset + offset)
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Takes so many bytes off its end.
    ///
    /// # Panics
    /// When it has not so many.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Region {
        assert!(at <= self.length, "a region is split inside");
        let rest = Region { memory: self.memory.clone(), offset: self.offset + at, length: self.length - at };
        self.length = at;
        rest
    }

    /// Makes one region of two.
    ///
    /// # Errors
    /// The other region, when it does not begin where this one ends.
    pub fn join(&mut self, next: Region) -> Result<(), Region> {
        if !Arc::ptr_eq(&self.memory, &next.memory) || self.offset + self.length != next.offset {
            return Err(next);
        }
        self.length += next.length;
        Ok(())
    }

    /// Gives the memory below it back to the machine, also while other processes have it mapped. It stays usable, and
    /// reads as zeros.
    ///
    /// # Errors
    /// When it does not begin and end with a page.
    pub fn discard(&mut self) -> io::Result<()> {
        check_pages(self.offset, self.length)?;
        let address = self.memory.at(self.offset, self.length);
        // SAFETY: the range is whole pages, all of this region, and nobody looks at it while it is borrowed here.
        match unsafe { libc::madvise(address.as_ptr().cast(), self.length, libc::MADV_REMOVE) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl AsRef<[u8]> for Region {
    fn as_ref(&self) -> &[u8] {
        let address = self.memory.at(self.offset, self.length);
        // SAFETY: mapped and initialised by the kernel; no other region has these bytes, and the other process writes
        // only to what nobody looks at.
        unsafe { std::slice::from_raw_parts(address.as_ptr(), self.length) }
    }
}

impl AsMut<[u8]> for Region {
    fn as_mut(&mut self) -> &mut [u8] {
        let address = self.memory.at(self.offset, self.length);
        // SAFETY: as above, and the other process reads only what was handed over.
        unsafe { std::slice::from_raw_parts_mut(address.as_ptr(), self.length) }
    }
}

fn check_pages(offset: usize, length: usize) -> io::Result<()> {
    if offset.is_multiple_of(page_size()) && length.is_multiple_of(page_size()) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "the range does not begin and end with a page"))
}

// ----- the other process -----

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
        let seals = SealFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GET_SEALS)?);
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        if !seals.contains(SEALS) || length == 0 || !length.is_multiple_of(page_size()) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is no slab"));
        }
        // Opened for both, since only then a part of the mapping can become writable.
        let memory = Arc::new(Mapping::new(&file, length, libc::PROT_READ)?);
        Ok(View { memory, file: Arc::new(file.into()) })
    }

    /// Its file, by which a process that works for this one can map it.
    pub fn file(&self) -> &Arc<OwnedFd> {
        &self.file
    }

    /// A range to read; `None` if it is not in the slab.
    pub fn part(&self, offset: usize, length: usize) -> Option<ViewPart> {
        let within = offset.checked_add(length).is_some_and(|end| end <= self.memory.length);
        within.then(|| ViewPart { memory: self.memory.clone(), offset, length })
    }

    /// Where in the slab these bytes are, if they are there.
    pub fn offset_of(&self, bytes: &[u8]) -> Option<usize> {
        offset_in(self.memory.address.as_ptr().addr(), self.memory.length, bytes)
    }

    /// Makes a range writable until the writer is dropped.
    ///
    /// # Errors
    /// When it does not begin and end with a page or is not in the slab, or the kernel can't remember another range.
    pub fn writer(&self, offset: usize, length: usize) -> io::Result<ViewWriter> {
        check_pages(offset, length)?;
        if self.part(offset, length).is_none() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the range is not in the slab"));
        }
        self.memory.protect(offset, length, libc::PROT_READ | libc::PROT_WRITE)?;
        Ok(ViewWriter { memory: self.memory.clone(), offset, length, written: 0 })
    }
}

/// Where these bytes are in the memory of so many bytes that begins at `address`, if they are there.
fn offset_in(address: usize, length: usize, bytes: &[u8]) -> Option<usize> {
    let offset = bytes.as_ptr().addr().checked_sub(address)?;
    (offset < length && bytes.len() <= length - offset).then_some(offset)
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
        self.memory.protect(self.offset, self.length, libc::PROT_READ).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(count: usize) -> usize {
        count * page_size()
    }

    #[test]
    fn what_one_process_writes_the_other_reads_in_both_directions() {
        let (mut region, file) = create(pages(4)).unwrap();
        let view = View::open(file).unwrap();
        let mut theirs = region.split_off(pages(2));
        region.as_mut()[..3].copy_from_slice(b"abc");
        assert_eq!(view.part(0, 3).unwrap().as_ref(), b"abc");
        let mut writer = view.writer(pages(2), pages(1)).unwrap();
        writer.write_all(b"de").unwrap();
        writer.write_all(b"f").unwrap();
        drop(writer);
        assert_eq!(&theirs.as_mut()[..4], b"def\0");
        assert_eq!(view.offset_of(&view.part(7, 9).unwrap().as_ref()[1..]), Some(8));
        assert_eq!(view.offset_of(b"elsewhere"), None);
    }

    #[test]
    fn a_region_is_split_and_joined_only_where_it_belongs() {
        let (mut first, _file) = create(pages(4)).unwrap();
        let (other, _other_file) = create(pages(1)).unwrap();
        let mut middle = first.split_off(pages(1));
        let last = middle.split_off(pages(1));
        let last = first.join(last).unwrap_err();
        assert!(first.join(other).is_err(), "it is of another slab");
        first.join(middle).unwrap();
        first.join(last).unwrap();
        assert_eq!((first.offset(), first.len()), (0, pages(4)));
    }

    #[test]
    fn nobody_can_make_the_file_shorter_or_take_the_seals_off() {
        let (_region, file) = create(pages(1)).unwrap();
        let file = File::from(file);
        assert!(file.set_len(0).is_err());
        assert!(file.set_len(pages(2) as u64).is_err());
        assert!(fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_WRITE)).is_err());
    }

    #[test]
    fn ranges_outside_the_slab_and_parts_of_pages_are_refused() {
        let (_region, file) = create(pages(2)).unwrap();
        let view = View::open(file).unwrap();
        assert!(view.part(0, pages(2)).is_some());
        assert!(view.part(pages(2), 0).is_some());
        for (offset, length) in [(0, pages(2) + 1), (pages(2), 1), (usize::MAX, 2), (2, usize::MAX)] {
            assert!(view.part(offset, length).is_none(), "{offset} {length}");
        }
        for (offset, length) in [(1, pages(1)), (0, 1), (pages(1), pages(2)), (usize::MAX - pages(1) + 1, pages(1))] {
            assert!(view.writer(offset, length).is_err(), "{offset} {length}");
        }
        let mut writer = view.writer(pages(1), pages(1)).unwrap();
        assert!(writer.write_all(&vec![1; pages(1) + 1]).is_err(), "it is full before");
    }

    #[test]
    fn other_files_are_no_slabs() {
        assert!(create(1).is_err());
        assert!(create(0).is_err());
        let unsealed = memfd_create(c"test", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).unwrap();
        File::from(unsealed.try_clone().unwrap()).set_len(pages(1) as u64).unwrap();
        assert!(View::open(unsealed).is_err());
        assert!(View::open(File::open("/dev/null").unwrap().into()).is_err());
    }

    #[test]
    fn a_slab_for_which_others_would_be_killed_is_refused() {
        assert_eq!(create(1 << 50).unwrap_err().kind(), io::ErrorKind::OutOfMemory);
    }

    #[test]
    fn what_is_discarded_takes_no_memory_and_its_neighbours_stay() {
        let (mut region, file) = create(pages(3)).unwrap();
        region.as_mut().fill(7);
        let view = View::open(file.try_clone().unwrap()).unwrap();
        let mut middle = region.split_off(pages(1));
        let mut last = middle.split_off(pages(1));
        middle.discard().unwrap();
        let blocks = std::os::unix::fs::MetadataExt::blocks(&File::from(file).metadata().unwrap());
        assert_eq!(blocks, pages(2) as u64 / 512);
        assert!(middle.as_ref().iter().all(|byte| *byte == 0));
        assert!(view.part(0, pages(1)).unwrap().as_ref().iter().all(|byte| *byte == 7));
        assert!(last.as_ref().iter().all(|byte| *byte == 7));
        let _unaligned = last.split_off(1);
        assert!(last.discard().is_err());
    }

    #[test]
    fn a_view_writes_nowhere_but_where_it_may() {
        let (_region, file) = create(pages(2)).unwrap();
        let view = View::open(file).unwrap();
        let maps = || {
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
            let start = format!("{:x}-", view.memory.address.as_ptr().addr() + pages(1));
            maps.lines().find(|line| line.starts_with(&start)).map(|line| line.contains(" rw-s "))
        };
        assert_eq!(maps(), None, "all of it is one mapping");
        let writer = view.writer(pages(1), pages(1)).unwrap();
        assert_eq!(maps(), Some(true));
        drop(writer);
        assert_eq!(maps(), None, "one mapping again");
    }
}
