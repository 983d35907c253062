//! The blocks of random graphs, and the random changes to a graph that is made of blocks.

use serde_json::{Value, json};

use super::generate::{Attributes, Block, CONSTANTS, End, Generator, Level, attributes};
use super::tasks::Form;

/// The greatest depth of nested graphs.
const DEEPEST: usize = 3;

impl Generator {
    /// Links this many blocks one after the other.
    pub(super) fn row(&mut self, level: &mut Level, blocks: usize, size: usize) -> Block {
        let mut row = self.block(level, size);
        for _ in 1..blocks {
            let next = self.block(level, size);
            for (source, with) in &row.exits {
                self.link(level, source, &next.entry, with.clone());
            }
            row.exits = next.exits;
        }
        row
    }

    fn block(&mut self, level: &mut Level, size: usize) -> Block {
        if size == 0 {
            return self.single(level);
        }
        match self.random.below(16) {
            0 | 1 => self.single(level),
            2 => {
                let count = 2 + self.random.below(2);
                self.row(level, count, size - 1)
            }
            3 | 4 => self.branches(level, size - 1),
            5 => self.choice(level, size - 1),
            6 | 7 => self.round(level, size - 1),
            8 => self.risk(level, size - 1),
            9 => self.endless_round(level),
            10 | 11 => self.gathering(level),
            _ if level.depth < DEEPEST => self.nested(level, size - 1),
            _ => self.single(level),
        }
    }

    fn single(&mut self, level: &mut Level) -> Block {
        let form = self.form();
        let entry = self.task(level, form, &[]);
        Block { exits: vec![(entry.clone(), Attributes::new())], entry }
    }

    /// A node, branches that are all taken, and a node that waits for all of them.
    fn branches(&mut self, level: &mut Level, size: usize) -> Block {
        let form = self.form();
        let entry = self.task(level, form, &[]);
        let form = self.form();
        let meeting = self.task(level, form, &[]);
        let with = if self.random.chance(30) { json!({"required": true}) } else { json!({}) };
        for _ in 0..2 + self.random.below(2) {
            let branch = self.block(level, size);
            self.link(level, &entry, &branch.entry, Attributes::new());
            for (exit, mut more) in branch.exits {
                more.extend(attributes(&with));
                self.link(level, &exit, &meeting, more);
            }
        }
        Block { entry, exits: vec![(meeting, Attributes::new())] }
    }

    /// A chain of nodes, each of which also links to one meeting node. The meeting node waits for the last node of the
    /// chain, which may run several times.
    fn gathering(&mut self, level: &mut Level) -> Block {
        let form = self.form();
        let meeting = self.task(level, form, &[]);
        let chain: Vec<End> = (0..2 + self.random.below(2)).map(|_| self.task(level, Form::Dictionary, &[])).collect();
        for (source, target) in chain.iter().zip(&chain[1..]) {
            let with = self.one(&[
                json!({"required": false}),
                json!({"required": false}),
                json!({"required": false, "cache_if_optional": true}),
                json!({"required": true}),
            ]);
            // This link comes first, so that its delivery arrives before the next node of the chain starts.
            self.link(level, source, &meeting, attributes(&with));
            self.link(level, source, target, attributes(&json!({"map_all_data": true})));
        }
        let (number, flag) = (self.number(), self.flag());
        let count = vec![format!("add_{number}_1"), format!("test_{flag}_{number}_{}", 2 + self.random.below(3))];
        let last = self.task(level, Form::Dictionary, &count);
        let before = chain.last().expect("it is not empty");
        self.link(level, before, &meeting, attributes(&json!({"required": false})));
        self.link(level, before, &last, attributes(&json!({"map_all_data": true})));
        self.link(level, &last, &meeting, attributes(&json!({"required": true})));
        if self.random.chance(60) {
            let again = self.task(level, Form::Dictionary, &[]);
            let when = json!({"conditions": [{"source_output": flag, "value": true}], "map_all_data": true});
            self.link(level, &last, &again, attributes(&when));
            self.link(level, &again, &last, attributes(&json!({"map_all_data": true, "required": false})));
        }
        Block { entry: chain[0].clone(), exits: vec![(meeting, Attributes::new())] }
    }

    /// Branches of which some are taken, depending on an output of the first node.
    fn choice(&mut self, level: &mut Level, size: usize) -> Block {
        let (output, values, steps, form) = self.question();
        let entry = self.task(level, form, &steps);
        if self.random.chance(40) {
            level.node(&entry.node)["conditions_else_value"] = values.last().expect("there are some").clone();
        }
        let form = self.form();
        let meeting = self.task(level, form, &[]);
        let mut exits = Vec::new();
        for value in &values {
            let when = attributes(&json!({"conditions": [{"source_output": output, "value": value}]}));
            if exits.is_empty() && self.random.chance(25) {
                exits.push((entry.clone(), when));
                continue;
            }
            let branch = self.block(level, size);
            self.link(level, &entry, &branch.entry, when);
            for (exit, more) in branch.exits {
                self.link(level, &exit, &meeting, more);
            }
        }
        exits.push((meeting, Attributes::new()));
        Block { entry, exits }
    }

    /// An output, the values to branch on, and the last steps and the form of a task that makes the output.
    fn question(&mut self) -> (String, Vec<Value>, Vec<String>, Form) {
        let (number, flag) = (self.number(), self.flag());
        match self.random.below(4) {
            0 => {
                let steps = vec![format!("test_{flag}_{number}_{}", 1 + self.random.below(4))];
                (flag.to_owned(), vec![json!(true), json!(false)], steps, self.one(&[Form::Dictionary, Form::Class]))
            }
            1 => {
                let steps = vec![format!("add_{number}_{}", self.random.below(4))];
                let values = vec![json!(self.random.below(4)), json!(4 + self.random.below(4)), json!("other")];
                (number.to_owned(), values, steps, Form::Dictionary)
            }
            2 => {
                let steps = vec![format!("set_{flag}_{}", self.one(&CONSTANTS))];
                let mut values = vec![json!(true), json!("text"), json!(0), Value::Null, json!(1.5), json!(2)];
                let from = self.random.below(3);
                values.drain(..from);
                values.truncate(3);
                (flag.to_owned(), values, steps, Form::Dictionary)
            }
            _ => {
                let steps = vec![format!("test_{flag}_{number}_{}", 1 + self.random.below(4)), format!("give_{flag}")];
                ("return_value".to_owned(), vec![json!(true), json!(false)], steps, Form::Method)
            }
        }
    }

    /// A loop that a counter ends.
    fn round(&mut self, level: &mut Level, size: usize) -> Block {
        let (number, flag) = (self.number(), self.flag());
        let count = vec![format!("add_{number}_1"), format!("test_{flag}_{number}_{}", 2 + self.random.below(3))];
        let again = attributes(&json!({"conditions": [{"source_output": flag, "value": true}], "map_all_data": true}));
        let done = attributes(&json!({"conditions": [{"source_output": flag, "value": false}]}));
        let check = self.task(level, Form::Dictionary, &count);
        let entry = if self.random.chance(25) {
            check.clone()
        } else {
            let body = self.block(level, size);
            for (exit, mut more) in body.exits {
                more.insert("map_all_data".to_owned(), json!(true));
                self.link(level, &exit, &check, more);
            }
            body.entry
        };
        self.link(level, &check, &entry, again);
        Block { entry, exits: vec![(check, if self.random.chance(80) { done } else { Attributes::new() })] }
    }

    /// A loop of links without conditions, which only a failure ends.
    fn endless_round(&mut self, level: &mut Level) -> Block {
        let number = self.number();
        let entry = self.task(level, Form::Dictionary, &[format!("add_{number}_1")]);
        let failing = format!("raiseif_{number}_{}", 2 + self.random.below(2));
        let last = self.task(level, Form::Dictionary, &[failing]);
        let all = attributes(&json!({"map_all_data": true}));
        self.link(level, &entry, &last, all.clone());
        let mut back = all;
        if self.random.chance(50) {
            back.insert("required".to_owned(), json!(false));
        }
        self.link(level, &last, &entry, back);
        Block { entry, exits: vec![(last, attributes(&json!({"on_error": true})))] }
    }

    /// A task that may fail, usually with a block that handles its errors.
    fn risk(&mut self, level: &mut Level, size: usize) -> Block {
        let number = self.number();
        let step = match self.random.below(4) {
            0 => "raise".to_owned(),
            1 => format!("raiseif_{number}_0"),
            _ => format!("raiseif_{number}_{}", 1 + self.random.below(3)),
        };
        let form = self.one(&[Form::Dictionary, Form::Dictionary, Form::Method, Form::Class]);
        let entry = self.task(level, form, &[step]);
        let mut exits = vec![(entry.clone(), Attributes::new())];
        if self.random.chance(80) {
            let handler = self.block(level, size);
            self.link(level, &entry, &handler.entry, attributes(&json!({"on_error": true})));
            if self.random.chance(60) {
                exits.extend(handler.exits);
            }
        }
        Block { entry, exits }
    }

    /// A graph node, with the nested graph that it stands for.
    fn nested(&mut self, level: &mut Level, size: usize) -> Block {
        let mut inner = Level { depth: level.depth + 1, ..Level::default() };
        let blocks = 1 + self.random.below(2);
        let block = self.row(&mut inner, blocks, size);
        self.disturb(&mut inner, &block);
        let id = self.id();
        let mut node = json!({"id": id, "task_type": "graph"});
        let entry = self.door(&mut inner, &block.entry, &id, true);
        let exits = block.exits.iter().map(|(end, more)| (self.door(&mut inner, end, &id, false), more.clone()));
        let exits: Vec<_> = exits.collect();
        if !inner.inputs.is_empty() && self.random.chance(15) {
            node["default_inputs"] = self.defaults(Form::Dictionary);
        }
        if !inner.inputs.is_empty() && self.random.chance(5) {
            node["force_start_node"] = json!(true);
        }
        node["task_identifier"] = inner.graph(json!({"id": format!("graph of {id}")}), &mut self.random);
        if self.random.chance(15) {
            node["task_identifier"] = json!(node["task_identifier"].to_string());
        }
        level.nodes.push(node);
        Block { entry, exits }
    }

    /// The end by which links from outside reach a node of a nested graph: an alias or the id of the node.
    fn door(&mut self, inner: &mut Level, end: &End, graph: &str, is_input: bool) -> End {
        let outside = |name| End { node: graph.to_owned(), inner: Some(name), ..end.clone() };
        let direct = match &end.inner {
            None => json!(end.node),
            Some(Value::Array(_)) => return self.alias(inner, end, graph, is_input),
            Some(name) => json!([end.node, name]),
        };
        if self.random.chance(30) { outside(direct) } else { self.alias(inner, end, graph, is_input) }
    }

    fn alias(&mut self, inner: &mut Level, end: &End, graph: &str, is_input: bool) -> End {
        let kind = if is_input { "in" } else { "out" };
        let name = format!("{kind}{}", self.random.below(3));
        let mut alias = json!({"id": name, "node": end.node});
        if let Some(sub) = &end.inner {
            alias["sub_node"] = sub.clone();
        }
        let has_attributes = end.has_attributes || self.random.chance(35);
        if has_attributes {
            alias["link_attributes"] = self.one(&[
                json!({"required": false}),
                json!({"required": true}),
                json!({"cache_if_optional": true}),
                json!({"required": false, "cache_if_optional": true}),
            ]);
        }
        let mut aliases = vec![alias];
        if self.random.chance(20) && !inner.ends.is_empty() {
            let other = self.one(&inner.ends.clone());
            aliases.push(json!({"id": name, "node": other.node}));
        }
        if is_input { &mut inner.inputs } else { &mut inner.outputs }.extend(aliases);
        End { node: graph.to_owned(), inner: Some(json!(name)), has_attributes, ..end.clone() }
    }

    /// Adds random links between nodes of any blocks, and random attributes to the links and nodes that are there.
    pub(super) fn disturb(&mut self, level: &mut Level, main: &Block) {
        if level.ends.is_empty() {
            return;
        }
        if self.random.chance(25) {
            let size = self.random.below(2);
            let other = self.block(level, size);
            let target = self.one(&level.ends.clone());
            let with = self.one(&[json!({}), json!({"required": true}), json!({"required": false})]);
            for (exit, mut more) in other.exits {
                more.extend(attributes(&with));
                self.link(level, &exit, &target, more);
            }
        }
        if self.random.chance(25) && level.ends.len() > 1 {
            let (source, target) = (self.one(&level.ends.clone()), self.one(&level.ends.clone()));
            let with = self.one(&[
                json!({"required": false}),
                json!({"required": false, "cache_if_optional": true}),
                json!({"cache_if_optional": true}),
                json!({"on_error": true}),
                json!({}),
            ]);
            self.link(level, &source, &target, attributes(&with));
        }
        for at in 0..level.links.len() {
            let link = &mut level.links[at];
            match self.random.below(40) {
                0 => link["required"] = json!(true),
                1 | 2 => link["required"] = json!(false),
                3 => link["cache_if_optional"] = json!(true),
                4 => {
                    link["required"] = json!(false);
                    link["cache_if_optional"] = json!(true);
                }
                _ => {}
            }
        }
        if self.random.chance(20) {
            self.handler(level);
        }
        if self.random.chance(10) {
            let node = self.one(&level.ends.clone()).node;
            level.node(&node)["force_start_node"] = json!(true);
        }
        if self.random.chance(20) && main.entry.inner.is_none() {
            level.node(&main.entry.node)["force_start_node"] = json!(true);
        }
    }

    /// Makes a node a default error handler: usually a new node, sometimes one of the others.
    fn handler(&mut self, level: &mut Level) {
        let end = if self.random.chance(80) {
            let form = self.form();
            self.task(level, form, &[])
        } else {
            self.one(&level.ends.clone())
        };
        let ways = [
            None,
            Some(json!({"map_all_data": true, "required": false})),
            Some(json!({"data_mapping": [{"source_output": "WorkflowException", "target_input": "z"}]})),
            Some(json!({"map_all_data": true, "cache_if_optional": true})),
        ];
        let way = self.one(&ways);
        let node = level.node(&end.node);
        node["default_error_node"] = json!(true);
        if let Some(way) = way {
            node["default_error_attributes"] = way;
        }
    }
}
