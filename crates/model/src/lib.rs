//! The data that flows through a workflow, and the tasks that a worker is asked to run.
//!
//! A [`Value`] is a number, a text, a list, a map and so on. [`Data`] maps names and positions to [`Payload`]s: the
//! inputs of one task execution, or its outputs. A payload holds one value in the form in which it arrived: decoded,
//! encoded, or as a map of further payloads. It makes another form only when a caller asks for that form, so the
//! scheduler passes on the very bytes that the producer wrote.
//!
//! A [`TaskSpec`] says what an attempt runs, a [`TaskError`] how an attempt failed. [`PoolType`] and [`StartMethod`] are
//! the names by which users choose where attempts run. This crate knows no process, thread or file.

mod attempt_id;
mod codec;
mod convert;
mod data;
mod duration;
mod exit;
mod json;
mod nearest;
mod opaque_codecs;
mod pool_type;
mod process_class;
mod python_options;
mod start_method;
mod task;
mod task_error;
mod value;

pub use attempt_id::AttemptId;
pub use codec::{APART_ABOVE, CodecError, MAX_DEPTH};
pub use convert::{ConvertError, RETURN_VALUE, from_value, to_value};
pub use data::{Apart, Data, Form, Key, Outline, Payload, decode_joined, encode_apart};
pub use duration::{DurationError, parse_duration};
pub use exit::{Exit, signal_name};
pub use json::{JsonError, parse_json};
pub use nearest::{did_you_mean, did_you_mean_or_choose, nearest, suggestion};
pub use opaque_codecs::{PICKLE_CODEC, PYTHON_CODEC};
pub use pool_type::{PoolType, UnknownPoolType};
pub use process_class::{Family, NO_CHILDREN, ProcessClass};
pub use python_options::{PythonOptions, TaskModule};
pub use start_method::{StartMethod, UnknownStartMethod};
pub use task::{CommandTask, EwoksClass, EwoksTask, EwoksWork, PythonTask, Returns, ScriptTask, TaskSpec};
pub use task_error::{ERROR_CODEC, ErrorCause, ErrorDetails, ErrorKind, TaskError};
pub use value::{Blob, List, Map, Opaque, Value};
