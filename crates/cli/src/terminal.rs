//! [`Terminal`]: standard error, which messages about a run and the progress line share.
//!
//! Every write holds one lock. A message clears the progress line first, and the line is drawn again below the message.
//! Between events, the thread `pushflow-progress` redraws the line, so that its clock goes on. The thread exists only if
//! there is a line that is updated in place.

use std::io::{self, Write};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pushflow::EventKind;

use crate::progress_line::{PERIOD, ProgressLine};

/// Writes messages about a run, and shows the progress line until this is dropped.
pub(crate) struct Terminal {
    state: Arc<Mutex<TerminalState>>,
    thread: Option<(Sender<()>, JoinHandle<()>)>,
}

struct TerminalState {
    progress: ProgressLine,
    /// When the run began, by this process's clock; `None` before, when no line is drawn.
    began: Option<Instant>,
    output: Box<dyn Write + Send>,
}

impl Terminal {
    /// # Errors
    /// When the thread that redraws the line can't be started.
    pub(crate) fn new(progress: ProgressLine, output: impl Write + Send + 'static) -> io::Result<Terminal> {
        let has_bar = progress.is_bar();
        let state = Arc::new(Mutex::new(TerminalState { progress, began: None, output: Box::new(output) }));
        let thread = if has_bar { Some(start(state.clone())?) } else { None };
        Ok(Terminal { state, thread })
    }

    /// Counts an event at this time of the run, and writes the text about it: whole lines, or nothing.
    pub(crate) fn show_event(&self, event: &EventKind, at: Duration, text: &str) {
        let mut state = lock(&self.state);
        state.progress.count(event);
        match event {
            EventKind::RunStarted { .. } => state.began = Instant::now().checked_sub(at),
            EventKind::RunEnded { .. } => state.end(),
            _ => {}
        }
        state.write_message(text);
    }

    /// Writes a text that belongs to no event.
    pub(crate) fn write_message(&self, text: &str) {
        lock(&self.state).write_message(text);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        lock(&self.state).end();
        if let Some((stop, thread)) = self.thread.take() {
            drop(stop);
            thread.join().ok();
        }
    }
}

impl TerminalState {
    fn write_message(&mut self, text: &str) {
        let clear = if text.is_empty() { "" } else { self.progress.clear() };
        let drawn = self.began.and_then(|began| self.progress.draw(began.elapsed())).unwrap_or_default();
        self.write(&format!("{clear}{text}{drawn}"));
    }

    /// Clears the line for good.
    fn end(&mut self) {
        let clear = self.progress.end();
        self.write(clear);
    }

    /// Writes the text. An error is ignored, since a closed standard error must not end the run.
    fn write(&mut self, text: &str) {
        if !text.is_empty() {
            self.output.write_all(text.as_bytes()).ok();
        }
    }
}

fn lock(state: &Mutex<TerminalState>) -> MutexGuard<'_, TerminalState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the thread that redraws the line until the sender is dropped.
fn start(state: Arc<Mutex<TerminalState>>) -> io::Result<(Sender<()>, JoinHandle<()>)> {
    let (stop, stopped) = mpsc::channel();
    let thread = std::thread::Builder::new().name("pushflow-progress".into()).spawn(move || {
        while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
            lock(&state).write_message("");
        }
    })?;
    Ok((stop, thread))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::ProgressMode;
    use pushflow::EndingKind;
    use std::sync::mpsc::Receiver;

    /// A test that waits longer than this hangs.
    const HANG: Duration = Duration::from_secs(30);

    /// Sends each write to the test.
    struct Written(Sender<String>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(String::from_utf8_lossy(bytes).into_owned()).ok();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn begin(how: ProgressMode, at: Duration) -> (Terminal, Receiver<String>) {
        let (sender, written) = mpsc::channel();
        let terminal = Terminal::new(ProgressLine::new(how), Written(sender)).expect("a thread can be started");
        terminal.show_event(&EventKind::RunStarted { workflow: "test".into() }, at, "");
        (terminal, written)
    }

    #[test]
    fn the_clock_goes_on_while_nothing_happens() {
        let (_terminal, written) = begin(ProgressMode::Bar, Duration::from_millis(500));
        assert_eq!(written.recv_timeout(HANG).unwrap(), "\r\x1b[K0:00  0 done, 0 running, 0 waiting");
        assert_eq!(written.recv_timeout(HANG).unwrap(), "\r\x1b[K0:01  0 done, 0 running, 0 waiting");
    }

    #[test]
    fn what_is_said_wipes_the_line_and_nothing_is_drawn_after_the_end() {
        let (terminal, written) = begin(ProgressMode::Bar, Duration::from_secs(60));
        written.recv_timeout(HANG).unwrap();
        terminal.write_message("a line\n");
        let said = written.iter().find(|text| text.contains("a line\n"));
        assert!(said.unwrap().starts_with("\r\x1b[Ka line\n"));
        // The line is drawn again, at once or by the thread.
        let back = written.recv_timeout(HANG).unwrap();
        assert!(back.starts_with("\r\x1b[K1:0"), "{back:?}");
        terminal.show_event(
            &EventKind::RunEnded { ending: EndingKind::Finished },
            Duration::from_secs(61),
            "the end\n",
        );
        terminal.write_message("later\n");
        drop(terminal);
        let written: Vec<String> = written.iter().collect();
        assert_eq!(written[written.len() - 3..], ["\r\x1b[K", "the end\n", "later\n"]);
    }

    #[test]
    fn where_there_is_no_bar_there_is_no_thread() {
        let (terminal, written) = begin(ProgressMode::Plain, Duration::ZERO);
        assert!(terminal.thread.is_none());
        terminal.write_message("a line\n");
        drop(terminal);
        assert_eq!(written.iter().collect::<Vec<_>>(), ["a line\n"]);
    }
}
