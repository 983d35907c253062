//! The inputs of a run: first the inputs of the file `--inputs`, then those of the command line, which override them.

use std::error::Error;
use std::io::Read;
use std::path::Path;

use pushflow::{Input, parse_inputs};

use crate::arguments::RunArguments;

/// The inputs of the file and of the command line.
///
/// # Errors
/// When the file can't be read or is no list of inputs, when an input is given twice, and when both the graph and the
/// inputs are to come from standard input.
pub(crate) fn of(arguments: &RunArguments) -> Result<Vec<Input>, Box<dyn Error>> {
    let mut inputs = match &arguments.inputs_file {
        Some(file) if is_standard_input(file) && is_standard_input(&arguments.graph) => {
            return Err(
                "the graph and the inputs can't both come from standard input; name a file for one of them".into()
            );
        }
        Some(file) => of_file(file)?,
        None => Vec::new(),
    };
    for (position, (name, value)) in arguments.inputs.iter().enumerate() {
        if arguments.inputs[..position].iter().any(|(earlier, _)| earlier == name) {
            return Err(format!("the input {name:?} is given twice").into());
        }
        inputs.push(Input::of_start(name.as_str(), value.clone()));
    }
    Ok(inputs)
}

/// Whether the path means standard input.
pub(crate) fn is_standard_input(file: &Path) -> bool {
    [Path::new("-"), Path::new("/dev/stdin")].contains(&file)
}

fn of_file(file: &Path) -> Result<Vec<Input>, Box<dyn Error>> {
    let (name, bytes) = if is_standard_input(file) {
        let mut bytes = Vec::new();
        let read = std::io::stdin().read_to_end(&mut bytes);
        ("standard input".to_owned(), read.map(|_| bytes))
    } else {
        (file.display().to_string(), std::fs::read(file))
    };
    let bytes = bytes.map_err(|error| format!("{name}: the inputs can't be read: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        format!("{name}: byte {} is not UTF-8, so these are no inputs", error.utf8_error().valid_up_to() + 1)
    })?;
    Ok(parse_inputs(&text, &name)?)
}
