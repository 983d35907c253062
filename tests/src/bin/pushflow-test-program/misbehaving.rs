//! Tasks that misbehave in ways that take more code.

use std::io::{self, Write};
use std::os::fd::{BorrowedFd, RawFd};
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{SigHandler, Signal, raise, signal};
use nix::sys::socket::{MsgFlags, getsockopt, send, sockopt};
use nix::unistd::{ForkResult, fork, setsid};
use pushflow::{Data, Map, TaskContext, Value, task};

/// More nested maps than a value may have in a message.
pub(crate) fn nested(levels: usize) -> Value {
    (0..levels).fold(Value::Null, |inner, _| Value::Map(Map::from_iter([("inner".to_owned(), inner)])))
}

/// Writes the pid of this process into a file, which tells the test that the task is ready.
fn say_ready(file: &str) -> io::Result<()> {
    // The test that waits for the file must not find half of its content.
    let unfinished = Path::new(file).with_extension("unfinished");
    std::fs::write(&unfinished, std::process::id().to_string())?;
    std::fs::rename(unfinished, file)
}

#[task]
fn is_fine() -> Data {
    Data::new().with("fine", true)
}

#[task]
fn prints_a_word() -> Data {
    println!("a word");
    Data::new().with("fine", true)
}

#[task]
fn returns_what_nests_too_deep() -> Data {
    Data::new().with("deep", nested(200))
}

#[task]
fn sleeps_ready(file: String) -> io::Result<()> {
    say_ready(&file)?;
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

#[task]
fn naps_ready(file: String, context: &TaskContext) -> Result<(), Box<dyn std::error::Error>> {
    say_ready(&file)?;
    Ok(context.sleep(Duration::from_secs(1))?)
}

#[task]
#[expect(unsafe_code, reason = "setting what a signal does is unsafe, but for ignoring it")]
fn ignores_signals_ready(file: String) -> io::Result<()> {
    for ignored in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: no handler of ours is involved.
        unsafe { signal(ignored, SigHandler::SigIgn) }?;
    }
    sleeps_ready(file)
}

#[task]
fn stops_itself_ready(file: String) -> io::Result<Data> {
    say_ready(&file)?;
    raise(Signal::SIGSTOP)?;
    Ok(Data::new().with("fine", true))
}

/// Closes files of the worker, as a C library may that takes their numbers for its own.
#[task]
#[expect(unsafe_code, reason = "closing a number is unsafe, and just what this is about")]
fn closes_its_output() -> Data {
    for number in [1, 2] {
        // SAFETY: none; nobody else writes there while this runs.
        unsafe { nix::libc::close(number) };
    }
    println!("nobody hears this");
    Data::new().with("fine", true)
}

#[task]
fn prints_long_lines(megabytes: usize) -> Data {
    let line = format!("{}\n", "x".repeat(99_999));
    (0..megabytes * 10).for_each(|_| drop(io::stderr().write_all(line.as_bytes())));
    Data::new().with("fine", true)
}

/// Forks: parent and child both return from the task, and the parent waits for the child.
#[task]
#[expect(unsafe_code, reason = "the standard library has no fork, which is just what this is about")]
fn forks_and_returns() -> io::Result<Data> {
    // SAFETY: none for the child, which is the point.
    let who = match unsafe { fork() }? {
        ForkResult::Parent { child } => {
            nix::sys::wait::waitpid(child, None)?;
            "parent"
        }
        ForkResult::Child => "child",
    };
    Ok(Data::new().with("who", who))
}

/// Leaves a process behind that has another parent, session and group than the worker, and no open file.
#[task]
#[expect(unsafe_code, reason = "the standard library has no fork")]
fn leaves_a_daemon() -> io::Result<Data> {
    // SAFETY: the children make system calls only.
    if let ForkResult::Parent { child } = unsafe { fork() }? {
        nix::sys::wait::waitpid(child, None)?;
        return Ok(Data::new().with("fine", true));
    }
    setsid().ok();
    // SAFETY: as above.
    if let Ok(ForkResult::Child) = unsafe { fork() } {
        for number in 0..1024 {
            // SAFETY: these files are copies; the originals are the worker's.
            unsafe { nix::libc::close(number) };
        }
        loop {
            nix::unistd::pause();
        }
    }
    // SAFETY: it does not return and touches no memory.
    unsafe { nix::libc::_exit(0) }
}

/// Writes random bytes into sockets of the process, one packet of `length` bytes each: into `all` of them, or those to the
/// `scheduler`, or the one to the `guardian`. With `framed`, what ipc-channel and pushflow put before a message comes first.
/// Then it returns, or stays.
#[task]
fn writes_garbage(sockets: String, length: usize, seed: u64, framed: bool, stays: bool) -> io::Result<Data> {
    let mut random = seed | 1;
    for (socket, maker) in sockets_of_this_process()? {
        let leads_to = if maker == "pushflow-guard" { "guardian" } else { "scheduler" };
        if sockets == "all" || sockets == leads_to {
            let mut packet: Vec<u8> = (0..length).map(|_| next_byte(&mut random)).collect();
            if framed {
                let start = [length + 2 * size_of::<usize>() + 1, length + 1].map(usize::to_ne_bytes);
                packet.splice(..0, start.concat().into_iter().chain([0]));
            }
            send(socket, &packet, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL).ok();
        }
    }
    if !stays {
        return Ok(Data::new().with("fine", true));
    }
    loop {
        nix::unistd::pause();
    }
}

/// The last byte of the next number (xorshift64).
fn next_byte(random: &mut u64) -> u8 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    random.to_le_bytes()[0]
}

/// The number of each socket, and the name of the process that made it, as the kernel remembers it.
#[expect(unsafe_code, reason = "the numbers come from /proc")]
fn sockets_of_this_process() -> io::Result<Vec<(RawFd, String)>> {
    let mut sockets = Vec::new();
    for file in std::fs::read_dir("/proc/self/fd")?.flatten() {
        let target = std::fs::read_link(file.path()).unwrap_or_default();
        let Some(number) = file.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if target.to_string_lossy().starts_with("socket:") {
            // SAFETY: nobody closes the worker's sockets while it runs a task.
            let socket = unsafe { BorrowedFd::borrow_raw(number) };
            let maker = getsockopt(&socket, sockopt::PeerCredentials)?.pid();
            let name = std::fs::read_to_string(format!("/proc/{maker}/comm"));
            sockets.push((number, name.unwrap_or_default().trim_end().to_owned()));
        }
    }
    Ok(sockets)
}
