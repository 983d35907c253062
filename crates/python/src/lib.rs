//! Runs Python tasks: interpreters, and how values travel to them and back.
//!
//! A [`PythonHost`] is one interpreter process that runs one task at a time; each worker has one. A [`SharedPython`] is one
//! interpreter for all attempts of a pool that runs in this process. Both start at first use, and run many tasks one after
//! another.
//!
//! | file | content |
//! |---|---|
//! | `options.rs` | [`find_interpreter`]: chooses the interpreter |
//! | `source.rs`, `host_source/` | the Python source that an interpreter runs, and its launch |
//! | `host.rs` | [`PythonHost`]: start, requests, replies, and the loss of an interpreter |
//! | `shared.rs`, `shared_process.rs` | [`SharedPython`], and the process of a shared interpreter with its servers |
//! | `message.rs` | requests and replies |
//! | `channel.rs` | whole messages over a socket |
//! | `buffers.rs` | out-of-band buffers in shared memory |
//! | `pickle.rs`, `pickle/` | reads and writes pickles |
//! | `python_text.rs` | Python's `str()` and truth of values |
//! | `failures.rs` | errors of attempts whose interpreter is missing or was interrupted |
//!
//! ```
//! use pushflow_model::Value;
//! use pushflow_python::{is_true, python_text};
//!
//! let value = Value::from(vec![Value::Null, Value::from("it's"), Value::from(1e16)]);
//! assert_eq!(python_text(&value), r#"[None, "it's", 1e+16]"#);
//! assert!(is_true(&value));
//! ```

mod buffers;
mod channel;
mod failures;
mod host;
mod message;
mod options;
mod pickle;
mod python_text;
mod shared;
mod shared_process;
mod source;

pub use host::PythonHost;
pub use message::PythonCall;
pub use options::{ChosenBy, PythonError, choose_interpreter, find_interpreter};
pub use python_text::{is_true, python_text};
pub use shared::SharedPython;
pub use source::python_source;
