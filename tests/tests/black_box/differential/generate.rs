//! Random ewoks graphs: blocks in a row, in branches, in loops and in nested graphs, with some links and attributes at
//! random places besides.
//!
//! A block is entered at one place and left at others. A generated graph may depend on timing, never end, or be
//! refused. The model finds that out, and another graph is generated.

use pushflow_tests::random::Random;
use serde_json::{Map, Value, json};

use super::tasks::{Form, class_outputs};

/// A graph and its inputs from outside.
#[derive(Clone, Debug)]
pub struct Case {
    pub graph: Value,
    pub inputs: Vec<Value>,
}

/// One end of a link: the id of a node and, if that is a graph node, the id of a node or an alias inside it.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) node: String,
    pub(super) inner: Option<Value>,
    pub(super) form: Form,
    /// The outputs, if the node is a class.
    pub(super) gives: Vec<String>,
    /// Whether an alias on the way to this node has link attributes.
    pub(super) has_attributes: bool,
}

/// The attributes of a link. Each exit of a block has those that a link out of it must have.
pub(super) type Attributes = Map<String, Value>;

pub(super) struct Block {
    pub(super) entry: End,
    pub(super) exits: Vec<(End, Attributes)>,
}

/// One graph, nested or not.
#[derive(Default)]
pub(super) struct Level {
    pub(super) nodes: Vec<Value>,
    pub(super) links: Vec<Value>,
    pub(super) inputs: Vec<Value>,
    pub(super) outputs: Vec<Value>,
    pub(super) depth: usize,
    /// The graph's own nodes, as ends for random links.
    pub(super) ends: Vec<End>,
}

const NUMBERS: [&str; 3] = ["x", "y", "z"];
const FLAGS: [&str; 2] = ["p", "q"];
pub(super) const CONSTANTS: [&str; 9] = ["true", "false", "none", "one", "half", "zero", "two", "text", "empty"];

/// Makes a random graph, with inputs from outside for some of the graphs.
pub fn generate(random: Random) -> Case {
    let mut generator = Generator { random, next: 0 };
    let mut level = Level::default();
    let blocks = 1 + generator.random.below(3);
    let main = generator.row(&mut level, blocks, 3);
    generator.disturb(&mut level, &main);
    let inputs = generator.inputs(&level);
    Case { graph: level.graph(json!({"id": "random"}), &mut generator.random), inputs }
}

pub(super) struct Generator {
    pub(super) random: Random,
    next: usize,
}

pub(super) fn attributes(value: &Value) -> Attributes {
    value.as_object().cloned().expect("it is one")
}

impl Level {
    pub(super) fn graph(self, about: Value, random: &mut Random) -> Value {
        let mut about = attributes(&about);
        if random.chance(50) {
            about.insert("schema_version".to_owned(), json!(*random.choose(&["1.0", "1.1", "1.2"]).expect("some")));
        }
        for (name, aliases) in [("input_nodes", self.inputs), ("output_nodes", self.outputs)] {
            if !aliases.is_empty() {
                about.insert(name.to_owned(), aliases.into());
            }
        }
        json!({"graph": about, "multigraph": true, "nodes": self.nodes, "links": self.links})
    }

    pub(super) fn node(&mut self, id: &str) -> &mut Value {
        self.nodes.iter_mut().find(|node| node["id"] == id).expect("it is there")
    }
}

impl Generator {
    pub(super) fn id(&mut self) -> String {
        self.next += 1;
        format!("n{}", self.next)
    }

    pub(super) fn one<T: Clone>(&mut self, of: &[T]) -> T {
        self.random.choose(of).expect("there are some").clone()
    }

    pub(super) fn number(&mut self) -> &'static str {
        self.one(&NUMBERS)
    }

    pub(super) fn flag(&mut self) -> &'static str {
        self.one(&FLAGS)
    }

    /// Adds a task whose program ends with these steps.
    pub(super) fn task(&mut self, level: &mut Level, form: Form, last: &[String]) -> End {
        let id = self.id();
        let mut steps: Vec<String> = (0..self.random.below(3)).map(|_| self.step()).collect();
        steps.extend(last.iter().cloned());
        let mut node = json!({"id": id});
        match form {
            Form::Port => node["task_type"] = json!("ppfport"),
            Form::Dictionary => {
                if steps.is_empty() {
                    steps.push(self.step());
                }
                node["task_type"] = json!("ppfmethod");
                node["task_identifier"] = json!(format!("random_tasks.ppf_{}", steps.join("_then_")));
            }
            Form::Class => {
                if steps.is_empty() {
                    steps.push(self.step());
                }
                if self.random.chance(25) {
                    steps.insert(0, format!("need_{}", self.number()));
                }
                node["task_type"] = json!("class");
                node["task_identifier"] = json!(format!("random_tasks.Class_{}", steps.join("_then_")));
            }
            Form::Method => {
                if !last.iter().any(|step| step.starts_with("give")) {
                    let number = self.number();
                    steps.push(self.one(&["giveall".to_owned(), format!("give_{number}")]));
                }
                node["task_type"] = json!("method");
                node["task_identifier"] = json!(format!("random_tasks.method_{}", steps.join("_then_")));
            }
        }
        if self.random.chance(30) {
            node["label"] = json!(self.one(&["Label", "Other label"]));
        }
        if self.random.chance(40) {
            node["default_inputs"] = self.defaults(form);
        }
        level.nodes.push(node);
        let end =
            End { node: id, inner: None, form, gives: class_outputs(&steps.join("_then_")), has_attributes: false };
        level.ends.push(end.clone());
        end
    }

    fn step(&mut self) -> String {
        let (number, flag, constant) = (self.number(), self.flag(), self.one(&CONSTANTS));
        match self.random.below(10) {
            0..4 => format!("add_{number}_{}", 1 + self.random.below(4)),
            4 => format!("test_{flag}_{number}_{}", self.random.below(6)),
            5 => format!("set_{flag}_{constant}"),
            6 => format!("copy_{number}_{}", self.number()),
            7 => format!("sum_{number}"),
            _ => "names_s".to_owned(),
        }
    }

    pub(super) fn defaults(&mut self, form: Form) -> Value {
        let count = 1 + self.random.below(2);
        let mut names: Vec<Value> = Vec::new();
        for _ in 0..count {
            let name = match form {
                Form::Method if self.random.chance(20) => json!(0),
                _ if self.random.chance(20) => json!(self.flag()),
                _ => json!(self.number()),
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let entry = |name| json!({"name": name, "value": self.value()});
        names.into_iter().map(entry).collect()
    }

    pub(super) fn value(&mut self) -> Value {
        match self.random.below(8) {
            0 => json!(true),
            1 => json!("text"),
            2 => Value::Null,
            3 => json!({"inner": [1, 2.5]}),
            _ => json!(self.random.below(5)),
        }
    }

    pub(super) fn form(&mut self) -> Form {
        match self.random.below(10) {
            0 => Form::Port,
            1 | 2 => Form::Method,
            3 => Form::Class,
            _ => Form::Dictionary,
        }
    }

    pub(super) fn link(&mut self, level: &mut Level, source: &End, target: &End, with: Attributes) {
        let mut link = json!({"source": source.node, "target": target.node});
        let on_error = with.contains_key("on_error");
        let chosen = with.contains_key("map_all_data");
        let mapping = if chosen { Attributes::new() } else { self.mapping(source, target.form, on_error) };
        for (name, end) in [("sub_source", source), ("sub_target", target)] {
            if let Some(inner) = &end.inner {
                link[name] = inner.clone();
            }
        }
        if target.inner.is_some() && self.random.chance(30) {
            link["sub_target_attributes"] = json!({"default_inputs": self.defaults(Form::Dictionary)});
        }
        if (source.has_attributes || target.has_attributes) && self.random.chance(60) {
            let name = self.one(&["required", "cache_if_optional"]);
            link[name] = json!(self.random.chance(50));
        }
        let link_attributes = link.as_object_mut().expect("it is one");
        link_attributes.extend(mapping);
        link_attributes.extend(with);
        if let Some(conditions) = link.get_mut("conditions").and_then(Value::as_array_mut)
            && self.random.chance(12)
        {
            // Of two conditions on one output the last one counts.
            let other = json!({"source_output": conditions[0]["source_output"], "value": self.random.below(3)});
            conditions.insert(0, other);
        }
        let parts = if self.random.chance(8) { split(&link) } else { vec![link] };
        level.links.extend(parts);
    }

    fn mapping(&mut self, source: &End, target: Form, on_error: bool) -> Attributes {
        let item = |from: &str, to: Value| json!({"data_mapping": [{"source_output": from, "target_input": to}]});
        let name = json!(self.number());
        let input = if target == Form::Method && self.random.chance(60) { json!(self.random.below(3)) } else { name };
        let choice = self.random.below(100);
        let output = self.random.choose(&source.gives).cloned();
        attributes(&match (on_error, source.form) {
            (false, Form::Method) if target == Form::Method && choice < 60 => item("return_value", input),
            (_, _) if choice < 65 => json!({"map_all_data": true}),
            (_, _) if choice < 75 => json!({}),
            (false, Form::Class) => output.map_or_else(|| json!({}), |output| item(&output, input)),
            (true, _) => item("WorkflowException", input),
            (false, Form::Method) => item("return_value", input),
            (false, _) if choice < 85 => item("_ppfdict", input),
            (false, _) => item("_ppfdict", json!("_ppfdict")),
        })
    }

    /// Inputs from outside; for most graphs there are none.
    fn inputs(&mut self, level: &Level) -> Vec<Value> {
        if !self.random.chance(40) {
            return Vec::new();
        }
        let count = 1 + self.random.below(3);
        (0..count).map(|_| self.input(level)).collect()
    }

    fn input(&mut self, level: &Level) -> Value {
        let mut input = json!({"name": self.number(), "value": self.random.below(4)});
        let node = self.one(&level.nodes);
        match self.random.below(5) {
            0 if node["task_type"] != "graph" => input["id"] = node["id"].clone(),
            1 if node.get("label").is_some() && node["task_type"] != "graph" => input["label"] = node["label"].clone(),
            2 if node["task_type"] == "ppfmethod" => {
                let identifier = node["task_identifier"].as_str().expect("it has one");
                let half = identifier.len() / 2;
                input["task_identifier"] = json!(&identifier[half..]);
            }
            3 => input["all"] = json!(true),
            _ => {}
        }
        input
    }
}

/// Splits a link into two that together mean the same.
fn split(link: &Value) -> Vec<Value> {
    let mut one = link.clone();
    let one_attributes = one.as_object_mut().expect("it is one");
    let taken: Option<(&str, Value)> =
        ["conditions", "data_mapping"].into_iter().find_map(|name| Some((name, one_attributes.remove(name)?)));
    let mut other = json!({});
    for name in ["source", "target", "sub_source", "sub_target"] {
        if let Some(end) = link.get(name) {
            other[name] = end.clone();
        }
    }
    if let Some((name, value)) = taken {
        other[name] = value;
    }
    vec![one, other]
}
