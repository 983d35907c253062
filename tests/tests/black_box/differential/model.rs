//! What a graph does, in whatever order its tasks end: all orders are gone through, one step at a time, and a graph whose
//! executions differ between two of them is left out.
//!
//! This is the rule of ewoks graphs (`docs/parity.md` P145-P148, P152), written a second time in a slow and simple form. A step is either the end of a
//! task, which makes a *delivery* of each link that is taken, or the next arrival of a delivery. What one task delivers
//! arrives in the order of its links; between the arrivals of two tasks' deliveries anything may happen, since the original
//! delivers in the threads in which tasks end. The run's own triggers of the start nodes are deliveries by themselves.
//!
//! So what depends on timing is left out exactly: nothing else is.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use serde_json::{Value, json};

use super::analyse::named_values;
use super::flatten::{Flat, Known, LeftOut, Link};
use super::tasks::{Data, EXCEPTION, Form, INSTANCE, TRAVELLING, equal, object, outputs};

/// How many executions a graph may have.
const MOST_EXECUTIONS: usize = 60;
/// How many states of a run are looked at.
const MOST_STATES: usize = 1_000;

/// What a `ppfmethod` says of an input that has no name.
pub const POSITION: &str = "a position";

/// How long the text of what travels on a link may get: in a loop it may double with each round.
const LONGEST: usize = 3_000;

/// One execution of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Execution {
    pub inputs: Value,
    /// Or what its error says.
    pub outputs: Result<Value, String>,
}

/// What a run must come to.
#[derive(Debug)]
pub struct Expected {
    /// Of each node that runs, in the order in which they end, where there is only one.
    pub executions: BTreeMap<String, Executions>,
    /// The result may be any of these.
    pub results: Vec<Value>,
    /// The nodes that fail with what they say and whether that is handled, once for each failure, sorted.
    pub errors: Vec<(String, String, bool)>,
    pub states: usize,
    /// Where the original is known to do something else.
    pub known: Option<Known>,
}

impl Expected {
    /// Whether hardly anything happens.
    pub fn is_dull(&self) -> bool {
        self.executions.values().map(|node| node.list.len()).sum::<usize>() < 4
    }
}

#[derive(Debug)]
pub struct Executions {
    pub list: Vec<Execution>,
    /// Whether they end in this order, and in no other.
    pub in_order: bool,
}

/// A number for something that is kept once.
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
    /// At a start node.
    Start(usize),
    /// On a link.
    Link(usize, Id),
    /// At the end, from a failure or not.
    End(Id, bool),
}

/// What an execution, by node and by what arrived, comes to.
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
    /// Sorted.
    running: Vec<(usize, Id)>,
    /// Sorted; each with what is next last.
    deliveries: Vec<Vec<Arrival>>,
    /// Of each node, what arrived for each execution.
    logs: Vec<Rc<Vec<Id>>>,
    /// With whether it comes from a failure.
    result: Option<(Id, bool)>,
}

struct Explorer<'a> {
    flat: &'a Flat,
    store: Store,
    done: HashMap<(usize, Id), Done>,
    /// A node that failed was running twice.
    has_overlap: bool,
}

/// What every order of the graph's executions comes to.
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

/// Whether the same tasks have run with the same inputs, in whatever order.
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

    /// What may happen next.
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

    /// What becomes of an execution.
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
        // A gap between positions that arrived hides a default.
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

/// The inputs of a method: of the positions before the last one that is there, those that are missing are none.
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
