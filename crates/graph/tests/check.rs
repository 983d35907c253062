//! The warnings of `Graph::check`, and graphs without one.

use pushflow_graph::{ActorId, Condition, Graph, Link, Passing, Router, Task, WarningKind, Work};
use pushflow_model::{PythonTask, Returns, TaskSpec};

/// Builds a graph by the names of its actors: a name that ends in `?` is a router by `x`, one that ends in `+` a join,
/// one that ends in `.` a port; `start` and `stop` are the start and stop actor, and all others are tasks.
struct GraphByNames(Graph);

impl GraphByNames {
    fn new() -> GraphByNames {
        let mut graph = Graph::new("check");
        graph.add_start("start").unwrap();
        graph.add_stop("stop").unwrap();
        GraphByNames(graph)
    }

    fn actor(&mut self, name: &str) -> ActorId {
        if let Some(id) = self.0.find(name) {
            return id;
        }
        match name.chars().last() {
            Some('?') => self.0.add_router(name, Router::new("x", [1, 2])),
            Some('+') => self.0.add_join(name),
            Some('.') => self.0.add_port(name),
            _ => self.0.add_task(name, Task::new(Work::Identity)),
        }
        .unwrap()
    }

    fn link(mut self, source: &str, target: &str, link: Link) -> GraphByNames {
        let (source, target) = (self.actor(source), self.actor(target));
        self.0.connect(source, target, link).unwrap();
        self
    }

    fn chain(self, names: &[&str]) -> GraphByNames {
        names.windows(2).fold(self, |graph, pair| graph.link(pair[0], pair[1], Link::direct()))
    }

    fn warnings(&self) -> Vec<(WarningKind, String)> {
        self.0.check().into_iter().map(|warning| (warning.kind, warning.message)).collect()
    }

    fn only(&self) -> (WarningKind, String) {
        let mut warnings = self.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        warnings.remove(0)
    }
}

#[test]
fn a_graph_without_mistakes_has_no_warnings() {
    let net = GraphByNames::new().chain(&["start", "a", "done?"]).link("done?", "stop", Link::port(1));
    let net = net.link("done?", "a", Link::port(2)).link("done?", "b", Link::port("other")).chain(&["b", "stop"]);
    assert_eq!(net.warnings(), []);
}

#[test]
fn a_graph_without_start_and_stop_actors_has_two_warnings() {
    let warnings = Graph::new("empty").check();
    assert_eq!(warnings.len(), 2);
    assert!(warnings.iter().all(|warning| warning.kind == WarningKind::MissingStartOrStop && warning.actor.is_none()));
    assert!(warnings[0].message.contains("no start actor"));
}

#[test]
fn an_actor_that_only_an_error_leads_to_is_reachable() {
    let net = GraphByNames::new().chain(&["start", "a", "stop"]).link("a", "b", Link::on_error()).chain(&["b", "stop"]);
    assert_eq!(net.warnings(), []);
    let mut net = GraphByNames::new().chain(&["start", "a", "stop"]);
    let handler = net.actor("handler");
    assert_eq!(net.only().0, WarningKind::Unreachable);
    net.0.on_error(handler).unwrap();
    assert_eq!(net.warnings(), []);
}

#[test]
fn a_stop_actor_that_nothing_leads_to_has_a_warning() {
    let net = GraphByNames::new().chain(&["start", "a"]);
    let expected = "nothing leads to stop actor \"stop\": connect it, so that a run has a result";
    assert_eq!(net.only(), (WarningKind::Unreachable, expected.to_owned()));
}

#[test]
fn a_join_that_waits_for_itself_can_never_fire() {
    let net = GraphByNames::new().chain(&["start", "+", "a", "stop"]).link("a", "+", Link::direct());
    let expected = "join \"+\" can never fire: it waits for \"a\", which runs only after the join has fired; take that \
                    link away";
    assert_eq!(net.only(), (WarningKind::JoinNeverFires, expected.to_owned()));
}

#[test]
fn a_join_that_waits_for_what_nothing_leads_to_can_never_fire() {
    let net = GraphByNames::new().chain(&["start", "+", "stop"]).link("lonely", "+", Link::direct());
    let kinds: Vec<_> = net.warnings().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [WarningKind::Unreachable, WarningKind::JoinNeverFires]);
}

#[test]
fn a_join_in_a_loop_that_is_fed_from_outside_each_round_is_fine() {
    let net = GraphByNames::new().chain(&["start", "again", "a", "+", "done?"]).chain(&["again", "b", "+"]);
    let net = net.link("done?", "again", Link::port(1)).link("done?", "stop", Link::port(2));
    assert_eq!(net.warnings(), []);
}

#[test]
fn a_cycle_whose_links_are_always_taken_never_ends() {
    let net = GraphByNames::new().chain(&["start", "a", "b", "a"]).chain(&["a", "stop"]);
    let expected =
        "the cycle of \"a\", \"b\" never ends: lead one of its links through a router, or give it a condition";
    assert_eq!(net.only(), (WarningKind::UnconditionalCycle, expected.to_owned()));
    let alone = GraphByNames::new().chain(&["start", "a", "a"]).chain(&["a", "stop"]);
    assert_eq!(alone.only().0, WarningKind::UnconditionalCycle);
}

#[test]
fn a_cycle_with_a_condition_or_only_by_errors_may_end() {
    let link = Link::direct().with_condition(Condition::equals("x", 1));
    let net = GraphByNames::new().chain(&["start", "a", "stop"]).link("a", "a", link).link("a", "a", Link::on_error());
    assert_eq!(net.warnings(), []);
}

#[test]
fn two_branches_that_reach_the_stop_actor_race() {
    let net = GraphByNames::new().chain(&["start", "fork", "a", "stop"]).chain(&["fork", "b", "stop"]);
    let (kind, message) = net.only();
    assert_eq!(kind, WarningKind::RacingEnds);
    assert!(
        message.starts_with("\"a\" and \"b\" both lead to the stop actor, and \"fork\" triggers both"),
        "{message}"
    );
}

#[test]
fn ends_of_which_one_is_behind_the_other_do_not_race() {
    assert_eq!(GraphByNames::new().chain(&["start", "a", "b", "stop"]).chain(&["a", "stop"]).warnings(), []);
    assert_eq!(GraphByNames::new().chain(&["start", "a", "stop"]).chain(&["a", "b", "stop"]).warnings(), []);
}

#[test]
fn ports_without_links_are_named() {
    let net = GraphByNames::new().chain(&["start", "in."]).chain(&["out.", "stop"]);
    let messages: Vec<_> =
        net.warnings().into_iter().filter(|(kind, _)| *kind == WarningKind::PortWithoutLink).collect();
    assert!(messages[0].1.starts_with("no link leaves port \"in.\""), "{messages:?}");
    assert!(messages[1].1.starts_with("no link enters port \"out.\""), "{messages:?}");
    let net = GraphByNames::new().chain(&["start", "done?"]).link("done?", "stop", Link::port(1));
    assert!(net.only().1.starts_with("no link leaves router \"done?\" from its port 2: that value makes it fail"));
}

/// The warnings about a graph with a condition on this output of a task that hands on by this rule.
fn condition_on(output: &str, task: impl Into<Task>, passing: Passing) -> Vec<(WarningKind, String)> {
    let mut net = GraphByNames::new();
    net.0.add_task("a", task.into().with_passing(passing)).unwrap();
    let link = Link::direct().with_condition(Condition::equals(output, 1));
    net.chain(&["start", "a"]).link("a", "b", link).chain(&["b", "stop"]).warnings()
}

#[test]
fn a_condition_on_an_output_that_the_task_never_has_is_named() {
    let expected = "the link from \"a\" to \"b\" is never taken: its condition is on the output \"stdot\", and the task of \"a\" \
                    has only stdout, stderr, exit_code: name one of these in the condition; did you mean \"stdout\"?";
    let command = || TaskSpec::command(["wc"]);
    let warnings = condition_on("stdot", command(), Passing::Result);
    assert_eq!(warnings, [(WarningKind::ConditionNeverHolds, expected.to_owned())]);
    assert_eq!(condition_on("exit_code", command(), Passing::Result), []);
    let value = PythonTask { module: "m".into(), function: "f".into(), returns: Returns::Value };
    let warnings = condition_on("x", TaskSpec::Python(value.clone()), Passing::Result);
    assert!(warnings[0].1.ends_with("has only return_value: name one of these in the condition"), "{warnings:?}");
    assert_eq!(condition_on("return_value", TaskSpec::Python(value), Passing::Result), []);
}

#[test]
fn a_condition_on_an_output_that_can_not_be_known_is_left_alone() {
    assert_eq!(condition_on("x", TaskSpec::rust("task"), Passing::Result), []);
    assert_eq!(condition_on("x", TaskSpec::python("module", "function"), Passing::Result), []);
    assert_eq!(condition_on("x", Task::new(Work::Identity), Passing::Result), []);
    for inputs_travel_on in [Passing::Merged, Passing::Dict] {
        assert_eq!(condition_on("x", TaskSpec::command(["wc"]), inputs_travel_on), []);
    }
}
