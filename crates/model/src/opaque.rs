//! [`Opaque`]: a value that only its own language understands.

use bytes::Bytes;

use crate::Value;

/// What no plain value can hold: a Python object, say. It is handed on as it is, and nobody but its codec looks inside.
///
/// Where the thing has a plain counterpart (a Python tuple is much like a list), that is its *view*: what JSON, conditions,
/// routers and the typed arguments of Rust tasks see, while the thing itself travels on whole. See [`Value::plain`].
///
/// ```
/// use pushflow_model::{Opaque, Value, from_value};
///
/// let pair = Opaque::new("python", "tuple").with_view(Value::from(vec![Value::from(1), Value::from(2)]));
/// assert_eq!(from_value::<(i32, i32)>(&Value::from(pair))?, (1, 2));
///
/// let date = Value::from(Opaque::new("pickle", "datetime.date").with_text("datetime.date(2000, 1, 1)"));
/// let json = date.to_json().unwrap().to_string();
/// assert_eq!(json, r#"{"$type":"datetime.date","$repr":"datetime.date(2000, 1, 1)"}"#);
/// # Ok::<(), pushflow_model::ConvertError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Opaque {
    /// The name of what can read the content.
    pub codec: String,
    /// The type of the thing in its own language.
    pub type_name: String,
    /// The thing as its own language prints it, shortened; may be empty.
    pub text: String,
    /// The thing itself, as far as the view and the buffers do not hold it.
    pub content: Bytes,
    /// Long parts of the thing that its content leaves out, such as the elements of an array: they travel as they are and
    /// are not copied on the way.
    pub buffers: Vec<Bytes>,
    /// Never opaque itself.
    view: Option<Value>,
}

impl Opaque {
    /// A thing without text, content and view.
    pub fn new(codec: impl Into<String>, type_name: impl Into<String>) -> Self {
        Opaque { codec: codec.into(), type_name: type_name.into(), ..Opaque::default() }
    }

    /// This thing with the text that stands for it.
    #[must_use]
    pub fn with_text(self, text: impl Into<String>) -> Self {
        Opaque { text: text.into(), ..self }
    }

    /// This thing with its content.
    #[must_use]
    pub fn with_content(self, content: impl Into<Bytes>) -> Self {
        Opaque { content: content.into(), ..self }
    }

    /// This thing with its long parts.
    #[must_use]
    pub fn with_buffers(self, buffers: Vec<Bytes>) -> Self {
        Opaque { buffers, ..self }
    }

    /// This thing with its plain counterpart; that of an opaque value is its own view.
    #[must_use]
    pub fn with_view(mut self, view: Value) -> Self {
        self.set_view(view);
        self
    }

    /// As [`Opaque::with_view`], where it lies.
    pub(crate) fn set_view(&mut self, view: Value) {
        self.view = match view {
            Value::Opaque(inner) => inner.view,
            plain => Some(plain),
        };
    }

    /// The plain counterpart, if there is one. Values inside it may be opaque.
    pub fn view(&self) -> Option<&Value> {
        self.view.as_ref()
    }

    /// The plain counterpart, taken out.
    pub fn into_view(self) -> Option<Value> {
        self.view
    }
}

impl From<Opaque> for Value {
    fn from(opaque: Opaque) -> Self {
        Value::Opaque(Box::new(opaque))
    }
}
