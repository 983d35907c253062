//! Programs: replacing the calling process by one (`exec`), and starting one as the leader of a session
//! (`posix_spawn`).

use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sys::signal::SigSet;
use nix::unistd::Pid;

/// A program, its arguments and its environment, in the form that `exec` takes.
#[derive(Debug)]
pub struct Image {
    path: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Image {
    /// Takes the file of a program, all its arguments, from its name on, and its whole environment.
    ///
    /// # Errors
    /// When one of the texts has a zero byte in it.
    pub fn new(
        path: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> io::Result<Image> {
        let arguments = arguments.into_iter().map(|argument| c_string(argument.as_ref())).collect::<Result<_, _>>()?;
        let environment = environment
            .into_iter()
            .map(|(mut entry, value)| {
                entry.push("=");
                entry.push(value);
                c_string(&entry)
            })
            .collect::<Result<_, _>>()?;
        Ok(Image { path: c_string(path.as_os_str())?, arguments, environment })
    }

    /// Replaces the program that the calling process runs by this one.
    ///
    /// # Errors
    /// When the kernel refuses: the file does not exist or is not executable, or the arguments are too long. The
    /// function returns only then.
    pub fn exec(&self) -> io::Result<Infallible> {
        Ok(nix::unistd::execve(&self.path, &self.arguments, &self.environment)?)
    }
}

fn c_string(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{:?} has a zero byte in it", text.to_string_lossy()))
    })
}

/// Starts a program as the leader of a session of its own, with every signal blocked from its first instruction on.
///
/// The program has each of the given files at its number, and otherwise only files without the close-on-exec flag.
///
/// A program that called `setsid` itself would be in the terminal's foreground group until then, and an early Ctrl-C
/// would end it: hence `POSIX_SPAWN_SETSID` and the blocked signals. `posix_spawn` does not copy the memory map of the
/// caller.
///
/// `nix::spawn` does not serve here. Its functions for attributes and file actions look for -1 and errno, but the C
/// library returns the number of the error: the program would start without a file or without its session.
///
/// # Errors
/// When the program can't be started.
pub fn spawn_session_leader(image: &Image, files: &[(RawFd, RawFd)]) -> io::Result<Pid> {
    let mut attributes = Attributes::new()?;
    attributes.lead_session_with_signals_blocked()?;
    let mut actions = FileActions::new()?;
    for &(file, number) in files {
        actions.place(file, number)?;
    }
    let arguments = pointers(&image.arguments);
    let environment = pointers(&image.environment);
    let mut pid = 0;
    // SAFETY: all pointers are valid until the call returns, attributes and actions are initialised, and both lists end
    // with a null pointer. posix_spawn does not write to the texts.
    let error = unsafe {
        libc::posix_spawn(
            &raw mut pid,
            image.path.as_ptr(),
            &raw const actions.0,
            &raw const attributes.0,
            arguments.as_ptr(),
            environment.as_ptr(),
        )
    };
    spawn_result(error).map(|()| Pid::from_raw(pid))
}

fn pointers(texts: &[CString]) -> Vec<*mut libc::c_char> {
    texts.iter().map(|text| text.as_ptr().cast_mut()).chain([std::ptr::null_mut()]).collect()
}

/// The result of a posix_spawn function, which returns the number of its error and does not set errno.
fn spawn_result(error: libc::c_int) -> io::Result<()> {
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn new() -> io::Result<Self> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: init writes the whole structure if it returns 0, and the structure is used only then.
        unsafe {
            spawn_result(libc::posix_spawnattr_init(attributes.as_mut_ptr()))?;
            Ok(Attributes(attributes.assume_init()))
        }
    }

    fn lead_session_with_signals_blocked(&mut self) -> io::Result<()> {
        let all = SigSet::all();
        // SAFETY: the attributes are initialised, and the set lives until the call returns.
        spawn_result(unsafe { libc::posix_spawnattr_setsigmask(&raw mut self.0, all.as_ref()) })?;
        let flags = libc::POSIX_SPAWN_SETSID as libc::c_int | libc::POSIX_SPAWN_SETSIGMASK;
        // SAFETY: the attributes are initialised.
        spawn_result(unsafe { libc::posix_spawnattr_setflags(&raw mut self.0, flags as libc::c_short) })
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: the structure is initialised, and destroyed once.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

struct FileActions(libc::posix_spawn_file_actions_t);

impl FileActions {
    fn new() -> io::Result<Self> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: init writes the whole structure if it returns 0, and the structure is used only then.
        unsafe {
            spawn_result(libc::posix_spawn_file_actions_init(actions.as_mut_ptr()))?;
            Ok(FileActions(actions.assume_init()))
        }
    }

    fn place(&mut self, file: RawFd, number: RawFd) -> io::Result<()> {
        // SAFETY: the actions are initialised. The other arguments are numbers, which the new process uses.
        spawn_result(unsafe { libc::posix_spawn_file_actions_adddup2(&raw mut self.0, file, number) })
    }
}

impl Drop for FileActions {
    fn drop(&mut self) {
        // SAFETY: the structure is initialised, and destroyed once.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::wait::{WaitStatus, waitpid};
    use std::io::Read;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_session_leader_starts_with_every_signal_blocked() {
        let (mut reader, writer) = io::pipe().unwrap();
        // Not a shell: dash unblocks all signals when it starts.
        let arguments = ["grep", "-e", "NSsid", "-e", "SigBlk", "/proc/self/status"];
        let image = Image::new(Path::new("/bin/grep"), arguments, []).unwrap();
        let pid = spawn_session_leader(&image, &[(writer.as_raw_fd(), 1)]).unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(waitpid(pid, None).unwrap(), WaitStatus::Exited(pid, 0));
        let words: Vec<_> = text.split_whitespace().collect();
        assert_eq!(words[..2], ["NSsid:", &pid.to_string()]);
        let blocked = u64::from_str_radix(words[3], 16).unwrap();
        let interrupt_and_terminate = 1 << (libc::SIGINT - 1) | 1 << (libc::SIGTERM - 1);
        assert_eq!(blocked & interrupt_and_terminate, interrupt_and_terminate);
    }

    #[test]
    fn a_missing_program_is_an_error_of_the_start() {
        let image = Image::new(Path::new("/no/such/program"), ["x"], []).unwrap();
        assert_eq!(spawn_session_leader(&image, &[]).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_zero_byte_is_refused_by_name() {
        let error = Image::new(Path::new("/bin/true"), ["a\0b"], []).unwrap_err();
        assert!(error.to_string().contains("zero byte"), "{error}");
    }
}
