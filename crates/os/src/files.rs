//! File descriptors as numbers: closing those that a process inherited, and putting files at the numbers at which a new
//! program expects them.
//!
//! Forked processes call most of these functions before `exec`, and report an error by its number: they return the errors
//! of system calls as they are. [`open_numbers`] alone names the folder that it can't read.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::fs::{Dir, Mode, OFlags, open};
use rustix::io::{Errno, fcntl_dupfd_cloexec, ioctl_fionread};

/// Closes every file descriptor of this process but those in `keep`. A forked process uses it to close the files that it
/// has from its parent.
///
/// The caller no longer uses a Rust value that owns a closed descriptor. A forked process ends without dropping the
/// values of its parent.
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

/// The numbers of all open file descriptors of this process.
///
/// # Errors
/// When `/proc` can't be read.
pub fn open_numbers() -> io::Result<Vec<RawFd>> {
    const PATH: &str = "/proc/self/fd";
    let unreadable = |error: Errno| name_folder(PATH, error.into());
    let folder = open(PATH, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(unreadable)?;
    // The folder is open only in this function.
    let own = folder.as_raw_fd();
    let mut numbers = Vec::new();
    for entry in Dir::new(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let number = entry.file_name().to_str().ok().and_then(|name| name.parse::<RawFd>().ok());
        numbers.extend(number.filter(|&number| number != own));
    }
    Ok(numbers)
}

/// Reads a folder of `/proc`. The error names the folder, since `/proc` may not be mounted.
pub(crate) fn read_folder(path: &str) -> io::Result<std::fs::ReadDir> {
    std::fs::read_dir(path).map_err(|error| name_folder(path, error))
}

/// Names the folder in the error, unless the process has no file descriptor left: `limits::name_limit` knows that error
/// by its number.
fn name_folder(path: &str, error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => error,
        _ => io::Error::new(error.kind(), format!("{path} can't be read: {error}")),
    }
}

/// Replaces the files at these numbers by `/dev/null`, which is closed on `exec` but at 0, 1 and 2.
///
/// A forked process does so with files of its parent to which code of the program might still write.
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

/// Duplicates a file to another number, and closes the file that was open there. `flags` are `O_CLOEXEC` or 0.
///
/// The `dup3` of `rustix` takes a mutable `OwnedFd` for the number. Here the number has another owner, or none.
fn replace(number: RawFd, file: BorrowedFd<'_>, flags: libc::c_int) -> io::Result<()> {
    // SAFETY: dup3 takes no pointers. Code that still uses the number uses the other file from now on, which is what
    // the callers are for.
    let replaced = unsafe { libc::dup3(file.as_raw_fd(), number, flags) };
    nix::errno::Errno::result(replaced)?;
    Ok(())
}

/// Closes all file descriptors from `first` to `last`. Neither `rustix` nor `nix` has this system call.
fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: close_range takes no pointers. The caller of `close_all_except` no longer uses the values that own a
    // closed number.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    nix::errno::Errno::result(closed)?;
    Ok(())
}

/// Duplicates each file to its number, where it stays open across `exec`. The numbers are distinct.
///
/// The files are first duplicated to numbers above all of these, so that a file may be open at the number of another
/// one. A file that was open at one of the numbers is closed.
///
/// # Errors
/// When the process has no file descriptors left.
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

/// Moves a file to a number above `number`. The file is closed on `exec`.
///
/// # Errors
/// When the process has no file descriptors left.
pub fn move_above(file: OwnedFd, number: RawFd) -> io::Result<OwnedFd> {
    Ok(fcntl_dupfd_cloexec(file, number + 1)?)
}

/// The number of bytes that can be read from a pipe without waiting (`FIONREAD`).
///
/// # Errors
/// When the file is of a kind without such a number.
pub fn bytes_readable(file: &impl AsFd) -> io::Result<usize> {
    usize::try_from(ioctl_fionread(file)?).map_err(io::Error::other)
}

/// Takes the file that this process inherited at `number`: moves it to another number, where it is closed on `exec`.
///
/// # Errors
/// When no file is open at the number.
pub fn take_inherited(number: RawFd) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(Errno::BADF.into());
    }
    // SAFETY: the number is not -1. No Rust value owns an inherited file, so that no other code closes it meanwhile. If
    // no file is open at the number, the kernel answers EBADF.
    let inherited = unsafe { BorrowedFd::borrow_raw(number) };
    let moved = fcntl_dupfd_cloexec(inherited, 3)?;
    // SAFETY: a file is open at the number, no Rust value owns it, and `inherited` is not used any more.
    unsafe { rustix::io::close(number) };
    Ok(moved)
}

/// Flushes the output buffers of the C library (`fflush(3)`).
pub fn flush_c_streams() {
    // SAFETY: a null pointer stands for all streams, and the C library locks each of them.
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
