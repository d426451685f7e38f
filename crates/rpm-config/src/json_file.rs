//! JSON text to a [`Node`] tree, with the line of each key.
//!
//! serde_json gives no positions, but it reads a stream byte by byte and looks at most one byte
//! ahead. So the text is handed to it through a reader that counts lines: when a key, or the
//! opening bracket of a table, has just been read, the counter stands on its line exactly. A number
//! in a list that is followed by a line break may be given the next line; no report uses those.

use crate::{
    format::Syntax,
    tree::{Data, Entry, Node},
};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::{cell::Cell, collections::BTreeSet, fmt, io};

/// Reads `text`. serde_json bounds nesting to 128 levels.
pub(crate) fn parse(text: &str) -> Result<Node, Syntax> {
    let line = Cell::new(1);
    let mut reader =
        serde_json::Deserializer::from_reader(Counted { rest: text.as_bytes(), line: &line });
    let node = Lined(&line).deserialize(&mut reader).map_err(|error| syntax(&error))?;
    reader.end().map_err(|error| syntax(&error))?;
    Ok(node)
}

fn syntax(error: &serde_json::Error) -> Syntax {
    let text = error.to_string();
    let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
    let line = u32::try_from(error.line()).ok().filter(|line| *line > 0);
    Syntax { line, reason: reason.to_owned() }
}

/// Counts the lines of what has been read.
struct Counted<'a> {
    rest: &'a [u8],
    line: &'a Cell<u32>,
}

impl io::Read for Counted<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = io::Read::read(&mut self.rest, into)?;
        let breaks = into.iter().take(length).filter(|byte| **byte == b'\n').count();
        let breaks = u32::try_from(breaks).unwrap_or(u32::MAX);
        self.line.set(self.line.get().saturating_add(breaks));
        Ok(length)
    }
}

/// Builds a [`Node`] of whatever comes, with the counter's line.
#[derive(Clone, Copy)]
struct Lined<'a>(&'a Cell<u32>);

impl Lined<'_> {
    fn node(self, data: Data) -> Node {
        Node { line: Some(self.0.get()), data }
    }
}

impl<'de> DeserializeSeed<'de> for Lined<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Node, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Lined<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(self.node(Data::Null))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        Ok(self.node(Data::Bool(value)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        Ok(self.node(Data::Integer(value.into())))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        Ok(self.node(Data::Integer(value.into())))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        Ok(self.node(Data::Float(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        Ok(self.node(Data::Text(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Node, A::Error> {
        let mut node = self.node(Data::Null);
        let mut items = Vec::new();
        while let Some(item) = from.next_element_seed(self)? {
            items.push(item);
        }
        node.data = Data::List(items);
        Ok(node)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Node, A::Error> {
        let mut node = self.node(Data::Null);
        let mut entries = Vec::new();
        let mut seen = BTreeSet::new();
        while let Some(key) = from.next_key::<String>()? {
            let line = Some(self.0.get());
            if !seen.insert(key.clone()) {
                return Err(Error::custom(format!("key `{key}` is given twice")));
            }
            let value = Node { line, ..from.next_value_seed(self)? };
            entries.push(Entry { key, value });
        }
        node.data = Data::Table(entries);
        Ok(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(line: u32, data: Data) -> Node {
        Node { line: Some(line), data }
    }

    fn entry(key: &str, line: u32, data: Data) -> Entry {
        Entry { key: key.into(), value: node(line, data) }
    }

    #[test]
    fn every_kind_of_value_and_its_line() {
        let text = "\n{\"apps\": [\n{\n\"name\"\n: \"api\", \"n\": 1\n,\"f\": 1.5,\n\"no\": null,\
                    \"on\":true,\n\"big\": 18446744073709551615,\n\"s\": \"\\n\",\n\"l\":[-2]}]}\n";
        let app = vec![
            entry("name", 4, Data::Text("api".into())),
            entry("n", 5, Data::Integer(1)),
            entry("f", 6, Data::Float(1.5)),
            entry("no", 7, Data::Null),
            entry("on", 7, Data::Bool(true)),
            entry("big", 8, Data::Integer(u64::MAX.into())),
            entry("s", 9, Data::Text("\n".into())),
            entry("l", 10, Data::List(vec![node(10, Data::Integer(-2))])),
        ];
        let apps = entry("apps", 2, Data::List(vec![node(3, Data::Table(app))]));
        assert_eq!(parse(text), Ok(node(2, Data::Table(vec![apps]))));
    }

    #[test]
    fn syntax_errors_name_their_line() {
        let table = [
            ("", 1, "EOF while parsing a value"),
            ("{\n// a comment\n}", 2, "key must be a string"),
            ("{\"a\": 1,\n}", 2, "trailing comma"),
            ("{}\n\n{}", 3, "trailing characters"),
            ("{\"a\": 1,\n \"a\": 2}", 2, "key `a` is given twice"),
        ];
        for (text, line, reason) in table {
            let want = Syntax { line: Some(line), reason: reason.into() };
            assert_eq!(parse(text), Err(want), "{text:?}");
        }
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_overflow() {
        let text = "[".repeat(100_000);
        let want = Syntax { line: Some(1), reason: "recursion limit exceeded".into() };
        assert_eq!(parse(&text), Err(want));
    }
}
