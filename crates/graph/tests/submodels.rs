//! Submodels: the names, ports and paths of their actors, and the calls that are refused.

use std::time::Duration;

use pushflow_graph::{ActorKind, Graph, Link, ScopeId};
use pushflow_model::TaskSpec;

/// `In` -> `fork` -> `Out`.
fn inner() -> Graph {
    let mut graph = Graph::new("inner");
    let actors = [graph.add_port("In"), graph.add_fork("fork"), graph.add_port("Out")].map(Result::unwrap);
    graph.connect(actors[0], actors[1], Link::direct()).unwrap();
    graph.connect(actors[1], actors[2], Link::direct()).unwrap();
    graph
}

fn names(graph: &Graph) -> Vec<&str> {
    graph.actors().map(|(_, actor)| actor.name.as_str()).collect()
}

#[test]
fn a_submodels_actors_and_ports_get_its_name_and_its_links_come_along() {
    let mut graph = Graph::new("outer");
    graph.add_start("Start").unwrap();
    let submodel = graph.add_submodel("sub", &inner()).unwrap();
    assert_eq!(names(&graph), ["Start", "sub.In", "sub/fork", "sub.Out"]);
    let fork = graph.find("sub/fork").unwrap();
    assert_eq!(graph.incoming(fork)[0].1, submodel.port("In").unwrap());
    assert_eq!(graph.outgoing(fork)[0].1, submodel.port("Out").unwrap());
    assert_eq!(graph.path(fork), "/outer/sub/fork");
    assert_eq!(graph.scope_of_each()[0], ScopeId::WORKFLOW);
    assert_eq!(graph.scopes().nth(1).unwrap().1.name, "sub");
}

#[test]
fn a_graph_may_be_added_again_and_again_and_nested() {
    let mut middle = Graph::new("middle");
    middle.add_submodel("a", &inner()).unwrap();
    middle.add_submodel("b", &inner()).unwrap();
    middle.add_port("In").unwrap();
    let mut graph = Graph::new("outer");
    let submodel = graph.add_submodel("m", &middle).unwrap();
    assert_eq!(names(&graph), ["m/a.In", "m/a/fork", "m/a.Out", "m/b.In", "m/b/fork", "m/b.Out", "m.In"]);
    assert!(submodel.port("In").is_ok() && submodel.port("a.In").is_err());
    let scopes: Vec<_> =
        graph.scopes().map(|(_, scope)| (scope.name.as_str(), scope.parent.map(ScopeId::index))).collect();
    assert_eq!(scopes, [("", None), ("m", Some(0)), ("m/a", Some(1)), ("m/b", Some(1))]);
    let of_each: Vec<_> = graph.scope_of_each().into_iter().map(ScopeId::index).collect();
    assert_eq!(of_each, [2, 2, 2, 3, 3, 3, 1]);
}

#[test]
fn the_limits_of_a_submodels_actors_come_along_however_deep() {
    let mut innermost = inner();
    let fork = innermost.find("fork").unwrap();
    let task = innermost.add_task("task", TaskSpec::rust("task")).unwrap();
    innermost.limit_time(task, Duration::from_secs(3)).unwrap();
    innermost.limit_rounds(fork, 5).unwrap();
    let mut middle = Graph::new("middle");
    middle.add_submodel("a", &innermost).unwrap();
    let mut graph = Graph::new("outer");
    graph.add_start("Start").unwrap();
    graph.add_submodel("m", &middle).unwrap();
    let (task, fork) = (graph.find("m/a/task").unwrap(), graph.find("m/a/fork").unwrap());
    assert_eq!(graph.time_limits().collect::<Vec<_>>(), [(task, Duration::from_secs(3))]);
    assert_eq!(graph.round_limits().collect::<Vec<_>>(), [(fork, 5)]);
}

#[test]
fn a_port_that_is_not_there_is_answered_with_the_nearest() {
    let submodel = Graph::new("outer").add_submodel("sub", &inner()).unwrap();
    let refused = submodel.port("Inn").unwrap_err().to_string();
    assert_eq!(refused, "submodel \"sub\" has no port \"Inn\"; it has In, Out; did you mean \"In\"?");
}

#[test]
fn a_submodel_with_a_start_or_stop_actor_is_refused() {
    let mut graph = inner();
    graph.add_stop("end").unwrap();
    let refused = Graph::new("outer").add_submodel("sub", &graph).unwrap_err().to_string();
    let expected =
        "submodel \"sub\" has a stop actor, \"end\": give it a port instead, and connect that in the workflow";
    assert_eq!(refused, expected);
}

#[test]
fn a_submodel_whose_names_are_taken_changes_nothing() {
    let mut graph = Graph::new("outer");
    graph.add_fork("sub/fork").unwrap();
    let refused = graph.add_submodel("sub", &inner()).unwrap_err().to_string();
    assert!(refused.contains("two actors named \"sub/fork\""), "{refused}");
    assert_eq!((graph.actor_count(), graph.scopes().count()), (1, 1));
}

#[test]
fn a_join_of_one_link_is_refused_before_a_run_and_in_a_submodel() {
    let mut graph = Graph::new("lonely");
    let ends = [graph.add_start("Start"), graph.add_join("join"), graph.add_stop("Stop")].map(Result::unwrap);
    graph.connect(ends[0], ends[1], Link::direct()).unwrap();
    graph.connect(ends[1], ends[2], Link::direct()).unwrap();
    let expected =
        "join actor \"join\" has 1 incoming link, but joins two or more: connect the others, or leave it out";
    assert_eq!(graph.validate().unwrap_err().to_string(), expected);
    graph.connect(ends[0], ends[1], Link::direct()).unwrap();
    assert_eq!(graph.validate(), Ok(()));
    let mut inner = Graph::new("inner");
    inner.add_join("join").unwrap();
    assert!(Graph::new("outer").add_submodel("sub", &inner).unwrap_err().to_string().contains("has 0 incoming links"));
}

#[test]
fn what_cannot_handle_errors_is_refused() {
    let mut graph = Graph::new("handlers");
    let (start, join) = (graph.add_start("Start").unwrap(), graph.add_join("join").unwrap());
    let refused = graph.on_error(start).unwrap_err().to_string();
    assert_eq!(refused, "actor \"Start\" can't handle errors: it is the start actor, where a run begins");
    assert!(graph.on_error(join).unwrap_err().to_string().contains("it is a join"));
    assert!(Graph::new("other").on_error(start).is_err() && Graph::new("other").contain_errors(start).is_err());
}

#[test]
fn an_error_link_has_no_port_and_a_link_into_a_join_no_rule_of_its_own() {
    let mut graph = Graph::new("links");
    let router = graph.add_router("router", pushflow_graph::Router::new("x", [1])).unwrap();
    let join = graph.add_join("join").unwrap();
    assert!(graph.connect(router, join, Link::on_error()).is_ok());
    let mut with_port = Link::port(1);
    with_port.on_error = true;
    let refused = graph.connect(router, join, with_port).unwrap_err().to_string();
    assert!(refused.contains("errors leave by no port"), "{refused}");
    let ruled = Link::port(1).with_arrival(pushflow_graph::Arrival::Required);
    let refused = graph.connect(router, join, ruled).unwrap_err().to_string();
    assert!(refused.contains("a join has its own"), "{refused}");
    assert!(matches!(graph.actor(join).kind, ActorKind::Join));
}

#[test]
fn a_path_has_spaces_for_percent_signs() {
    let mut graph = Graph::new("outer");
    graph.add_submodel("50%sub", &inner()).unwrap();
    assert_eq!(graph.path(graph.find("50%sub/fork").unwrap()), "/outer/50 sub/fork");
}
