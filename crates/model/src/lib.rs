//! What flows through a workflow, and what is asked of whoever runs its tasks.
//!
//! A [`Value`] is one plain thing (a number, a text, a list). [`Data`] is what one trigger carries: a map from names or
//! positions to [`Payload`]s. A payload is a value in the form in which it arrived (decoded, encoded, or a map of further
//! payloads); it changes form only when somebody looks, so that a value crosses the scheduler as the bytes its producer
//! wrote.
//!
//! A [`TaskSpec`] says what an attempt runs, a [`TaskError`] how an attempt failed. [`PoolType`] and [`StartMethod`] are
//! the names by which users choose where attempts run. This crate knows no process, thread or file.

mod attempt_id;
mod codec;
mod convert;
mod data;
mod exit;
mod json;
mod nearest;
mod opaque;
mod opaque_codecs;
mod payload;
mod pool_type;
mod process_class;
mod python_options;
mod start_method;
mod task;
mod task_error;
mod value;

pub use attempt_id::AttemptId;
pub use codec::{APART_ABOVE, Apart, CodecError, Form, MAX_DEPTH};
pub use convert::{ConvertError, from_value, to_value};
pub use data::{Data, Key};
pub use exit::{Exit, signal_name};
pub use json::{JsonError, parse_json};
pub use nearest::{advice, choose, did_you_mean, nearest};
pub use opaque::Opaque;
pub use opaque_codecs::{PICKLE_CODEC, PYTHON_CODEC};
pub use payload::{Outline, Payload};
pub use pool_type::{PoolType, UnknownPoolType};
pub use process_class::{Family, NO_CHILDREN, ProcessClass};
pub use python_options::{PythonOptions, TaskModule};
pub use start_method::{StartMethod, UnknownStartMethod};
pub use task::{CommandTask, EwoksClass, EwoksTask, EwoksWork, PythonTask, Returns, ScriptTask, TaskSpec};
pub use task_error::{ERROR_CODEC, ErrorCause, ErrorDetails, ErrorKind, TaskError};
pub use value::{Blob, List, Map, Value};
