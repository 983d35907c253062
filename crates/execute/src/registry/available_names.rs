//! [`available_names`]: the part of a message about a missing name that lists the names there are.

use pushflow_model::{Key, did_you_mean};

/// How many names a message lists; of more names, it gives only the number.
const LISTED: usize = 8;

/// The names there are instead of `wanted`, in words for a message, and the name that was probably meant. That may also be
/// one of `far_names`, which the message does not list.
pub(super) fn available_names(wanted: &str, keys: &[Key], far_names: &[&str]) -> String {
    let listed = match keys {
        [] => "there is none".to_owned(),
        [only] => format!("there is: {}", label(only)),
        few if few.len() <= LISTED => {
            format!("there are: {}", few.iter().map(label).collect::<Vec<_>>().join(", "))
        }
        many => format!("there are {}", many.len()),
    };
    let own_names = keys.iter().filter_map(Key::as_name).collect();
    match did_you_mean(wanted, [own_names, far_names.to_vec()]) {
        // The only name needs no second mention.
        meant if keys.len() == 1 && meant.contains(&label(&keys[0])) => listed,
        meant => listed + &meant,
    }
}

fn label(key: &Key) -> String {
    match key {
        Key::Name(name) => format!("{name:?}"),
        Key::Position(position) => format!("position {position}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(wanted: &str, names: &[&str]) -> String {
        available_names(wanted, &names.iter().map(|name| Key::from(*name)).collect::<Vec<_>>(), &["pushflow.sleep"])
    }

    #[test]
    fn few_names_are_listed_with_the_nearest() {
        assert_eq!(of("name", &[]), "there is none");
        assert_eq!(of("name", &["limit"]), r#"there is: "limit""#);
        assert_eq!(of("name", &["limit", "Nmae"]), r#"there are: "limit", "Nmae"; did you mean "Nmae"?"#);
        assert_eq!(of("name", &["limit", "size"]), r#"there are: "limit", "size""#);
    }

    #[test]
    fn the_only_name_is_not_said_twice() {
        assert_eq!(of("nmae", &["name"]), r#"there is: "name""#);
    }

    #[test]
    fn a_far_name_is_said_and_not_listed() {
        assert_eq!(of("pushflow.slep", &["limit"]), r#"there is: "limit"; did you mean "pushflow.sleep"?"#);
    }

    #[test]
    fn many_names_are_counted() {
        let names = ["a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "value"];
        assert_eq!(of("vlaue", &names), r#"there are 9; did you mean "value"?"#);
    }

    #[test]
    fn positions_are_distinguished_from_names() {
        assert_eq!(available_names("name", &[Key::from(0), Key::from("0")], &[]), r#"there are: position 0, "0""#);
    }
}
