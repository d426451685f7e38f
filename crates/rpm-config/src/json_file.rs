//! JSON and JSON5 text to a [`Node`] tree, with the line of each key.
//!
//! One reader for both: PM2 evaluates `.json` as JavaScript, so its users' files have comments and
//! trailing commas. The reader gives no positions, but lends keys from the text itself: where a
//! key's letters lie in the text tells its line.

use crate::{
    format::Syntax,
    lines::Lines,
    tree::{Data, Entry, MAX_DEPTH, Node},
};
use json5::{Deserializer as Reader, ErrorCode};
use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor},
};
use std::{cell::Cell, collections::BTreeSet, fmt};

/// Reads `text`; nesting is bounded by [`MAX_DEPTH`].
pub(crate) fn parse(text: &str) -> Result<Node, Syntax> {
    let lines = Lines::of(text);
    let place = Place { text, lines: &lines, line: Cell::new(first_line(text)) };
    let mut reader = Reader::from_str(text);
    let seed = Lined { place: &place, depth: 0 };
    let node = seed.deserialize(&mut reader).map_err(|error| syntax(&error, &place))?;
    // Asked for one more value, the reader says whether anything is left.
    match bool::deserialize(&mut reader) {
        Err(error) if error.code() == Some(ErrorCode::EofParsingBool) => Ok(node),
        Ok(_) => Err(trailing(None, &place)),
        Err(error) => Err(trailing(error.position().map(|at| at.line), &place)),
    }
}

/// As [`parse`], for a text that no person wrote: its lines mean nothing.
pub(crate) fn parse_generated(text: &str) -> Result<Node, Syntax> {
    parse(text).map(Node::without_lines).map_err(|syntax| Syntax { line: None, ..syntax })
}

fn first_line(text: &str) -> u32 {
    let blank = text.len() - text.trim_start().len();
    Lines::of(text).number(blank)
}

fn syntax(error: &json5::Error, place: &Place<'_>) -> Syntax {
    let text = error.to_string();
    let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
    let reason = reason.replace("EOF parsing", "the file ends within");
    let line = match (error.code(), error.position()) {
        (Some(_), Some(at)) => u32::try_from(at.line + 1).ok(),
        (Some(_), None) => Some(place.lines.last()),
        // For our own reasons the reader names the place where the table begins.
        (None, _) => Some(place.line.get()),
    };
    Syntax { line, reason }
}

fn trailing(line: Option<usize>, place: &Place<'_>) -> Syntax {
    let line = line.and_then(|line| u32::try_from(line + 1).ok());
    let line = line.or(Some(place.lines.last()));
    Syntax { line, reason: "something follows the end of the first value".into() }
}

/// Where the reader is.
struct Place<'a> {
    text: &'a str,
    lines: &'a Lines,
    /// The line of the last key.
    line: Cell<u32>,
}

impl Place<'_> {
    /// Takes the line of `key`, if it is lent from the text.
    fn at(&self, key: &str) {
        let offset = (key.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize);
        if let Some(offset) = offset.filter(|offset| *offset < self.text.len()) {
            self.line.set(self.lines.number(offset));
        }
    }
}

/// Builds a [`Node`] of whatever comes.
#[derive(Clone, Copy)]
struct Lined<'a> {
    place: &'a Place<'a>,
    depth: usize,
}

impl Lined<'_> {
    fn node(self, data: Data) -> Node {
        Node { line: Some(self.place.line.get()), data }
    }

    fn deeper<E: Error>(self) -> Result<Self, E> {
        match self.depth < MAX_DEPTH {
            true => Ok(Self { depth: self.depth + 1, ..self }),
            false => Err(E::custom(format!("more than {MAX_DEPTH} lists or tables in each other"))),
        }
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

    fn visit_i128<E: Error>(self, value: i128) -> Result<Node, E> {
        Ok(self.node(Data::Integer(value)))
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Node, E> {
        let value = i128::try_from(value).map_err(|_| E::custom("a number is out of range"))?;
        Ok(self.node(Data::Integer(value)))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        Ok(self.node(Data::Float(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        Ok(self.node(Data::Text(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Node, A::Error> {
        let (mut node, inner) = (self.node(Data::Null), self.deeper()?);
        let mut items = Vec::new();
        while let Some(item) = from.next_element_seed(inner)? {
            items.push(item);
        }
        node.data = Data::List(items);
        Ok(node)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Node, A::Error> {
        let (mut node, inner) = (self.node(Data::Null), self.deeper()?);
        let mut entries = Vec::new();
        let mut seen = BTreeSet::new();
        while let Some(key) = from.next_key_seed(Key(self.place))? {
            let line = Some(self.place.line.get());
            if !seen.insert(key.clone()) {
                return Err(Error::custom(format!("key `{key}` is given twice")));
            }
            // A table begins where its first key stands.
            if entries.is_empty() {
                node.line = line;
            }
            let value = Node { line, ..from.next_value_seed(inner)? };
            entries.push(Entry { key, value });
        }
        node.data = Data::Table(entries);
        Ok(node)
    }
}

/// Reads a key, and notes its line.
struct Key<'a>(&'a Place<'a>);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<String, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<String, E> {
        self.0.at(key);
        Ok(key.to_owned())
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<String, E> {
        Ok(key.to_owned())
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
    fn every_kind_of_value_and_the_line_of_its_key() {
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
        let apps = entry("apps", 2, Data::List(vec![node(4, Data::Table(app))]));
        assert_eq!(parse(text), Ok(node(2, Data::Table(vec![apps]))));
    }

    #[test]
    fn what_javascript_allows_too() {
        let text = "// apps\n{\n  /* one */ name: 'api',\n  \"env\": {A: +0x10, B: .5,},\n}\n";
        let env = vec![entry("A", 4, Data::Integer(16)), entry("B", 4, Data::Float(0.5))];
        let app =
            vec![entry("name", 3, Data::Text("api".into())), entry("env", 4, Data::Table(env))];
        assert_eq!(parse(text), Ok(node(3, Data::Table(app))));
    }

    #[test]
    fn syntax_errors_name_their_line() {
        let table = [
            ("", 1, "the file ends within value"),
            ("\n{\n\"a\": 1", 2, "the file ends within object"),
            ("{\"a\": 1,\n ! }", 2, "expected identifier"),
            ("{}\n\n{}", 3, "something follows the end of the first value"),
            ("{\"a\": 1,\n \"a\": 2}", 2, "key `a` is given twice"),
            ("{a: process.env.B}", 1, "expected value"),
        ];
        for (text, line, reason) in table {
            let want = Syntax { line: Some(line), reason: reason.into() };
            assert_eq!(parse(text), Err(want), "{text:?}");
        }
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_overflow() {
        for open in ["[", "{a:"] {
            assert!(parse(&open.repeat(MAX_DEPTH)).is_err());
            let reason = "more than 64 lists or tables in each other".into();
            let want = Syntax { line: Some(1), reason };
            assert_eq!(parse(&open.repeat(100_000)), Err(want), "{open}");
        }
    }

    #[test]
    fn generated_texts_have_no_lines() {
        let name = Node { line: None, data: Data::Text("a".into()) };
        let app = Data::Table(vec![Entry { key: "name".into(), value: name }]);
        let want = Node { line: None, data: Data::List(vec![Node { line: None, data: app }]) };
        assert_eq!(parse_generated("[{\"name\":\"a\"}]"), Ok(want));
    }
}
