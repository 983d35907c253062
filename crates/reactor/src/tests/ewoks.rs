//! The rules of ewoks graphs: merging, travelling dictionaries, mappings and conditions.

use super::*;

/// Each named task is triggered by the run and leads to `end` by its link.
fn gather(links: &[(&str, Link)]) -> Run {
    let net = links.iter().fold(Net::code().start().task("end", Passing::Result), |net, (name, link)| {
        net.task(name, Passing::Result).link("start", name, arriving(Arrival::Start)).link(name, "end", link.clone())
    });
    net.begin(nothing())
}

/// The executions of `end` that this result triggers.
fn executions(run: &mut Run, name: &str, entry: &str, value: i64) -> Vec<String> {
    run.asked();
    run.finish(name, data(&[(entry, value)]));
    run.submitted().iter().map(|line| line.trim_start_matches("end").trim().to_owned()).collect()
}

#[test]
fn a_node_waits_for_all_its_required_links() {
    let mut run = gather(&[("a", required()), ("b", required())]);
    assert_eq!(executions(&mut run, "b", "b", 1), Vec::<String>::new());
    assert_eq!(executions(&mut run, "a", "a", 2), ["a=2 b=1"]);
}

#[test]
fn required_inputs_merge_in_link_order_and_not_in_order_of_arrival() {
    let mut run = gather(&[("a", required()), ("b", required())]);
    executions(&mut run, "b", "x", 1);
    assert_eq!(executions(&mut run, "a", "x", 2), ["x=1"]);
}

#[test]
fn a_required_arrival_after_the_first_execution_runs_the_node_again_with_what_is_kept() {
    let net = Net::code().start().task("a", Passing::Result).task("b", Passing::Result).task("end", Passing::Result);
    let net = net.chain(&["start", "a"]).chain(&["start", "b"]).chain(&["start", "b"]);
    let mut run = net.link("a", "end", required()).link("b", "end", required()).begin(nothing());
    executions(&mut run, "a", "a", 1);
    assert_eq!(executions(&mut run, "b", "b", 1), ["a=1 b=1"]);
    assert_eq!(executions(&mut run, "b", "b", 2), ["a=1 b=2"]);
}

#[test]
fn an_optional_trigger_before_the_first_execution_is_buffered() {
    let mut run = gather(&[("a", required()), ("p", optional(false)), ("q", optional(false)), ("r", optional(false))]);
    assert_eq!(executions(&mut run, "p", "x", 1), Vec::<String>::new());
    assert_eq!(executions(&mut run, "q", "y", 2), Vec::<String>::new());
    assert_eq!(executions(&mut run, "a", "a", 3), ["a=3 x=1", "a=3 y=2"], "one execution for each");
    assert_eq!(executions(&mut run, "r", "z", 4), ["a=3 z=4"], "afterwards only the last one counts");
}

#[test]
fn the_last_buffered_optional_trigger_is_retained() {
    let net = Net::code().start().task("a", Passing::Result).task("p", Passing::Result).task("end", Passing::Result);
    let net = net.chain(&["start", "a"]).chain(&["start", "a"]).chain(&["start", "p"]).chain(&["start", "p"]);
    let mut run = net.link("a", "end", required()).link("p", "end", optional(false)).begin(nothing());
    executions(&mut run, "p", "x", 1);
    executions(&mut run, "p", "y", 2);
    assert_eq!(executions(&mut run, "a", "a", 3), ["a=3 x=1", "a=3 y=2"]);
    assert_eq!(executions(&mut run, "a", "a", 4), ["a=4 y=2"]);
}

#[test]
fn a_cached_optional_trigger_is_kept_and_lies_over_the_required_ones() {
    let mut run = gather(&[("c", optional(true)), ("a", required()), ("p", optional(false))]);
    assert_eq!(executions(&mut run, "c", "x", 1), Vec::<String>::new());
    assert_eq!(executions(&mut run, "a", "x", 2), ["x=1"]);
    assert_eq!(executions(&mut run, "p", "y", 3), ["x=1 y=3"]);
}

#[test]
fn a_node_with_only_optional_links_runs_at_each_arrival() {
    let mut run = gather(&[("p", optional(false)), ("q", optional(false))]);
    assert_eq!(executions(&mut run, "p", "x", 1), ["x=1"]);
    assert_eq!(executions(&mut run, "q", "y", 2), ["y=2"]);
}

#[test]
fn a_position_that_is_left_open_before_one_that_arrived_hides_its_default() {
    let defaults = data(&[("x", 1)]);
    let at = |mut data: Data, position, value: i64| {
        data.insert(Key::Position(position), Value::from(value).into());
        data
    };
    let defaults = at(at(at(defaults, 0, 5), 1, 6), 2, 7);
    let net = Net::code().start().task_with("a", Passing::Result, defaults);
    let mut run = net.chain(&["start", "a"]).begin(at(nothing(), 1, 8));
    assert_eq!(run.submitted(), ["a 1=8 2=7 x=1"]);
}

#[test]
fn start_inputs_are_kept_below_everything_and_above_the_defaults() {
    let defaults = data(&[("x", 1), ("y", 1), ("z", 1)]);
    let net = Net::code().start().task_with("a", Passing::Result, defaults);
    let net = net.link("start", "a", arriving(Arrival::Start)).link("a", "a", optional(false));
    let mut run = net.begin(data(&[("y", 2), ("z", 2)]));
    run.finish("a", data(&[("z", 3)]));
    assert_eq!(run.submitted(), ["a x=1 y=2 z=2", "a x=1 y=2 z=3"]);
}

#[test]
fn the_start_alone_does_not_run_a_node_with_required_links() {
    let net = Net::code().start().task("a", Passing::Result).task("b", Passing::Result).chain(&["start", "a"]);
    let mut run = net.link("start", "b", arriving(Arrival::Start)).link("a", "b", required()).begin(data(&[("x", 1)]));
    run.finish("a", data(&[("y", 2)]));
    assert_eq!(run.submitted(), ["a x=1", "b x=1 y=2"]);
}

#[test]
fn a_link_without_data_only_triggers() {
    let net = Net::code().start().task("a", Passing::Result).task("b", Passing::Result).chain(&["start", "a"]);
    let mut run = net.link("a", "b", mapping(required(), &[])).begin(nothing());
    run.finish("a", data(&[("x", 1)]));
    assert_eq!(run.submitted(), ["a", "b"]);
}

#[test]
fn a_mapping_renames_and_leaves_the_rest_behind() {
    let net = Net::code().start().task("a", Passing::Result).task("b", Passing::Result).chain(&["start", "a"]);
    let mut run = net.link("a", "b", mapping(required(), &[("sum", "x"), ("sum", "y")])).begin(nothing());
    run.finish("a", data(&[("sum", 5), ("rest", 6)]));
    assert_eq!(run.inputs_of("b"), "x=5 y=5");
}

#[test]
fn a_link_is_taken_when_all_its_conditions_hold() {
    for (y, taken) in [(2, true), (3, false)] {
        let net = Net::code().start().task("a", Passing::Result).task("b", Passing::Result).chain(&["start", "a"]);
        let mut both = when(required(), "x", 1);
        both.conditions.extend(when(required(), "y", 2).conditions);
        let mut run = net.link("a", "b", both).begin(nothing());
        run.finish("a", data(&[("x", 1), ("y", y)]));
        assert_eq!(run.ending.is_none(), taken);
    }
}

#[test]
fn a_condition_on_an_output_that_is_not_there_does_not_hold() {
    let net = Net::code().start().task("a", Passing::Result).task("b", Passing::Result).chain(&["start", "a"]);
    let mut run = net.link("a", "b", when(required(), "nowhere", 1)).begin(nothing());
    run.finish("a", data(&[("x", 1)]));
    assert_eq!((run.submitted().len(), run.errors().len()), (1, 0));
}

#[test]
fn only_what_a_condition_looks_at_is_decoded() {
    let net = Net::code().start().task("a", Passing::Result).task("b", Passing::Result).chain(&["start", "a"]);
    let mut run = net.link("a", "b", when(required(), "x", 1)).begin(nothing());
    let broken = Payload::from_encoded(vec![0xff; 3].into());
    run.finish("a", [("y", broken), ("x", Payload::from(Value::Int(1)))].into_iter().collect());
    run.open_of("b");
}

#[test]
fn a_travelling_dictionary_overrides_the_named_inputs_and_the_result_overrides_both() {
    let net = Net::code().start().task("a", Passing::Dict).stop().chain(&["start", "a", "stop"]);
    let travelling = Payload::from_fields(data(&[("x", 2), ("y", 2)]));
    let mut inputs = data(&[("x", 1), ("w", 1)]);
    inputs.insert(Key::from("_ppfdict"), travelling);
    let mut run = net.begin(inputs);
    assert_eq!(run.inputs_of("a"), "w=1 x=2 y=2");
    run.finish("a", data(&[("y", 3), ("z", 3)]));
    assert_eq!(run.result(), "_ppfdict={w=1 x=2 y=3 z=3}");
}

#[test]
fn a_travelling_dictionary_that_is_null_or_missing_adds_nothing() {
    for inputs in [data(&[("x", 1)]), data(&[("x", 1)]).with("_ppfdict", Value::Null)] {
        let run = Net::code().start().task("a", Passing::Dict).chain(&["start", "a"]).begin(inputs);
        assert_eq!(run.inputs_of("a"), "x=1");
    }
}

#[test]
fn a_condition_looks_into_the_travelling_dictionary() {
    let net = Net::code().start().task("a", Passing::Dict).task("b", Passing::Dict).task("c", Passing::Dict);
    let net = net.chain(&["start", "a"]).link("a", "b", when(required(), "go", 1));
    let mut run = net.link("a", "c", when(required(), "go", 2)).begin(data(&[("go", 2)]));
    run.finish("a", nothing());
    assert_eq!(run.submitted(), ["a go=2", "c go=2"]);
}

#[test]
fn an_identity_hands_on_its_inputs_without_an_attempt() {
    let net = Net::code().start().identity("port", Passing::Dict).stop().chain(&["start", "port", "stop"]);
    let mut run = net.begin(data(&[("x", 1)]));
    assert_eq!(run.asked(), ["passed start", "passed port", "passed stop"]);
    assert_eq!((run.result(), run.reactor.counts().submitted), ("_ppfdict={x=1}".to_owned(), 0));
}

#[test]
fn an_end_node_that_also_goes_on_reaches_the_stop_actor_before_the_node_behind_it_does() {
    let net =
        Net::code().start().task("a", Passing::Dict).identity("port", Passing::Dict).stop().chain(&["start", "a"]);
    let mut run = net.link("a", "port", required()).chain(&["a", "stop"]).chain(&["port", "stop"]).begin(nothing());
    run.finish("a", data(&[("x", 1)]));
    assert_eq!(run.asked().last_chunk(), Some(&["passed port", "passed stop", "passed stop"].map(str::to_owned)));
}

#[test]
fn a_loop_with_a_condition_ends_when_it_no_longer_holds() {
    let net = Net::code().start().task("a", Passing::Result).stop().link("start", "a", arriving(Arrival::Start));
    let net = net.link("a", "a", when(optional(false), "more", true)).link("a", "stop", when(direct(), "more", false));
    let mut run = net.begin(data(&[("x", 0)]));
    for round in 1..=1000 {
        run.finish("a", data(&[("x", round)]).with("more", round < 1000));
    }
    assert_eq!(run.kind(), EndingKind::Finished);
    assert!(run.result().starts_with("more=Bool(false) x=1000"));
}

#[test]
fn a_graph_file_that_reaches_no_end_is_finished_without_a_result() {
    let text = r#"{"nodes": []}"#;
    let graph = pushflow_graph::ewoks::load_str(text, std::path::Path::new("."), "empty").expect("it is a graph");
    let run = Net { graph }.begin(nothing());
    assert_eq!((run.kind(), run.result()), (EndingKind::Finished, "none".to_owned()));
}
