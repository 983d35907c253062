//! [`RouterPorts`]: by which links data leaves a router.
//!
//! The router looks at one entry of its data and finds the port for its value ([`Router::port_of`]). The data leaves by
//! the links of that port; if the port has none, by those of the port "other" (`docs/parity.md` P50). If that has none
//! either, the router fails.

use std::ops::Range;

use pushflow_graph::{Graph, Port, Router};
use pushflow_model::{Data, ErrorKind, TaskError, Value};

use super::links::OutLink;

/// How long a text may be for a message to quote it, in bytes.
const QUOTED: usize = 40;

/// The links of one router, by port.
#[derive(Debug)]
pub(super) struct RouterPorts {
    /// Each port that has a link, as the router spells it, with its links.
    links: Vec<(Port, Range<usize>)>,
}

impl RouterPorts {
    /// Sorts a router's links by port, those of one port in connect order; `first` is the index of the first of them.
    pub(super) fn group(graph: &Graph, out_links: &mut [OutLink], first: usize) -> Self {
        let port = |link_out: &OutLink| graph.link(link_out.link).port.clone().unwrap_or(Port::Other);
        let mut links: Vec<(Port, Range<usize>)> = Vec::new();
        for link_out in &*out_links {
            let port = port(link_out);
            if links.iter().all(|(known, _)| *known != port) {
                links.push((port, 0..0));
            }
        }
        out_links.sort_by_cached_key(|link_out| links.iter().position(|(known, _)| *known == port(link_out)));
        let mut end = first;
        for (known, range) in &mut links {
            *range = end..end + out_links.iter().filter(|link_out| port(link_out) == *known).count();
            end = range.end;
        }
        RouterPorts { links }
    }

    /// The links by which this data leaves.
    pub(super) fn choose(&self, router: &Router, data: &Data) -> Result<Range<usize>, TaskError> {
        let port = router.port_of(data).map_err(|error| {
            bad_input(format!("the entry {:?} that the router looks at can't be decoded: {error}", router.item))
        })?;
        let chosen = self.links_of(&port).or_else(|| self.links_of(&Port::Other));
        chosen.ok_or_else(|| bad_input(self.no_port(router, data)))
    }

    fn links_of(&self, port: &Port) -> Option<Range<usize>> {
        self.links.iter().find(|(known, _)| known == port).map(|(_, links)| links.clone())
    }

    fn no_port(&self, router: &Router, data: &Data) -> String {
        let item = &router.item;
        let what = match data.value(item) {
            Ok(Some(value)) => format!("the entry {item:?} = {} has no connected port", shown(value)),
            Ok(None) | Err(_) => format!("the entry {item:?} is missing"),
        };
        let ports: Vec<String> = self.links.iter().map(|(port, _)| port.to_string()).collect();
        let ports = if ports.is_empty() { "none".to_owned() } else { ports.join(", ") };
        format!("{what}, and nothing is connected to the port \"other\" (connected ports: {ports})")
    }
}

/// A value as a message shows it: whole where it is short, else by its type.
fn shown(value: &Value) -> String {
    match value {
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Str(text) if text.len() <= QUOTED => format!("{text:?}"),
        other => other.type_name().to_owned(),
    }
}

fn bad_input(message: String) -> TaskError {
    TaskError::new(ErrorKind::BadInput, message)
}
