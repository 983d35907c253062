//! The ways in which the program ends.

use std::process::{ExitCode, abort, exit};
use std::thread;

use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use pushflow::{Data, TaskPool, TaskSpec};

use crate::tasks::{say, wait_for};
use crate::{Failure, Settings, meet};

/// The exit code of the program when it exits by itself.
const CODE: u8 = 7;

/// Waits for the file `event`, writes the file `leaving`, and ends as the setting `then` says.
pub(crate) fn end(settings: &Settings, pool: &TaskPool) -> Result<ExitCode, Failure> {
    let folder = settings.folder();
    wait_for(&folder, "event");
    say(&folder, "leaving", "");
    match settings.then() {
        "return" => Ok(ExitCode::from(CODE)),
        "exit" => exit(CODE.into()),
        "exit in a callback" => {
            pool.submit_then(TaskSpec::rust("is_short"), Data::new(), |_| exit(CODE.into()))?;
            wait_for(&folder, "a file that nobody writes");
            unreachable!("nobody writes it")
        }
        "panic" => panic!("the program's own words"),
        "abort" => abort(),
        "_exit" => leave_at_once(),
        "close" => {
            pool.close();
            pool.join(None);
            Ok(ExitCode::from(CODE))
        }
        // With the workers that there are now.
        "meet" => {
            meet(pool, settings, "workers after")?;
            Ok(ExitCode::from(CODE))
        }
        "four tasks" => {
            let pending = [(); 4].map(|()| pool.submit(TaskSpec::rust("is_short"), Data::new()));
            for pending in pending {
                pending?.wait()?;
            }
            say(&folder, "four", "");
            wait_for(&folder, "return");
            Ok(ExitCode::from(CODE))
        }
        "print" => {
            let outcome = pool.submit(TaskSpec::rust("prints"), Data::new())?.wait();
            say(&folder, "outcome", format!("{:?}", outcome.map(drop).map_err(|error| error.kind)));
            Ok(ExitCode::from(CODE))
        }
        "print too" => {
            // Like a `main` function that prints a result.
            println!("the program's own words");
            Ok(ExitCode::from(CODE))
        }
        then => Err(format!("there is no way {then:?} to end").into()),
    }
}

/// Gives signals their default actions. The tests may have been started with ignored signals: `nohup` ignores SIGHUP, and a
/// shell ignores SIGINT for the programs that it runs in the background.
#[expect(unsafe_code, reason = "there is no safe way to set what a signal does")]
pub(crate) fn heed_signals() {
    for number in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: no handler is set, so that none can do anything wrong.
        unsafe { signal(number, SigHandler::SigDfl) }.expect("these can be set");
    }
}

/// Starts a thread that waits for SIGTERM and exits, as a handler of the program would.
pub(crate) fn exit_on_sigterm() -> Result<(), Failure> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.thread_block()?;
    thread::Builder::new().name("handler".into()).spawn(move || {
        while signals.wait() != Ok(Signal::SIGTERM) {}
        exit(CODE.into());
    })?;
    Ok(())
}

#[expect(unsafe_code, reason = "the standard library always calls the exit handlers")]
fn leave_at_once() -> ! {
    unsafe extern "C" {
        safe fn _exit(code: std::ffi::c_int) -> !;
    }
    _exit(CODE.into())
}
