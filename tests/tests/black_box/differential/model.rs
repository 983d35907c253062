//! Works out what a graph does, for every order in which its tasks may end. The model goes through all orders, one step
//! at a time. A graph whose executions differ between two orders is left out.
//!
//! The rule of ewoks graphs (`docs/parity.md` P145-P148, P152) is written here a second time, in a slow and simple
//! form. A step is either the end of a task or the next arrival of a delivery. The end of a task makes one *delivery*,
//! which has an arrival for each link that is taken, in the order of the task's links. Between the arrivals of two
//! tasks' deliveries anything may happen, since the original delivers in the threads in which tasks end. Each trigger
//! of a start node by the run itself is a delivery of its own.
//!
//! So the model leaves out exactly the graphs that depend on timing, and no others.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use serde_json::{Value, json};

use super::analyse::named_values;
use super::flatten::{Flat, Known, LeftOut, Link};
use super::tasks::{Data, EXCEPTION, Form, INSTANCE, TRAVELLING, equal, object, outputs};

/// The greatest number of executions that a graph may have.
const MOST_EXECUTIONS: usize = 60;
/// The greatest number of states of a run that are looked at.
const MOST_STATES: usize = 1_000;

/// The error of a `ppfmethod` that gets an input with a position instead of a name.
pub const POSITION: &str = "a position";

/// The greatest length in bytes of the data on a link, as JSON. In a loop the length may double with each round.
const LONGEST: usize = 3_000;

/// One execution of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Execution {
    pub inputs: Value,
    /// The outputs, or the message of the error.
    pub outputs: Result<Value, String>,
}

/// The outcome that a run must have.
#[derive(Debug)]
pub struct Expected {
    /// For each node that runs, its executions. They are in the order in which they end, if only one order is possible.
    pub executions: BTreeMap<String, Executions>,
    /// A run may have any of these results.
    pub results: Vec<Value>,
    /// For each failure the node, the message, and whether an error link handles it; sorted.
    pub errors: Vec<(String, String, bool)>,
    pub states: usize,
    /// The reason, if the original is known to do something else.
    pub known: Option<Known>,
}

impl Expected {
    /// Whether the run has so few executions that a comparison shows little.
    pub fn is_dull(&self) -> bool {
        self.executions.values().map(|node| node.list.len()).sum::<usize>() < 4
    }
}

#[derive(Debug)]
pub struct Executions {
    pub list: Vec<Execution>,
    /// Whether the executions end in this order in every run.
    pub in_order: bool,
}

/// The number of some data in the [`Store`], which keeps equal data once.
type Id = u32;

#[derive(Default)]
struct Store {
    numbers: HashMap<String, Id>,
    all: Vec<Data>,
}

impl Store {
    fn number(&mut self, data: Data) -> Result<Id, LeftOut> {
        let key = object(&data).to_string();
        if key.len() > LONGEST {
            return Err(LeftOut::TooLong);
        }
        let next = Id::try_from(self.all.len()).expect("there are few");
        let number = *self.numbers.entry(key).or_insert(next);
        if number == next {
            self.all.push(data);
        }
        Ok(number)
    }

    fn get(&self, id: Id) -> &Data {
        &self.all[id as usize]
    }
}

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Arrival {
    /// The run triggers a start node.
    Start(usize),
    /// Data arrive on a link.
    Link(usize, Id),
    /// Data arrive at the end of the run; the flag says whether they come from a failure.
    End(Id, bool),
}

/// The outcome of an execution. It depends only on the node and on the data that arrived there.
#[derive(Clone)]
struct Done {
    delivery: Vec<Arrival>,
    execution: Execution,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Merge {
    required: BTreeMap<usize, Option<Id>>,
    cached: BTreeMap<usize, Id>,
    waiting: Vec<Id>,
    has_run: bool,
    last: Option<Id>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    merges: Vec<Rc<Merge>>,
    /// Each node with the data that arrived there; sorted.
    running: Vec<(usize, Id)>,
    /// Sorted. The next arrival of each delivery is the last element.
    deliveries: Vec<Vec<Arrival>>,
    /// For each node, the data that arrived for each execution that has ended.
    logs: Vec<Rc<Vec<Id>>>,
    /// The flag says whether the result comes from a failure.
    result: Option<(Id, bool)>,
}

struct Explorer<'a> {
    flat: &'a Flat,
    store: Store,
    done: HashMap<(usize, Id), Done>,
    /// Whether a node ran twice at the same time and failed in one of these executions.
    has_overlap: bool,
}

/// Goes through every order of the graph's executions, and returns the outcome.
pub fn explore(flat: &Flat) -> Result<Expected, LeftOut> {
    let mut explorer = Explorer { flat, store: Store::default(), done: HashMap::new(), has_overlap: false };
    let first = explorer.beginning();
    let mut seen = HashSet::from([first.clone()]);
    let mut pending = vec![first];
    let mut ends: Vec<State> = Vec::new();
    while let Some(state) = pending.pop() {
        let next = explorer.steps(&state)?;
        if next.is_empty() {
            if ends.first().is_some_and(|end| !same_executions(&state, end)) {
                return Err(LeftOut::Timing);
            }
            ends.push(state);
        }
        for state in next {
            if seen.len() > MOST_STATES {
                return Err(LeftOut::TooManyOrders);
            }
            if seen.insert(state.clone()) {
                pending.push(state);
            }
        }
    }
    Ok(explorer.expected(&ends, seen.len()))
}

/// Whether the same tasks have run with the same inputs, in any order.
fn same_executions(one: &State, other: &State) -> bool {
    let sorted = |log: &[Id]| {
        let mut log = log.to_vec();
        log.sort_unstable();
        log
    };
    one.logs.iter().zip(&other.logs).all(|(one, other)| sorted(one) == sorted(other))
}

impl Explorer<'_> {
    fn beginning(&self) -> State {
        let merge = |node| {
            Rc::new(Merge {
                required: self.links_into(node, |link| link.required).map(|at| (at, None)).collect(),
                cached: BTreeMap::new(),
                waiting: Vec::new(),
                has_run: false,
                last: None,
            })
        };
        let mut deliveries: Vec<_> = self.flat.starts.iter().map(|start| vec![Arrival::Start(*start)]).collect();
        deliveries.sort();
        State {
            merges: (0..self.flat.nodes.len()).map(merge).collect(),
            running: Vec::new(),
            deliveries,
            logs: vec![Rc::default(); self.flat.nodes.len()],
            result: None,
        }
    }

    fn links_into(&self, node: usize, wanted: fn(&Link) -> bool) -> impl Iterator<Item = usize> {
        let links = self.flat.links.iter().enumerate();
        links.filter(move |(_, link)| link.target == node && wanted(link)).map(|(at, _)| at)
    }

    /// The states that may come next.
    fn steps(&mut self, state: &State) -> Result<Vec<State>, LeftOut> {
        let mut next = Vec::new();
        for at in 0..state.deliveries.len() {
            if at == 0 || state.deliveries[at] != state.deliveries[at - 1] {
                let mut after = state.clone();
                let mut delivery = after.deliveries.remove(at);
                let arrival = delivery.pop().expect("none is empty");
                after.add_delivery(delivery);
                self.arrive(arrival, &mut after)?;
                next.push(after);
            }
        }
        for pair in state.running.windows(2).filter(|pair| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1) {
            for (node, got) in pair {
                self.has_overlap |= self.done(*node, *got)?.execution.outputs.is_err();
            }
        }
        for at in 0..state.running.len() {
            if at == 0 || state.running[at] != state.running[at - 1] {
                let mut after = state.clone();
                let (node, got) = after.running.remove(at);
                Rc::make_mut(&mut after.logs[node]).push(got);
                if after.logs.iter().map(|log| log.len()).sum::<usize>() > MOST_EXECUTIONS {
                    return Err(LeftOut::Endless);
                }
                let delivery = self.done(node, got)?.delivery.iter().rev().cloned().collect();
                after.add_delivery(delivery);
                next.push(after);
            }
        }
        Ok(next)
    }

    fn arrive(&mut self, arrival: Arrival, state: &mut State) -> Result<(), LeftOut> {
        let (node, on) = match arrival {
            Arrival::Start(node) => (node, None),
            Arrival::Link(link, data) => (self.flat.links[link].target, Some((link, data))),
            Arrival::End(data, failed) => {
                if state.result.is_none() || !failed {
                    state.result = Some((data, failed));
                }
                return Ok(());
            }
        };
        let merge = Rc::make_mut(&mut state.merges[node]);
        if let Some((at, data)) = on {
            let link = &self.flat.links[at];
            match (link.required, link.cached) {
                (true, _) => _ = merge.required.insert(at, Some(data)),
                (false, true) => _ = merge.cached.insert(at, data),
                (false, false) if merge.has_run => merge.last = Some(data),
                (false, false) => merge.waiting.push(data),
            }
        }
        if merge.required.values().any(Option::is_none) {
            return Ok(());
        }
        if !merge.has_run {
            merge.has_run = true;
            merge.last = merge.waiting.last().copied();
        }
        let waiting = std::mem::take(&mut merge.waiting);
        let once = [merge.last];
        let loose: Vec<Option<Id>> =
            if waiting.is_empty() { once.into() } else { waiting.into_iter().map(Some).collect() };
        for last in loose {
            let merge = &state.merges[node];
            let parts = merge.required.values().copied().flatten().chain(merge.cached.values().copied()).chain(last);
            let mut merged = Data::new();
            for part in parts {
                merged.extend(self.store.get(part).clone());
            }
            state.running.push((node, self.store.number(merged)?));
        }
        state.running.sort_unstable();
        Ok(())
    }

    /// The outcome of an execution, which is worked out once.
    fn done(&mut self, node: usize, got: Id) -> Result<&Done, LeftOut> {
        if !self.done.contains_key(&(node, got)) {
            let done = self.execute(node, got)?;
            self.done.insert((node, got), done);
        }
        Ok(&self.done[&(node, got)])
    }

    fn execute(&mut self, place: usize, got: Id) -> Result<Done, LeftOut> {
        let flat = self.flat;
        let node = &flat.nodes[place];
        let got = self.store.get(got).clone();
        let mut inputs = node.defaults.clone();
        // If the positions that arrived leave a gap, the gap hides a default for it.
        inputs.extend(with_gaps(&got));
        if is_dictionary(node.form)
            && let Some(Value::Object(dictionary)) = inputs.remove(TRAVELLING)
        {
            inputs.extend(dictionary);
        }
        let has_position = inputs.keys().any(|name| is_position(name));
        let outcome = match node.form {
            Form::Dictionary if has_position => Err(POSITION.to_owned()),
            _ => outputs(node.form, &node.program, &with_gaps(&inputs)),
        };
        let data = match &outcome {
            Ok(outputs) => outputs.clone(),
            Err(message) => {
                let mut data = got;
                data.insert(EXCEPTION.to_owned(), json!({"errorMessage": message}));
                data.insert(INSTANCE.to_owned(), json!("an instance"));
                data
            }
        };
        let failed = outcome.is_err();
        let mut delivery = Vec::new();
        for (at, link) in
            flat.links.iter().enumerate().filter(|(_, link)| link.source == place && link.on_error == failed)
        {
            if failed || holds(link, place, flat, &data)? {
                let mapped = mapped(link, &data)?;
                delivery.push(Arrival::Link(at, self.store.number(mapped)?));
            }
        }
        let unhandled = failed && !has_handler(flat, place);
        if unhandled || !failed && flat.ends.contains(&place) {
            delivery.push(Arrival::End(self.store.number(data)?, failed));
        }
        let execution = Execution { inputs: object(&inputs), outputs: outcome.map(|outputs| object(&outputs)) };
        Ok(Done { delivery, execution })
    }

    fn expected(&self, ends: &[State], states: usize) -> Expected {
        let one = ends.first().expect("every run ends");
        let mut executions = BTreeMap::new();
        let mut errors = Vec::new();
        for (place, node) in self.flat.nodes.iter().enumerate().filter(|(place, _)| !one.logs[*place].is_empty()) {
            let list: Vec<_> = one.logs[place].iter().map(|got| self.done[&(place, *got)].execution.clone()).collect();
            let handled = has_handler(self.flat, place);
            let failures = list.iter().filter_map(|execution| execution.outputs.clone().err());
            errors.extend(failures.map(|message| (node.id.clone(), message, handled)));
            let in_order = ends.iter().all(|end| end.logs[place] == one.logs[place]);
            executions.insert(node.id.clone(), Executions { list, in_order });
        }
        errors.sort();
        let results: BTreeSet<_> = ends.iter().map(|end| end.result).collect();
        let value = |result: Option<(Id, bool)>| match result {
            Some((data, false)) => object(self.store.get(data)),
            Some((_, true)) | None => json!({}),
        };
        let overlap = self.has_overlap.then_some(Known::OverlappingFailures);
        let known = self.flat.known.or(overlap);
        Expected { executions, results: results.into_iter().map(value).collect(), errors, states, known }
    }
}

impl State {
    fn add_delivery(&mut self, delivery: Vec<Arrival>) {
        if !delivery.is_empty() {
            self.deliveries.push(delivery);
            self.deliveries.sort();
        }
    }
}

fn is_dictionary(form: Form) -> bool {
    matches!(form, Form::Dictionary | Form::Port)
}

fn has_handler(flat: &Flat, node: usize) -> bool {
    flat.links.iter().any(|link| link.source == node && link.on_error)
}

fn is_position(name: &str) -> bool {
    name.parse::<usize>().is_ok()
}

/// The inputs of a method. A position that is missing before the last one that is there becomes null (None in Python).
fn with_gaps(inputs: &Data) -> Data {
    let positions = inputs.keys().filter_map(|name| name.parse::<usize>().ok()).max().map_or(0, |last| last + 1);
    let mut whole: Data = (0..positions).map(|position| (position.to_string(), Value::Null)).collect();
    whole.extend(inputs.clone());
    whole
}

fn holds(link: &Link, node: usize, flat: &Flat, outputs: &Data) -> Result<bool, LeftOut> {
    let mut seen = outputs.clone();
    if is_dictionary(flat.nodes[node].form)
        && let Some(Value::Object(dictionary)) = seen.remove(TRAVELLING)
    {
        seen.extend(dictionary);
    }
    let otherwise = &flat.nodes[node].otherwise;
    let named = named_values(node, &flat.links);
    for (output, wanted) in &link.conditions {
        let Some(value) = seen.get(output) else { return Ok(false) };
        let holds = if equal(wanted, otherwise) {
            if value.is_object() || value.is_array() {
                return Err(LeftOut::Unhashable);
            }
            equal(value, otherwise) || !named[output.as_str()].iter().any(|named| equal(value, named))
        } else {
            equal(value, wanted)
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

fn mapped(link: &Link, outputs: &Data) -> Result<Data, LeftOut> {
    if link.everything {
        return Ok(outputs.clone());
    }
    let entry = |(input, output): (&String, &String)| {
        Ok((input.clone(), outputs.get(output).ok_or(LeftOut::MissingOutput)?.clone()))
    };
    link.mapping.iter().map(entry).collect()
}
