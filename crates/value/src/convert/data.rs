//! [`Data`] as a serde type.

use serde::de::{Deserializer, Error as _, Unexpected};
use serde::ser::{Error as _, SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use crate::{Data, Value};

/// A map; positions become decimal names.
impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.check_names().map_err(S::Error::custom)?;
        let mut entries = serializer.serialize_map(Some(self.len()))?;
        for (key, payload) in self {
            entries.serialize_entry(&key.to_string(), payload.value().map_err(S::Error::custom)?)?;
        }
        entries.end()
    }
}

/// A map, whose keys become names.
impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let found = value.type_name();
        Data::from_map(value).ok_or_else(|| D::Error::invalid_type(Unexpected::Other(found), &"a map"))
    }
}
