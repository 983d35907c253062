//! What a message says about a name that is not there: which names there are, and which one is nearest.

use std::cmp::min;

use pushflow_model::Key;

/// How many names are listed; of more, only the number is given.
const LISTED: usize = 8;

/// The names there are instead of `wanted`, in words for a message.
pub(super) fn choices(wanted: &str, keys: &[Key]) -> String {
    let listed = match keys {
        [] => return "there is none".to_owned(),
        [only] => return format!("there is: {}", label(only)),
        few if few.len() <= LISTED => {
            format!("there are: {}", few.iter().map(label).collect::<Vec<_>>().join(", "))
        }
        many => format!("there are {}", many.len()),
    };
    match nearest(wanted, keys) {
        Some(name) => format!("{listed}; nearest: {name:?}"),
        None => listed,
    }
}

fn label(key: &Key) -> String {
    match key {
        Key::Name(name) => format!("{name:?}"),
        Key::Position(position) => format!("position {position}"),
    }
}

/// The name that `wanted` may be a slip of: one letter in three is wrong at most, or one of a shorter name.
fn nearest<'a>(wanted: &str, keys: &'a [Key]) -> Option<&'a str> {
    let wanted = wanted.to_lowercase();
    let limit = (wanted.chars().count() / 3).max(1);
    let distances = keys.iter().filter_map(Key::as_name).map(|name| {
        let name_lower = name.to_lowercase();
        (strsim::osa_distance(&wanted, &name_lower), name)
    });
    distances.filter(|(distance, _)| *distance <= limit).reduce(min).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(wanted: &str, names: &[&str]) -> String {
        choices(wanted, &names.iter().map(|name| Key::from(*name)).collect::<Vec<_>>())
    }

    #[test]
    fn few_names_are_listed_and_the_nearest_is_said() {
        assert_eq!(of("name", &[]), "there is none");
        assert_eq!(of("name", &["limit"]), r#"there is: "limit""#);
        assert_eq!(of("name", &["limit", "Nmae"]), r#"there are: "limit", "Nmae"; nearest: "Nmae""#);
        assert_eq!(of("name", &["limit", "size"]), r#"there are: "limit", "size""#);
    }

    #[test]
    fn many_names_are_counted() {
        let names = ["a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "value"];
        assert_eq!(of("vlaue", &names), r#"there are 9; nearest: "value""#);
    }

    #[test]
    fn positions_are_told_from_names() {
        assert_eq!(choices("name", &[Key::from(0), Key::from("0")]), r#"there are: position 0, "0""#);
    }
}
