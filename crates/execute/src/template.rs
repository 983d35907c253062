//! [`render`]: replaces `{NAME}` in the texts of a command task by the input of that name, as text.

use pushflow_model::{Data, ErrorKind, Key, TaskError, Value, did_you_mean};

/// A template with the inputs in their places; `{{` and `}}` stand for the braces themselves.
///
/// Texts and bytes are inserted as they are, other values as JSON. A value that JSON can't hold is inserted as its
/// text.
///
/// # Errors
/// When no input has a name, or when a brace has no partner.
pub(super) fn render(template: &str, inputs: &Data) -> Result<Vec<u8>, TaskError> {
    let mut rendered = Vec::with_capacity(template.len());
    let mut rest = template;
    while let Some(brace) = rest.find(['{', '}']) {
        rendered.extend_from_slice(&rest.as_bytes()[..brace]);
        let (opening, after) = (rest.as_bytes()[brace], &rest[brace + 1..]);
        if after.as_bytes().first() == Some(&opening) {
            rendered.push(opening);
            rest = &after[1..];
            continue;
        }
        let name = if opening == b'{' { after.split_once('}') } else { None };
        let Some((name, after)) = name else { return Err(lonely_brace(template, opening)) };
        insert(&mut rendered, template, name, inputs)?;
        rest = after;
    }
    rendered.extend_from_slice(rest.as_bytes());
    Ok(rendered)
}

fn insert(rendered: &mut Vec<u8>, template: &str, name: &str, inputs: &Data) -> Result<(), TaskError> {
    let position = || name.parse().ok().map(Key::Position);
    let payload = inputs.named(name).or_else(|| inputs.payload(&position()?));
    let Some(payload) = payload else { return Err(unknown(template, name, inputs)) };
    let unreadable = |error| bad_input(format!("the input {name:?} can't be read: {error}"));
    match payload.value().map_err(unreadable)?.plain() {
        Value::Str(text) => rendered.extend_from_slice(text.as_bytes()),
        Value::Bytes(bytes) => rendered.extend_from_slice(bytes),
        Value::Float(number) if !number.is_finite() => rendered.extend_from_slice(number.to_string().as_bytes()),
        Value::Opaque(opaque) => rendered.extend_from_slice(opaque.text.as_bytes()),
        value => rendered.extend_from_slice(value.to_json().map_err(unreadable)?.to_string().as_bytes()),
    }
    Ok(())
}

fn unknown(template: &str, name: &str, inputs: &Data) -> TaskError {
    let names = inputs.iter().filter_map(|(key, _)| key.as_name());
    let advice = match did_you_mean(name, [names]) {
        meant if meant.is_empty() => "; write {{ and }} for the braces themselves".to_owned(),
        meant => meant,
    };
    bad_input(format!("there is no input {name:?} for {{{name}}} in {template:?}{advice}"))
}

fn lonely_brace(template: &str, brace: u8) -> TaskError {
    let brace = char::from(brace);
    bad_input(format!("a {brace:?} has no partner in {template:?}; write {brace}{brace} for the brace itself"))
}

fn bad_input(message: String) -> TaskError {
    TaskError::new(ErrorKind::BadInput, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(template: &str, inputs: &Data) -> String {
        String::from_utf8(render(template, inputs).unwrap()).unwrap()
    }

    fn refused(template: &str, inputs: &Data) -> String {
        let error = render(template, inputs).unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadInput);
        error.message
    }

    #[test]
    fn texts_are_inserted_as_they_are_and_the_rest_as_json() {
        let inputs = Data::new()
            .with("text", "a \"b\"")
            .with("float", 1.0)
            .with("small", 1e-7)
            .with("flag", true)
            .with("none", ())
            .with("list", vec![Value::from(1), Value::from("two")])
            .with(0_u32, "first");
        assert_eq!(rendered("--x={text}!", &inputs), "--x=a \"b\"!");
        assert_eq!(
            rendered("{float} {small} {flag} {none} {list} {0}", &inputs),
            "1.0 1e-7 true null [1,\"two\"] first"
        );
    }

    #[test]
    fn bytes_and_numbers_that_json_lacks_are_inserted_too() {
        let inputs = Data::new().with("raw", Value::Bytes(vec![0xff, 0xfe].into())).with("infinite", f64::INFINITY);
        assert_eq!(render("{raw}", &inputs).unwrap(), [0xff, 0xfe]);
        assert_eq!(rendered("{infinite}", &inputs), "inf");
    }

    #[test]
    fn doubled_braces_stand_for_themselves() {
        assert_eq!(rendered("awk {{print $1}} {{{x}}}", &Data::new().with("x", 1)), "awk {print $1} {1}");
    }

    #[test]
    fn an_inserted_text_is_not_rendered_again() {
        assert_eq!(rendered("{x}", &Data::new().with("x", "{y}")), "{y}");
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_nearest_one() {
        let inputs = Data::new().with("limit", 1).with("value", 2);
        assert_eq!(
            refused("--limit={limt}", &inputs),
            r#"there is no input "limt" for {limt} in "--limit={limt}"; did you mean "limit"?"#
        );
        assert_eq!(
            refused("{print $1}", &inputs),
            r#"there is no input "print $1" for {print $1} in "{print $1}"; write {{ and }} for the braces themselves"#
        );
    }

    #[test]
    fn a_brace_without_a_partner_is_refused() {
        assert_eq!(refused("a } b", &Data::new()), r#"a '}' has no partner in "a } b"; write }} for the brace itself"#);
        assert_eq!(refused("a { b", &Data::new()), r#"a '{' has no partner in "a { b"; write {{ for the brace itself"#);
    }
}
