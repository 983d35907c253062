//! What an [`Opaque`] is made of, and its view.

use bytes::Bytes;

use super::{Opaque, Value};

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
