//! Which graphs can be built, and which calls are refused with which message.

use std::time::Duration;

use pushflow_model::{TaskSpec, Value};

use super::*;
use crate::{Mapping, Port};

fn message<T: std::fmt::Debug>(result: Result<T, GraphError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn actors_and_links_are_read_back_in_the_order_in_which_they_were_added() {
    let mut graph = Graph::new("demo");
    let start = graph.add_start("Start").unwrap();
    let fork = graph.add_fork("fork").unwrap();
    let stop = graph.add_stop("Stop").unwrap();
    let links = [(start, fork), (fork, stop), (fork, fork), (fork, stop)]
        .map(|(source, target)| graph.connect(source, target, Link::direct()).unwrap());
    assert_eq!(graph.find("fork"), Some(fork));
    assert_eq!((graph.start(), graph.stop()), (Some(start), Some(stop)));
    assert_eq!(graph.outgoing(fork), [(links[1], stop), (links[2], fork), (links[3], stop)]);
    assert_eq!(graph.incoming(fork), [(links[0], start), (links[2], fork)]);
    assert_eq!(graph.label(fork), "fork");
    assert_eq!(graph.validate(), Ok(()));
}

#[test]
fn a_direct_link_passes_everything_and_runs_its_target_at_once() {
    let link = Link::direct();
    assert!(link.port.is_none() && link.conditions.is_empty());
    assert_eq!((link.mapping, link.arrival), (Mapping::All, Arrival::Direct));
}

#[test]
fn a_second_actor_of_one_name_is_refused() {
    let mut graph = Graph::new("demo");
    graph.add_fork("a").unwrap();
    assert_eq!(message(graph.add_stop("a")), r#"there are two actors named "a": give each a name of its own"#);
    assert_eq!(graph.stop(), None);
}

#[test]
fn a_second_start_or_stop_actor_is_refused() {
    let mut graph = Graph::new("demo");
    graph.add_start("in").unwrap();
    graph.add_stop("out").unwrap();
    let expected = r#"the graph already has a start actor, "in": connect to that one instead of adding "in2""#;
    assert_eq!(message(graph.add_start("in2")), expected);
    assert!(message(graph.add_stop("out2")).contains("already has a stop actor, \"out\""));
    assert_eq!(graph.actor_count(), 2);
    assert_eq!(graph.find("in2"), None);
}

#[test]
fn a_link_to_an_actor_of_another_graph_is_refused() {
    let mut graph = Graph::new("demo");
    let here = graph.add_fork("a").unwrap();
    // It has the same position in another graph.
    let elsewhere = Graph::new("other").add_fork("a").unwrap();
    assert_eq!(elsewhere.index(), here.index());
    let rest = r#"is not an actor of graph "demo": pass an id that this graph gave when the actor was added to it"#;
    let refused = message(graph.connect(elsewhere, here, Link::direct()));
    assert_eq!(refused, format!(r#"the source of the link to "a" {rest}"#));
    let refused = message(graph.connect(here, elsewhere, Link::direct()));
    assert_eq!(refused, format!(r#"the target of the link from "a" {rest}"#));
    let refused = message(graph.connect(elsewhere, elsewhere, Link::direct()));
    assert_eq!(refused, format!("the source of the link {rest}"));
    assert_eq!(graph.link_count(), 0);
}

#[test]
fn a_setting_for_an_actor_of_another_graph_is_refused_and_named() {
    let mut graph = Graph::new("demo");
    let elsewhere = Graph::new("other").add_task("a", TaskSpec::rust("task")).unwrap();
    let second = Duration::from_secs(1);
    for (refused, what) in [
        (message(graph.limit_rounds(elsewhere, 1)), "the actor to limit the rounds of"),
        (message(graph.limit_time(elsewhere, second)), "the actor that is to have a time limit"),
        (message(graph.retry(elsewhere, Retries::of_each(1))), "the actor that is to have retries"),
        (message(graph.run_on(elsewhere, PoolType::Thread)), "the actor that is to have a pool"),
        (message(graph.set_label(elsewhere, "label")), "the actor that is to have a label"),
        (message(graph.contain_errors(elsewhere)), "the actor to contain the errors of"),
        (message(graph.on_error(elsewhere)), "the error handler"),
    ] {
        assert!(refused.starts_with(&format!("{what} is not an actor of graph \"demo\": ")), "{refused}");
    }
}

#[test]
fn an_actor_that_only_a_clone_of_the_graph_has_is_refused() {
    let mut graph = Graph::new("demo");
    let fork = graph.add_fork("fork").unwrap();
    let mut clone = graph.clone();
    let only_there = clone.add_fork("more").unwrap();
    assert!(clone.connect(fork, only_there, Link::direct()).is_ok());
    let refused = message(graph.connect(fork, only_there, Link::direct()));
    assert!(
        refused.starts_with(r#"the target of the link from "fork" is not an actor of graph "demo": "#),
        "{refused}"
    );
}

#[test]
fn a_graph_and_its_clone_refuse_what_was_added_to_the_other_also_at_the_same_place() {
    let mut graph = Graph::new("demo");
    let start = graph.add_start("start").unwrap();
    let mut clone = graph.clone();
    let x = clone.add_task("x", TaskSpec::rust("task")).unwrap();
    let y = graph.add_task("y", TaskSpec::rust("task")).unwrap();
    assert!(matches!(graph.connect(start, x, Link::direct()), Err(GraphError::ForeignActor { .. })));
    assert!(matches!(clone.connect(start, y, Link::direct()), Err(GraphError::ForeignActor { .. })));
    graph.connect(start, y, Link::direct()).unwrap();
    clone.connect(start, x, Link::direct()).unwrap();
    assert_eq!((graph.find("y"), clone.find("x"), clone.clone().find("x")), (Some(y), Some(x), Some(x)));
    assert_eq!(clone.actors().map(|(id, _)| id).collect::<Vec<_>>(), [start, x]);
    let mut last = clone;
    for _ in 0..1000 {
        last = last.clone();
    }
    assert!(format!("{:?}", last.ids).len() < 200, "clones in a row remember no more than the first: {:?}", last.ids);
    let z = last.add_task("z", TaskSpec::rust("task")).unwrap();
    last.connect(x, z, Link::direct()).unwrap();
}

#[test]
fn a_link_out_of_stop_or_into_start_is_refused() {
    let mut graph = Graph::new("demo");
    let start = graph.add_start("in").unwrap();
    let stop = graph.add_stop("out").unwrap();
    let fork = graph.add_fork("fork").unwrap();
    let leaving = message(graph.connect(stop, fork, Link::direct()));
    assert_eq!(leaving, r#"a link can't leave the stop actor "out": a run ends there"#);
    let entering = message(graph.connect(fork, start, Link::direct()));
    assert_eq!(entering, r#"a link can't enter the start actor "in": a run begins there"#);
    assert_eq!(graph.link_count(), 0);
}

#[test]
fn a_link_out_of_a_router_needs_one_of_its_ports() {
    let mut graph = Graph::new("demo");
    let router = graph.add_router("size", Router::new("size", [Value::from(1), "big".into()])).unwrap();
    let fork = graph.add_fork("fork").unwrap();
    let without = message(graph.connect(router, fork, Link::direct()));
    assert_eq!(without, r#"a link out of router actor "size" needs a port; it has 1, "big", "other""#);
    let unknown = message(graph.connect(router, fork, Link::port("small")));
    assert_eq!(unknown, r#"port "small" is not defined for router actor "size"; it has 1, "big", "other""#);
    assert!(graph.connect(router, fork, Link::port("other")).is_ok());
}

#[test]
fn a_port_on_a_link_that_leaves_no_router_is_refused() {
    let mut graph = Graph::new("demo");
    let fork = graph.add_fork("fork").unwrap();
    let refused = message(graph.connect(fork, fork, Link::port("other")));
    assert_eq!(refused, r#"the link out of actor "fork" has port "other", but only a router has ports"#);
}

#[test]
fn a_port_is_kept_as_its_router_spells_it() {
    let mut graph = Graph::new("demo");
    let ports = [Value::from("true"), Value::Null, 1.into()];
    let router = graph.add_router("router", Router::new("item", ports.clone())).unwrap();
    let fork = graph.add_fork("fork").unwrap();
    for (asked, own) in [Value::from(true), "None".into(), 1.0.into()].into_iter().zip(ports) {
        let link = graph.connect(router, fork, Link::port(asked)).unwrap();
        assert_eq!(graph.link(link).port, Some(Port::Value(own)));
    }
}

#[test]
fn a_graph_without_start_or_stop_can_not_run() {
    let mut graph = Graph::new("demo");
    let no_start = "the graph has no start actor: add one, so that a run knows where to begin";
    assert_eq!(message(graph.validate()), no_start);
    graph.add_start("Start").unwrap();
    let no_stop = "the graph has no stop actor: add one, so that a run knows where to end";
    assert_eq!(message(graph.validate()), no_stop);
}

#[test]
fn only_an_actor_of_the_graph_that_runs_a_task_can_have_a_time_limit() {
    let mut graph = Graph::new("demo");
    let task = graph.add_task("task", TaskSpec::rust("task")).unwrap();
    let identity = graph.add_task("identity", Task::new(Work::Identity)).unwrap();
    let second = Duration::from_secs(1);
    assert_eq!(graph.limit_time(task, second), Ok(()));
    let refused = r#"actor "identity" can't have a time limit: it runs no task; limit the tasks, or the run"#;
    assert_eq!(message(graph.limit_time(identity, second)), refused);
    assert!(Graph::new("other").limit_time(task, second).is_err());
    assert_eq!(graph.time_limits().collect::<Vec<_>>(), [(task, second)]);
}

#[test]
fn an_actor_that_no_link_reaches_is_no_error() {
    let mut graph = Graph::new("demo");
    graph.add_start("Start").unwrap();
    graph.add_stop("Stop").unwrap();
    graph.add_fork("lonely").unwrap();
    assert_eq!(graph.validate(), Ok(()));
}
