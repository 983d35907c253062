//! Which links are required where the file does not say so (`ewoks_format.md`, `required`; `parity.md` P155).

use super::read::LinkEntry;

/// For each link: whether its target waits for it.
///
/// A link that says `required` is what it says. Otherwise a link with conditions or for errors is optional, and so is every link with
/// an optional link somewhere upstream of its source. A link that is upstream of itself, in a cycle, does not make
/// itself optional. Every optional link without a word of its own goes back to one that says so, has
/// conditions or is for errors: so it is enough to follow these downstream, once.
pub(super) fn required(node_count: usize, links: &[LinkEntry]) -> Vec<bool> {
    let doubtful = below_optional_links(node_count, links);
    links.iter().map(|link| own_word(link).unwrap_or(!doubtful[link.source])).collect()
}

/// What the link itself says, without a look at the links before it.
fn own_word(link: &LinkEntry) -> Option<bool> {
    let is_conditional = link.is_on_error() || !link.conditions.is_empty();
    link.required.or(if is_conditional { Some(false) } else { None })
}

/// For each node: whether a link that is optional by its own word enters it, or anything upstream of it.
fn below_optional_links(node_count: usize, links: &[LinkEntry]) -> Vec<bool> {
    let mut targets = vec![Vec::new(); node_count];
    for link in links {
        targets[link.source].push(link.target);
    }
    let mut doubtful = vec![false; node_count];
    let optional = links.iter().filter(|link| own_word(link) == Some(false));
    let mut pending: Vec<usize> = optional.map(|link| link.target).collect();
    while let Some(node) = pending.pop() {
        if !std::mem::replace(&mut doubtful[node], true) {
            pending.extend(&targets[node]);
        }
    }
    doubtful
}
