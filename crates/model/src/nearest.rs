//! The right name for a misspelt one.

/// The candidate that `word` most likely means: the same but for case, `_` and `-`, or at most one slip in three
/// characters away, two at most. A swap of two neighbours counts as one slip.
///
/// `None` when nothing is that near, or when `word` is a candidate itself.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).clamp(1, 2);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let slips = match candidate {
            same if same == word => return None,
            variant if folded(variant) == folded(word) => 0,
            other if other.len().abs_diff(word.len()) > 4 * limit => continue,
            other => strsim::osa_distance(word, other),
        };
        if slips <= limit && best.is_none_or(|(fewest, _)| slips < fewest) {
            best = Some((slips, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// The end of a sentence about a wrong name: what was probably meant.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map(|name| format!("; did you mean {name:?}?")).unwrap_or_default()
}

/// The nearest right name, or all of them where none is near.
pub fn advice(name: &str, names: &[&str]) -> String {
    let nearest = names
        .iter()
        .max_by(|left, right| strsim::jaro_winkler(left, name).total_cmp(&strsim::jaro_winkler(right, name)));
    match nearest {
        Some(nearest) if strsim::jaro_winkler(nearest, name) > 0.7 => format!("did you mean {nearest:?}?"),
        _ => choose(names),
    }
}

/// All right names, as a sentence asks to choose one.
pub fn choose(names: &[&str]) -> String {
    format!("choose {}", names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(" or "))
}

fn folded(name: &str) -> String {
    name.chars().filter(|letter| !matches!(letter, '_' | '-')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_in_a_name_is_recognised() {
        assert_eq!(nearest("lable", ["id", "label"]), Some("label"));
        assert_eq!(nearest("requird", ["source", "required"]), Some("required"));
        assert_eq!(nearest("data_maping", ["data_mapping"]), Some("data_mapping"));
        assert_eq!(nearest("soruce_outputs", ["source_output"]), Some("source_output"));
    }

    #[test]
    fn case_and_underscores_do_not_count() {
        assert_eq!(nearest("taskType", ["task_type"]), Some("task_type"));
        assert_eq!(nearest("MAP-ALL-DATA", ["map_all_data"]), Some("map_all_data"));
    }

    #[test]
    fn the_nearest_of_several_is_named_or_the_first_of_the_nearest() {
        assert_eq!(nearest("addtask1b", ["addtask2", "addtask1", "addtask3"]), Some("addtask1"));
        assert_eq!(nearest("task3", ["task1", "task2"]), Some("task1"));
    }

    #[test]
    fn a_short_name_of_its_own_means_nothing_else() {
        assert_eq!(nearest("x", ["id", "label"]), None);
        assert_eq!(nearest("tags", ["task", "class"]), None);
        assert_eq!(nearest("uiProps", ["id", "label", "class"]), None);
    }

    #[test]
    fn a_right_name_means_itself() {
        assert_eq!(nearest("nodes", ["node", "nodes"]), None);
    }

    #[test]
    fn names_in_other_scripts_are_compared_by_their_characters() {
        assert_eq!(nearest("größe", ["grosse", "größte"]), Some("größte"));
    }
}
