//! Files in memory (`memfd_create(2)`) of a size that no process can change.

use std::ffi::CStr;
use std::fs::File;
use std::io;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};

use crate::limits::{name_call, require_file_length};

/// The seals that fix the size of a file. A process gets SIGBUS when it accesses a mapped file that another process has
/// made shorter.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// Makes a file of `length` zero bytes, which is closed on `exec`, with its size fixed. `/proc/PID/fd` shows the name.
///
/// # Errors
/// When the process has no file descriptor left or may have no file of this length.
pub(crate) fn create(name: &CStr, length: usize) -> io::Result<File> {
    require_file_length(length as u64)?;
    let file = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING);
    let file = File::from(file.map_err(name_call("memfd_create"))?);
    file.set_len(length as u64).map_err(name_call(format_args!("ftruncate of a memory file to {length} bytes")))?;
    fcntl_add_seals(&file, SEALS).map_err(name_call("fcntl(F_ADD_SEALS) of a memory file"))?;
    Ok(file)
}

/// Whether the size of the file is fixed.
///
/// # Errors
/// When the file is of a kind that has no seals.
pub(crate) fn is_sealed(file: &File) -> io::Result<bool> {
    Ok(fcntl_get_seals(file).map_err(name_call("fcntl(F_GET_SEALS)"))?.contains(SEALS))
}
