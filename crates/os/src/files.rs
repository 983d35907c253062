//! File descriptors as numbers: closing what was inherited, putting files at the numbers a new program expects.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::fs::{Dir, Mode, OFlags, open};
use rustix::io::{Errno, fcntl_dupfd_cloexec, ioctl_fionread};

/// Closes every file of this process but those named: what a forked copy does with the files of its parent.
///
/// The caller must no longer use a Rust value that owns a closed file; a forked copy forgets them.
///
/// # Errors
/// When the kernel refuses.
pub fn close_all_except(keep: &[RawFd]) -> io::Result<()> {
    let mut keep: Vec<u32> = keep.iter().filter_map(|&fd| u32::try_from(fd).ok()).collect();
    keep.sort_unstable();
    let mut first = 0u32;
    for fd in keep {
        if fd > first {
            close_range(first, fd - 1)?;
        }
        first = first.max(fd + 1);
    }
    close_range(first, u32::MAX)
}

/// The numbers of all files that this process has open.
///
/// # Errors
/// When `/proc` can't be read.
pub fn open_numbers() -> io::Result<Vec<RawFd>> {
    const PATH: &str = "/proc/self/fd";
    let unreadable = |error: Errno| name_folder(PATH, error.into());
    let folder = open(PATH, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(unreadable)?;
    // The folder is one of the open files, until this returns.
    let own = folder.as_raw_fd();
    let mut numbers = Vec::new();
    for entry in Dir::new(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let number = entry.file_name().to_str().ok().and_then(|name| name.parse::<RawFd>().ok());
        numbers.extend(number.filter(|&number| number != own));
    }
    Ok(numbers)
}

/// Reads a folder of `/proc`, which may not be there; the error says which one it was, unless it is a limit of files, which
/// says everything by its number.
pub(crate) fn read_folder(path: &str) -> io::Result<std::fs::ReadDir> {
    std::fs::read_dir(path).map_err(|error| name_folder(path, error))
}

fn name_folder(path: &str, error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => error,
        _ => io::Error::new(error.kind(), format!("{path} can't be read: {error}")),
    }
}

/// Puts `/dev/null` at each of these numbers, in the place of what is open there, and closed on `exec` but for the three
/// standard ones: what a forked copy does with files of its original that somebody in it might still write to.
///
/// # Errors
/// When the kernel refuses.
pub fn replace_by_null(numbers: &[RawFd]) -> io::Result<()> {
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    for &number in numbers.iter().filter(|&&number| number != null.as_raw_fd()) {
        let flags = if number > 2 { libc::O_CLOEXEC } else { 0 };
        replace(number, null.as_fd(), flags)?;
    }
    Ok(())
}

/// Puts a file at another number, where the `flags` of the descriptor are `O_CLOEXEC` or 0.
///
/// Not with `rustix`, whose `dup3` asks for an owner of the number that is replaced: it has another owner, or none.
fn replace(number: RawFd, file: BorrowedFd<'_>, flags: libc::c_int) -> io::Result<()> {
    // SAFETY: dup3 takes no pointers; the target number is the caller's to replace.
    let replaced = unsafe { libc::dup3(file.as_raw_fd(), number, flags) };
    nix::errno::Errno::result(replaced)?;
    Ok(())
}

/// Not with `rustix` or `nix`, which have no such function.
fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: close_range reads no memory of ours. That a closed number may still be owned by a Rust value is the
    // caller's to know, as with any file closed behind its owner's back; the number is then an error, not undefined.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    nix::errno::Errno::result(closed)?;
    Ok(())
}

/// Puts each file at the number asked for, open across `exec`: `(file, number)`, the numbers distinct.
///
/// Files are moved out of the way first, so that the numbers may overlap in any order. What was open at a number is
/// closed.
///
/// # Errors
/// When the kernel refuses, for want of file descriptors say.
pub fn place(files: &[(BorrowedFd<'_>, RawFd)]) -> io::Result<()> {
    let above = files.iter().map(|&(_, number)| number).max().map_or(0, |highest| highest + 1);
    let mut moved = Vec::with_capacity(files.len());
    for &(file, number) in files {
        moved.push((fcntl_dupfd_cloexec(file, above)?, number));
    }
    for (copy, number) in &moved {
        replace(*number, copy.as_fd(), 0)?;
    }
    Ok(())
}

/// Moves a file to a number above `number`, closed on `exec`.
///
/// # Errors
/// When there are no file descriptors left.
pub fn move_above(file: OwnedFd, number: RawFd) -> io::Result<OwnedFd> {
    Ok(fcntl_dupfd_cloexec(file, number + 1)?)
}

/// How many bytes a pipe holds that can be read at once (`FIONREAD`).
///
/// # Errors
/// When the file is none that can say.
pub fn bytes_readable(file: &impl AsFd) -> io::Result<usize> {
    usize::try_from(ioctl_fionread(file)?).map_err(io::Error::other)
}

/// Takes a file that this process was started with, by its number, and marks it to be closed on `exec`.
///
/// # Errors
/// When no file is open at that number.
pub fn take_inherited(number: RawFd) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(Errno::BADF.into());
    }
    // SAFETY: the number is none of those that can't be borrowed (-1). No Rust value owns an inherited file, so that nobody
    // closes it meanwhile; where no file is open, the kernel says so.
    let inherited = unsafe { BorrowedFd::borrow_raw(number) };
    let moved = fcntl_dupfd_cloexec(inherited, 3)?;
    // SAFETY: as above, and `inherited` is not used any more.
    unsafe { rustix::io::close(number) };
    Ok(moved)
}

/// Writes out what C code in this process has printed and not yet flushed.
pub fn flush_c_streams() {
    // SAFETY: a null stream means all of them; the C library locks each.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn an_inherited_file_is_moved_off_its_number() {
        let (mut reader, writer) = io::pipe().unwrap();
        let number = {
            let copy = OwnedFd::from(writer);
            std::os::fd::IntoRawFd::into_raw_fd(copy)
        };
        let mut taken = std::fs::File::from(take_inherited(number).unwrap());
        taken.write_all(b"here").unwrap();
        drop(taken);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "here");
    }

    #[test]
    fn the_open_numbers_are_without_the_folder_that_was_read() {
        let (_reader, writer) = io::pipe().unwrap();
        let numbers = open_numbers().unwrap();
        assert!(numbers.contains(&writer.as_raw_fd()), "{numbers:?}");
        let folder = |number: &&RawFd| {
            std::fs::read_link(format!("/proc/self/fd/{number}")).is_ok_and(|file| file.ends_with("fd"))
        };
        assert_eq!(numbers.iter().find(folder), None);
    }

    #[test]
    fn a_number_without_a_file_is_an_error() {
        for number in [987_654, -1] {
            assert_eq!(take_inherited(number).unwrap_err().raw_os_error(), Some(libc::EBADF));
        }
    }
}
