//! [`Blob`]: the bytes of a value.

use std::ops::Deref;

use bytes::Bytes;

/// The content of a [`Value::Bytes`](crate::Value::Bytes); clones share the bytes.
///
/// [`Bytes`] is boxed, because it would make every value larger otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blob(Box<Bytes>);

impl Blob {
    /// Takes the bytes out; copies them only if a clone shares them.
    pub fn into_vec(self) -> Vec<u8> {
        Vec::from(*self.0)
    }
}

impl Deref for Blob {
    type Target = Bytes;
    fn deref(&self) -> &Bytes {
        &self.0
    }
}

impl From<Bytes> for Blob {
    fn from(bytes: Bytes) -> Self {
        Blob(Box::new(bytes))
    }
}

impl FromIterator<u8> for Blob {
    fn from_iter<I: IntoIterator<Item = u8>>(bytes: I) -> Self {
        bytes.into_iter().collect::<Bytes>().into()
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}
