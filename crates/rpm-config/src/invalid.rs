//! [`InvalidValue`]: a value that is not what its key takes.

use std::fmt;

/// A value that is not what its key takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidValue {
    /// What the key takes, to be read after "must be".
    pub expected: String,
    /// What was given, to be read after "but is".
    pub found: String,
}

impl InvalidValue {
    pub(crate) fn new(expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { expected: expected.into(), found: found.into() }
    }

    /// The same of a value that stands in a table at `key`.
    pub(crate) fn at(self, key: &str) -> Self {
        Self { expected: format!("a table whose `{key}` is {}", self.expected), ..self }
    }

    /// For a text given where `expected` was.
    pub(crate) fn text(expected: impl Into<String>, found: &str) -> Self {
        Self::new(expected, format!("{found:?}"))
    }
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "must be {}, but is {}", self.expected, self.found)
    }
}

impl std::error::Error for InvalidValue {}
