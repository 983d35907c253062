//! The runner: the thread of a pool that follows the engine's commands, which may wait for the guardian, and passes the
//! guardian's reports about processes, and the ticks of the clock, to the engine.

use std::collections::HashMap;
use std::sync::Arc;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use pushflow_guardian::ProcessId;

use super::connection::WorkerFactory;
use super::dispatcher::{Event, WorkerId};
use super::engine::{Engine, RunnerCommand, RunnerInput, RunnerWork};
use super::output::OutputReader;

/// How many inputs are handled before the clock is looked at again.
const BATCH: usize = 256;

pub(super) struct PoolRunner {
    pub(super) engine: Arc<Engine>,
    pub(super) factory: WorkerFactory,
    pub(super) output: OutputReader,
    pub(super) inputs: Receiver<RunnerInput>,
    /// For the guardian's listeners, which send their reports to this runner.
    pub(super) to_self: Sender<RunnerInput>,
    /// The guardian's ids of the workers' processes.
    pub(super) processes: HashMap<WorkerId, ProcessId>,
}

impl PoolRunner {
    /// Runs until the pool was closed, and no worker and no attempt is left.
    pub(super) fn run(mut self) {
        loop {
            let RunnerWork { commands, due, finished } = self.engine.next_work();
            if finished {
                return self.factory.reader_threads.wait();
            }
            if !commands.is_empty() {
                commands.into_iter().for_each(|command| self.perform(command));
                continue;
            }
            let received = match due {
                Some(at) => self.inputs.recv_deadline(at),
                None => self.inputs.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let events = match received {
                Ok(input) => self.events(input),
                Err(RecvTimeoutError::Timeout) => vec![Event::Tick],
                // Unreachable: this thread holds a sender itself.
                Err(RecvTimeoutError::Disconnected) => return,
            };
            self.engine.on_all(events);
        }
    }

    /// The events of this input and of those that have arrived meanwhile.
    fn events(&mut self, first: RunnerInput) -> Vec<Event> {
        let inputs = std::iter::once(first).chain(self.inputs.try_iter()).take(BATCH);
        let events = inputs.filter_map(|input| match input {
            RunnerInput::Event(event) => Some(event),
            RunnerInput::Wake => None,
        });
        let events: Vec<Event> = events.collect();
        for event in &events {
            if let Event::Reaped { worker } = event {
                self.processes.remove(worker);
            }
        }
        events
    }

    fn perform(&mut self, command: RunnerCommand) {
        match command {
            RunnerCommand::Start { worker, first } => self.start(worker, first),
            RunnerCommand::Signal(worker, signal) => {
                if let Some(&process) = self.processes.get(&worker) {
                    self.factory.guardian.signal(process, signal);
                }
            }
            RunnerCommand::End(worker) => {
                if let Some(&process) = self.processes.get(&worker) {
                    self.factory.guardian.end(process);
                }
            }
            RunnerCommand::DrainOutput(worker) => self.output.drain(worker),
        }
    }

    fn start(&mut self, worker: WorkerId, first: bool) {
        match self.factory.start(worker, first, &self.engine, &self.to_self) {
            Ok(started) => {
                self.processes.insert(worker, started.process);
                self.output.add(worker, started);
            }
            Err(error) => {
                let reason = format!("it could not be asked for ({error})");
                self.engine.on_all([Event::Refused { worker, reason, fatal: false }, Event::Reaped { worker }]);
            }
        }
    }
}
