//! Starting processes: the guardian as a session leader, keepers as forks, programs by `exec`.

use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use nix::unistd::{ForkResult, Pid};

use crate::environment::require_one_thread;
use crate::files::{check, flush_c_streams};

/// Which side of a [`fork`] this is.
#[derive(Clone, Copy, Debug)]
pub enum Fork {
    /// The caller, with the pid of its copy.
    Parent(Pid),
    /// The copy.
    Child,
}

/// The error of making a process or a thread, with the limits named that it may be for.
pub fn name_limit(error: io::Error) -> io::Error {
    let sentence = match error.raw_os_error() {
        Some(libc::EAGAIN) => "there may be no more processes (ulimit -u, or pids.max of the control group)",
        Some(libc::EMFILE) => "there may be no more open files (ulimit -n)",
        Some(libc::ENFILE) => "there may be no more open files on this machine (fs.file-max)",
        Some(libc::ETOOMANYREFS) => "there may be no more open files on their way to other processes (ulimit -n)",
        _ => return error,
    };
    io::Error::new(error.kind(), sentence)
}

/// Makes a copy of the calling process (`fork(2)`).
///
/// # Errors
/// When the process has more than one thread (a copy of it could only call `exec` or hang on another thread's lock), or
/// the kernel refuses.
pub fn fork() -> io::Result<Fork> {
    require_one_thread("a fork")?;
    // SAFETY: with one thread no lock is held by somebody who is missing in the copy.
    match unsafe { nix::unistd::fork()? } {
        ForkResult::Parent { child } => Ok(Fork::Parent(child)),
        ForkResult::Child => Ok(Fork::Child),
    }
}

/// Makes a copy of the calling process whose end is no news to the caller: no SIGCHLD, and `wait` for any child neither
/// waits for it nor reaps it (`clone(2)` without a signal). Whoever wants to reap it says `__WALL`.
///
/// The C library does not hear of it: in the copy it takes the main thread for one with the caller's thread id, until
/// the copy makes a copy of its own with [`fork`].
///
/// # Errors
/// Those of [`fork`].
pub fn fork_unnoticed() -> io::Result<Fork> {
    clone(0)
}

/// Like [`fork_unnoticed`], but the copy is not a child of the caller, it is one of the caller's parent, to which it is
/// what the caller is: noticed or not.
///
/// # Errors
/// Those of [`fork`].
pub fn fork_sibling() -> io::Result<Fork> {
    clone(libc::CLONE_PARENT)
}

fn clone(flags: libc::c_int) -> io::Result<Fork> {
    require_one_thread("a fork")?;
    // SAFETY: as in `fork`. Without a stack of its own the copy goes on on a copy of this one; the other pointers are
    // not used with these flags.
    match unsafe { libc::syscall(libc::SYS_clone, libc::c_long::from(flags), 0, 0, 0, 0) } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(Pid::from_raw(i32::try_from(pid).map_err(io::Error::other)?))),
    }
}

/// Leaves a forked copy at once, without the exit handlers and buffers of the program that it is a copy of.
pub fn exit_copy(code: i32) -> ! {
    // SAFETY: _exit does not return and touches no memory of ours.
    unsafe { libc::_exit(code) }
}

/// The whole life of a forked copy: it leaves with the code that `life` returns, or 101 if it panics, and never goes on
/// with what its original was about to do.
pub fn live_as_copy(life: impl FnOnce() -> i32) -> ! {
    exit_copy(catch_unwind(AssertUnwindSafe(life)).unwrap_or(101))
}

/// From now on `exit` in this forked copy writes out what C code has printed and leaves, without the exit handlers that
/// its original had registered; those that the copy registers itself still run.
///
/// # Errors
/// When there is no memory left.
pub fn skip_inherited_exit_handlers() -> io::Result<()> {
    unsafe extern "C" {
        /// Registers a handler that is told the exit code, in glibc.
        fn on_exit(handler: extern "C" fn(libc::c_int, *mut libc::c_void), argument: *mut libc::c_void) -> libc::c_int;
    }
    extern "C" fn leave(code: libc::c_int, _: *mut libc::c_void) {
        flush_c_streams();
        exit_copy(code)
    }
    // SAFETY: the handler is a function that lives for ever, and it ignores its argument. Handlers run last in, first
    // out, so that this one, which does not return, comes before all that were there.
    match unsafe { on_exit(leave, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::from(io::ErrorKind::OutOfMemory)),
    }
}

/// A program, its arguments and its environment, in the form that `exec` takes.
#[derive(Debug)]
pub struct Image {
    path: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Image {
    /// The file to run, its arguments (the first is the name it goes by) and its whole environment.
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

    /// Becomes the program.
    ///
    /// # Errors
    /// Returns only when the kernel refuses: no such file, not executable, arguments too long.
    pub fn exec(&self) -> io::Result<Infallible> {
        Ok(nix::unistd::execve(&self.path, &self.arguments, &self.environment)?)
    }
}

fn c_string(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{:?} has a zero byte in it", text.to_string_lossy()))
    })
}

/// Starts a program as the leader of a session of its own, every signal blocked from its first instruction on, with
/// the given files at the given numbers and no others but those without the close-on-exec flag.
///
/// `POSIX_SPAWN_SETSID` with a blocked mask, since a program that calls `setsid` itself is still in the terminal's
/// foreground group when an early Ctrl-C comes. `posix_spawn` does not copy the caller's memory map.
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
    // SAFETY: all pointers live until the call returns, and both lists end with a null pointer.
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

/// The posix_spawn functions return their error instead of setting errno.
fn spawn_result(error: libc::c_int) -> io::Result<()> {
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn new() -> io::Result<Self> {
        let mut attributes = std::mem::MaybeUninit::uninit();
        // SAFETY: init writes the whole structure when it returns 0.
        spawn_result(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        // SAFETY: it did.
        Ok(Attributes(unsafe { attributes.assume_init() }))
    }

    fn lead_session_with_signals_blocked(&mut self) -> io::Result<()> {
        let mut all = std::mem::MaybeUninit::uninit();
        // SAFETY: sigfillset writes the whole set.
        check(unsafe { libc::sigfillset(all.as_mut_ptr()) })?;
        // SAFETY: it did, and the attributes are initialised.
        spawn_result(unsafe { libc::posix_spawnattr_setsigmask(&raw mut self.0, all.as_ptr()) })?;
        let flags = libc::POSIX_SPAWN_SETSID as libc::c_int | libc::POSIX_SPAWN_SETSIGMASK;
        // SAFETY: the attributes are initialised.
        spawn_result(unsafe { libc::posix_spawnattr_setflags(&raw mut self.0, flags as libc::c_short) })
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised, and destroyed once.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

struct FileActions(libc::posix_spawn_file_actions_t);

impl FileActions {
    fn new() -> io::Result<Self> {
        let mut actions = std::mem::MaybeUninit::uninit();
        // SAFETY: init writes the whole structure when it returns 0.
        spawn_result(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        // SAFETY: it did.
        Ok(FileActions(unsafe { actions.assume_init() }))
    }

    fn place(&mut self, file: RawFd, number: RawFd) -> io::Result<()> {
        // SAFETY: the actions are initialised; both others are numbers.
        spawn_result(unsafe { libc::posix_spawn_file_actions_adddup2(&raw mut self.0, file, number) })
    }
}

impl Drop for FileActions {
    fn drop(&mut self) {
        // SAFETY: initialised, and destroyed once.
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
        // Not a shell: dash lets all signals through when it starts.
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
    fn limits_are_named_and_other_errors_stay() {
        let error = name_limit(io::Error::from_raw_os_error(libc::EAGAIN));
        assert_eq!(error.to_string(), "there may be no more processes (ulimit -u, or pids.max of the control group)");
        let error = name_limit(io::Error::from_raw_os_error(libc::EMFILE));
        assert_eq!(error.to_string(), "there may be no more open files (ulimit -n)");
        let error = name_limit(io::Error::from_raw_os_error(libc::ENOMEM));
        assert_eq!(error.raw_os_error(), Some(libc::ENOMEM));
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

    #[test]
    fn a_process_with_more_threads_is_not_forked() {
        // The test harness has a thread of its own beside this one.
        let error = fork().unwrap_err();
        assert!(error.to_string().contains("one thread"), "{error}");
    }
}
