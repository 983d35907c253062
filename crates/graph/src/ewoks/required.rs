//! Which links are required where the file does not say so (`ewoks_format.md`, `required`; `parity.md` P155).

use super::read::LinkEntry;

/// For each link: whether its target waits for it.
///
/// A link that says `required` is what it says. Otherwise a link with conditions or for errors is optional, and so is every link with
/// an optional link somewhere upstream of its source. A link that is upstream of itself, in a cycle, does not make
/// itself optional. Every optional link without a word of its own goes back to one that says so, has
/// conditions or is for errors: so it is enough to follow these downstream, once.
pub(super) fn required(node_count: usize, links: &[LinkEntry]) -> Vec<bool> {
    let downstream = downstream_of_optional_links(node_count, links);
    links.iter().map(|link| stated_requirement(link).unwrap_or(!downstream[link.source])).collect()
}

/// What the link itself says, without a look at the links before it.
fn stated_requirement(link: &LinkEntry) -> Option<bool> {
    let is_conditional = link.is_on_error() || !link.conditions.is_empty();
    link.required.or(if is_conditional { Some(false) } else { None })
}

/// For each node: whether a link that is optional by its own word enters it, or anything upstream of it.
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
