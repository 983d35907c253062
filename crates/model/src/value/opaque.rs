//! [`Opaque`]: construction, and access to the view.

use bytes::Bytes;

use super::{Opaque, Value};

impl Opaque {
    /// An object without text, content, buffers and view.
    pub fn new(codec: impl Into<String>, type_name: impl Into<String>) -> Self {
        Opaque { codec: codec.into(), type_name: type_name.into(), ..Opaque::default() }
    }

    /// Sets the text.
    #[must_use]
    pub fn with_text(self, text: impl Into<String>) -> Self {
        Opaque { text: text.into(), ..self }
    }

    /// Sets the content.
    #[must_use]
    pub fn with_content(self, content: impl Into<Bytes>) -> Self {
        Opaque { content: content.into(), ..self }
    }

    /// Sets the buffers.
    #[must_use]
    pub fn with_buffers(self, buffers: Vec<Bytes>) -> Self {
        Opaque { buffers, ..self }
    }

    /// Sets the view. If `view` is itself opaque, its own view is taken.
    #[must_use]
    pub fn with_view(mut self, view: Value) -> Self {
        self.set_view(view);
        self
    }

    /// As [`Opaque::with_view`], in place.
    pub(crate) fn set_view(&mut self, view: Value) {
        self.view = match view {
            Value::Opaque(inner) => inner.view,
            plain => Some(plain),
        };
    }

    /// The plain counterpart of the object, if there is one. Values inside the view may be opaque.
    pub fn view(&self) -> Option<&Value> {
        self.view.as_ref()
    }

    /// Takes the view out.
    pub fn into_view(self) -> Option<Value> {
        self.view
    }
}
