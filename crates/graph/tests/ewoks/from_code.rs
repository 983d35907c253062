//! Code can build each part of the graph of a file.

use std::time::Duration;

use pushflow_graph::{
    Arrival, Condition, FieldMap, Graph, GraphError, Link, Mapping, Passing, Retries, RunSettings, Task, Work,
};
use pushflow_model::{Data, PoolType, PythonTask, Returns, TaskSpec};

use crate::load;

const FILE: &str = r#"{
    "graph": {"id": "demo", "pushflow": {"timeout": "2m", "attempt_timeout": 5, "max_rounds": 100}},
    "nodes": [
        {"id": "add", "label": "Add", "task_type": "method", "task_identifier": "m.add", "conditions_else_value": "rest",
         "default_inputs": [{"name": "b", "value": 1}, {"name": 0, "value": "first"}],
         "pushflow": {"timeout": "10s", "max_rounds": 3, "pool": "thread", "retries": {"errors": 2, "delay": "1s"}}},
        {"id": "port", "task_type": "ppfport"},
        {"id": "rescue", "task_type": "ppfmethod", "task_identifier": "m.rescue"}],
    "links": [
        {"source": "add", "target": "port", "data_mapping": [{"source_output": "return_value", "target_input": "sum"}],
         "conditions": [{"source_output": "return_value", "value": 1}], "cache_if_optional": true},
        {"source": "add", "target": "rescue", "on_error": true, "map_all_data": true},
        {"source": "port", "target": "rescue", "map_all_data": true, "required": true,
         "conditions": [{"source_output": "sum", "value": null}]}]}"#;

fn python(function: &str, returns: Returns) -> TaskSpec {
    TaskSpec::Python(PythonTask { module: "m".to_owned(), function: function.to_owned(), returns })
}

fn from_code() -> Result<Graph, GraphError> {
    let mut graph = Graph::new("demo");
    graph.set_settings(
        RunSettings::default()
            .with_timeout(Duration::from_secs(120))
            .with_attempt_timeout(Duration::from_secs(5))
            .with_max_rounds(100),
    );
    let start = graph.add_start("Start")?;
    let defaults = Data::new().with("b", 1).with(0, "first");
    let add = Task::from(python("add", Returns::Value)).with_defaults(defaults).with_passing(Passing::Result);
    let add = graph.add_task("add", add)?;
    graph.set_label(add, "Add")?;
    graph.limit_time(add, Duration::from_secs(10))?;
    graph.limit_rounds(add, 3)?;
    graph.run_on(add, PoolType::Thread)?;
    graph.retry(add, Retries::default().with_errors(2).with_delay(Duration::from_secs(1)))?;
    let port = graph.add_task("port", Task::new(Work::Identity).with_passing(Passing::Dict))?;
    let rescue = Task::from(python("rescue", Returns::Mapping)).with_passing(Passing::Dict);
    let rescue = graph.add_task("rescue", rescue)?;
    let stop = graph.add_stop("Stop")?;

    graph.connect(start, add, Link::direct().with_arrival(Arrival::Start))?;
    let mapping = Mapping::Fields(vec![FieldMap::new("return_value", "sum")]);
    let one = Link::direct().with_condition(Condition::equals("return_value", 1)).with_mapping(mapping);
    graph.connect(add, port, one.with_arrival(Arrival::Optional { cached: true }))?;
    graph.connect(add, rescue, Link::on_error().with_arrival(Arrival::Optional { cached: false }))?;
    let rest = Link::direct().with_condition(Condition::otherwise("sum", (), [()])).with_arrival(Arrival::Required);
    graph.connect(port, rescue, rest)?;
    graph.connect(rescue, stop, Link::direct())?;
    Ok(graph)
}

/// All parts of a graph that can be compared with those of another graph, as text.
fn shown(graph: &Graph) -> Vec<String> {
    let actors = graph.actors().map(|(id, actor)| format!("{actor:?} {} {:?}", graph.label(id), graph.pool_of(id)));
    let links =
        graph.links().map(|(_, source, target, link)| format!("{}-{} {link:?}", source.index(), target.index()));
    let limits = graph.round_limits().map(|(id, rounds)| format!("{} {rounds}", id.index()));
    let times = graph.time_limits().map(|(id, time)| format!("{} {time:?}", id.index()));
    let retries = graph.retries().map(|(id, retries)| format!("{} {retries:?}", id.index()));
    let whole = format!("{} {:?}", graph.name, graph.settings());
    actors.chain(links).chain(limits).chain(times).chain(retries).chain([whole]).collect()
}

#[test]
fn a_graph_from_code_is_the_graph_of_the_file() {
    let (file, code) = (load(FILE).unwrap(), from_code().unwrap());
    assert_eq!(shown(&code), shown(&file));
    assert_eq!(code.tasks().map(|(id, _)| id.index()).collect::<Vec<_>>(), [1, 3], "a port runs no task");
}
