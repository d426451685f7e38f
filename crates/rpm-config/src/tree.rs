//! [`Node`]: an ecosystem file after its syntax is understood and before its keys are.
//!
//! Every format is read into this one tree, so that keys, types and errors are the same for all.
//! It knows lines, but no file names and no keys.

/// How many lists and tables may stand in each other; a walk over a tree is bounded by it.
pub(crate) const MAX_DEPTH: usize = 64;

/// One value and where it stood.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// The line the value (for the value of a key: its key) begins on, counted from 1; `None` where
    /// the format has no lines, as after evaluating JavaScript.
    pub(crate) line: Option<u32>,
    /// The value.
    pub(crate) data: Data,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Data {
    /// JSON's `null`: as if the key were not there.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number; wide enough for any `i64` and `u64`.
    Integer(i128),
    /// Any other number.
    Float(f64),
    /// A string; TOML's dates are read as their text.
    Text(String),
    /// An array.
    List(Vec<Node>),
    /// A table or object, in the order the format keeps.
    Table(Vec<Entry>),
}

/// One key of a table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// The key as written.
    pub(crate) key: String,
    /// Its value, which carries the key's line.
    pub(crate) value: Node,
}

impl Node {
    /// The same values, of which no line is known.
    pub(crate) fn without_lines(self) -> Self {
        let entry = |Entry { key, value }| Entry { key, value: value.without_lines() };
        let data = match self.data {
            Data::List(items) => Data::List(items.into_iter().map(Self::without_lines).collect()),
            Data::Table(entries) => Data::Table(entries.into_iter().map(entry).collect()),
            data @ (Data::Null
            | Data::Bool(_)
            | Data::Integer(_)
            | Data::Float(_)
            | Data::Text(_)) => data,
        };
        Self { line: None, data }
    }
}

impl Data {
    /// The value as a problem report shows it: its kind, and the value itself where it is short.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Bool(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Text(text) => format!("{:?}", shortened(text)),
            Self::List(_) => "a list".into(),
            Self::Table(_) => "a table".into(),
        }
    }
}

/// The most characters of a value that a problem report repeats.
const SHOWN_CHARS: usize = 60;

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_shortened_at_a_character() {
        let text = |n: usize| Data::Text("é".repeat(n)).describe();
        assert_eq!(text(SHOWN_CHARS), format!("\"{}\"", "é".repeat(SHOWN_CHARS)));
        assert_eq!(text(SHOWN_CHARS + 1), format!("\"{}…\"", "é".repeat(SHOWN_CHARS)));
    }
}
