//! Custom actors.

use pushflow_graph::Behaviour;

use super::*;

/// Sends each number below `n` on; fails without `n`, and panics for a negative one.
#[derive(Debug)]
struct CountUp;

impl Behaviour for CountUp {
    fn triggered(&self, data: Data) -> Result<Vec<Data>, TaskError> {
        let n = data.value("n").ok().flatten().and_then(Value::as_int);
        let n = n.ok_or_else(|| TaskError::new(ErrorKind::BadInput, "there is no n"))?;
        assert!(n >= 0, "n is negative");
        Ok((0..n).map(|i| data.clone().with("i", i)).collect())
    }
}

fn counting(inputs: Data) -> Run {
    let net =
        Net::code().start().actor("count", ActorKind::Custom(Arc::new(CountUp))).task("a", Passing::Merged).stop();
    net.chain(&["start", "count", "a", "stop"]).on_error("count", "stop").begin(inputs)
}

#[test]
fn it_looks_at_the_data_and_sends_on_as_often_as_it_likes() {
    assert_eq!(counting(data(&[("n", 2)])).submitted(), ["a i=0 n=2", "a i=1 n=2"]);
    let run = counting(data(&[("n", 0)]));
    assert_eq!((run.kind(), run.result()), (EndingKind::Stalled, "none".to_owned()));
}

#[test]
fn its_errors_and_panics_are_its_failures_and_take_its_error_path() {
    let failed = counting(nothing());
    assert_eq!(failed.result(), "WorkflowException={errorMessage=there is no n traceBack=List(List([]))}");
    let panicked = counting(data(&[("n", -1)]));
    assert_eq!(panicked.result(), "WorkflowException={errorMessage=n is negative traceBack=List(List([]))} n=-1");
}

#[test]
fn it_sends_all_on_or_nothing() {
    let net = Net::code().start().actor("count", ActorKind::Custom(Arc::new(CountUp))).task("a", Passing::Merged);
    let net = net.task("b", Passing::Merged).chain(&["start", "count", "a"]);
    let mut run = net.link("count", "b", mapping(direct(), &[("missing", "x")])).begin(data(&[("n", 2)]));
    assert_eq!((run.kind(), run.submitted().len()), (EndingKind::Failed, 0));
}
