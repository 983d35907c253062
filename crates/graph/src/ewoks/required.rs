//! Derives which links are required if the file does not say so (`docs/parity.md` P155).

use super::read::LinkEntry;

/// For each link, whether its target waits for it.
///
/// A link that states `required` is what it states. Otherwise a link with conditions or for errors is optional, and so
/// is every link with an optional link anywhere upstream of its source. A link in a cycle is upstream of itself, and
/// does not make itself optional. Upstream of each link that is optional only for this last reason is one that states
/// it, has conditions or is for errors. It is therefore enough to follow these links downstream, once.
pub(super) fn required(node_count: usize, links: &[LinkEntry]) -> Vec<bool> {
    let downstream = downstream_of_optional_links(node_count, links);
    links.iter().map(|link| stated_requirement(link).unwrap_or(!downstream[link.source])).collect()
}

/// Whether the link is required, as far as the link itself says it.
fn stated_requirement(link: &LinkEntry) -> Option<bool> {
    let is_conditional = link.is_on_error() || !link.conditions.is_empty();
    link.required.or(if is_conditional { Some(false) } else { None })
}

/// For each node, whether a link that is optional by itself enters the node or any node upstream of it.
fn downstream_of_optional_links(node_count: usize, links: &[LinkEntry]) -> Vec<bool> {
    let mut targets = vec![Vec::new(); node_count];
    for link in links {
        targets[link.source].push(link.target);
    }
    let mut downstream = vec![false; node_count];
    let optional = links.iter().filter(|link| stated_requirement(link) == Some(false));
    let mut pending: Vec<usize> = optional.map(|link| link.target).collect();
    while let Some(node) = pending.pop() {
        if !std::mem::replace(&mut downstream[node], true) {
            pending.extend(&targets[node]);
        }
    }
    downstream
}
