//! The right name for a misspelt one: the one "did you mean" of the workspace.
//!
//! Callers give the candidates in groups, the nearest group first: names of the user's own (of the graph, of the files
//! beside it, of this program), then names that every program has, such as those of a standard library. Of a far group
//! only a name that is one edit away is proposed: among so many names, some name is always two edits away.
//! `host_source/nearest.py` in the crate `pushflow-python` has the same rules for names that only Python knows.

/// How many edits away a name of a far group may be.
const FAR_EDITS: usize = 1;

/// The candidate that `word` most likely means: the nearest one of the first group that has one near enough, and the
/// first one of several that are equally near.
///
/// In the first group a candidate may be one edit away for each three characters of `word`, at least one and at most two;
/// in later groups one. Case, `_` and `-` do not count; a swap of two neighbours counts as one edit. Two names have too
/// little in common if the edits are as many as the shorter one has characters and it does not begin the longer one: `x`
/// and `y`, but not `b` and `bb`. `None` when no candidate is near enough, or when `word` is a candidate itself.
///
/// ```
/// use pushflow_model::nearest;
///
/// let (own, standard) = (vec!["tasks", "label"], vec!["json", "math"]);
/// assert_eq!(nearest("lable", [own.clone(), standard.clone()]), Some("label"));
/// assert_eq!(nearest("jsn", [own.clone(), standard]), Some("json"));
/// assert_eq!(nearest("label", [own]), None);
/// ```
pub fn nearest<'a, I>(word: &str, groups: impl IntoIterator<Item = I>) -> Option<&'a str>
where
    I: IntoIterator<Item = &'a str>,
{
    let folded_word = folded(word);
    let mut limit = (word.chars().count() / 3).clamp(1, 2);
    let mut found = None;
    for group in groups {
        let mut best: Option<(usize, &str)> = None;
        for candidate in group {
            if candidate == word {
                return None;
            }
            let folded_candidate = folded(candidate);
            let edits = strsim::osa_distance(&folded_word, &folded_candidate);
            if edits <= limit
                && are_akin(&folded_word, &folded_candidate, edits)
                && best.is_none_or(|(fewest, _)| edits < fewest)
            {
                best = Some((edits, candidate));
            }
        }
        found = found.or(best);
        limit = FAR_EDITS;
    }
    found.map(|(_, candidate)| candidate)
}

/// The end of a sentence about a wrong name: the name that was probably meant, or nothing.
///
/// ```
/// use pushflow_model::did_you_mean;
///
/// assert_eq!(did_you_mean("lable", [["id", "label"]]), "; did you mean \"label\"?");
/// assert_eq!(did_you_mean("x", [["id", "label"]]), "");
/// ```
pub fn did_you_mean<'a, I>(word: &str, groups: impl IntoIterator<Item = I>) -> String
where
    I: IntoIterator<Item = &'a str>,
{
    nearest(word, groups).map(suggestion).unwrap_or_default()
}

/// The end of a sentence about a wrong name, where the caller knows which name was probably meant.
pub fn suggestion(name: &str) -> String {
    format!("; did you mean {name:?}?")
}

/// The end of a sentence about a wrong name where there are few right ones: the one that was probably meant, or all.
pub fn did_you_mean_or_choose(word: &str, names: &[&str]) -> String {
    nearest(word, [names.iter().copied()]).map_or_else(|| format!(": {}", choose(names)), suggestion)
}

/// Asks to choose one of these names, as a part of a sentence.
pub(crate) fn choose(names: &[&str]) -> String {
    format!("choose {}", names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(" or "))
}

/// Whether two names, that many edits apart, have more in common than a chance.
fn are_akin(left: &str, right: &str, edits: usize) -> bool {
    let shorter = left.chars().count().min(right.chars().count());
    edits < shorter || edits == 0 || left.starts_with(right) || right.starts_with(left)
}

/// A name without what does not count.
fn folded(name: &str) -> String {
    name.chars().filter(|letter| !matches!(letter, '_' | '-')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_in_a_name_is_recognised() {
        assert_eq!(nearest("lable", [["id", "label"]]), Some("label"));
        assert_eq!(nearest("requird", [["source", "required"]]), Some("required"));
        assert_eq!(nearest("data_maping", [["data_mapping"]]), Some("data_mapping"));
        assert_eq!(nearest("soruce_outputs", [["source_output"]]), Some("source_output"));
    }

    #[test]
    fn case_and_underscores_do_not_count() {
        assert_eq!(nearest("taskType", [["task_type"]]), Some("task_type"));
        assert_eq!(nearest("MAP-ALL-DATA", [["map_all_data"]]), Some("map_all_data"));
    }

    #[test]
    fn the_nearest_of_several_is_named_or_the_first_of_the_nearest() {
        assert_eq!(nearest("addtask1b", [["addtask2", "addtask1", "addtask3"]]), Some("addtask1"));
        assert_eq!(nearest("task3", [["task1", "task2"]]), Some("task1"));
    }

    #[test]
    fn a_short_name_of_its_own_means_nothing_else() {
        assert_eq!(nearest("x", [["id", "label"]]), None);
        assert_eq!(nearest("f", [["t", "y"]]), None);
        assert_eq!(nearest("o", [["io"]]), None);
        assert_eq!(nearest("di", [["ab", "id"]]), Some("id"));
        assert_eq!(nearest("b", [["bb"]]), Some("bb"));
        assert_eq!(nearest("X", [["x"]]), Some("x"), "case does not count");
        assert_eq!(nearest("ab", [["abc"]]), Some("abc"));
        assert_eq!(nearest("tags", [["task", "class"]]), None);
        assert_eq!(nearest("uiProps", [["id", "label", "class"]]), None);
    }

    #[test]
    fn a_right_name_means_itself() {
        assert_eq!(nearest("nodes", [["node", "nodes"]]), None);
    }

    #[test]
    fn names_in_other_scripts_are_compared_by_their_characters() {
        assert_eq!(nearest("größe", [["grosse", "größte"]]), Some("größte"));
    }

    #[test]
    fn case_does_not_count_beside_a_slip() {
        assert_eq!(nearest("name", [["limit", "Nmae"]]), Some("Nmae"));
    }

    #[test]
    fn a_far_name_is_only_proposed_one_edit_away_and_only_where_no_near_one_is() {
        let groups = |far: &'static str| [vec!["tasks"], vec![far]];
        assert_eq!(nearest("taskss", groups("taskss2")), Some("tasks"));
        assert_eq!(nearest("filtre_it", groups("filter_it")), Some("filter_it"));
        assert_eq!(nearest("filtre_i", groups("filter_it")), None);
        assert_eq!(nearest("tasks", [vec!["task"], vec!["tasks"]]), None, "a right name of a far group");
    }

    #[test]
    fn the_one_right_name_or_all_of_few_end_a_sentence() {
        assert_eq!(did_you_mean_or_choose("gren", &["plain", "green"]), "; did you mean \"green\"?");
        assert_eq!(did_you_mean_or_choose("xyz", &["plain", "green"]), ": choose \"plain\" or \"green\"");
    }
}
