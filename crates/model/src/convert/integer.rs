//! Integers of any type: those that fit 64 bits with sign become values, all others are refused.

use std::fmt::Display;

use serde::ser::Error;

use super::error::ConvertError;
use crate::Value;

pub fn integer<N: Copy + Display + TryInto<i64>>(number: N) -> Result<Value, ConvertError> {
    number.try_into().map(Value::Int).map_err(|_| Error::custom(too_large(number)))
}

/// The message about an integer that does not fit.
pub fn too_large(number: impl Display) -> String {
    format!("the integer {number} does not fit 64 bits with sign: pass it as text")
}

macro_rules! integers_that_may_not_fit {
    ($($integer:ty)*) => {$(
        /// # Errors
        /// When the integer does not fit 64 bits with sign.
        impl TryFrom<$integer> for Value {
            type Error = ConvertError;

            fn try_from(number: $integer) -> Result<Self, ConvertError> {
                integer(number)
            }
        }
    )*};
}

integers_that_may_not_fit! { u64 usize i128 u128 }
