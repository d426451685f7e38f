//! YAML text to a [`Node`] tree, with the line of each key. Anchors and merge keys (`<<`) are
//! carried out here, as js-yaml does under PM2; of several documents only one may be there.

use crate::{
    format::Syntax,
    tree::{Data, Entry, MAX_DEPTH, Node},
};
use saphyr::Scalar;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use std::{borrow::Cow, collections::BTreeMap};

/// The most values a file may stand for once its aliases are put in: far above any use, far below
/// what nested aliases could make of a page of text.
const MAX_VALUES: usize = 100_000;

const TOO_DEEP: &str = "too many lists or tables in each other";

/// Reads `text`; nesting is bounded by [`MAX_DEPTH`], values by [`MAX_VALUES`].
pub(crate) fn parse(text: &str) -> Result<Node, Syntax> {
    let mut reader =
        Reader { parser: Parser::new_from_str(text), anchors: BTreeMap::new(), line: 1, values: 0 };
    let root = reader.document()?;
    match reader.next()? {
        Some(Event::DocumentStart(_)) => Err(reader.fault("there is a second document")),
        Some(_) | None => Ok(root),
    }
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    /// What anchors stand for, by the parser's number.
    anchors: BTreeMap<usize, Node>,
    /// The line of the last event.
    line: u32,
    values: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<Event<'a>>, Syntax> {
        loop {
            let Some(next) = self.parser.next_event() else { return Ok(None) };
            let (event, span): (Event<'a>, Span) = next.map_err(|error| syntax(&error))?;
            self.line = u32::try_from(span.start.line()).unwrap_or(u32::MAX);
            match event {
                Event::Nothing | Event::StreamStart | Event::DocumentEnd => {}
                Event::StreamEnd => return Ok(None),
                event => return Ok(Some(event)),
            }
        }
    }

    /// The first document; an empty file is a null.
    fn document(&mut self) -> Result<Node, Syntax> {
        match self.next()? {
            Some(Event::DocumentStart(_)) => self.value(0),
            Some(_) | None => Ok(self.node(Data::Null)),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, Syntax> {
        match self.next()? {
            Some(event) => self.value_of(event, depth),
            None => Err(self.fault("a value is missing")),
        }
    }

    fn value_of(&mut self, event: Event<'a>, depth: usize) -> Result<Node, Syntax> {
        if depth > MAX_DEPTH {
            return Err(self.fault(TOO_DEEP));
        }
        let (node, anchor) = match event {
            Event::Alias(anchor) => (self.alias(anchor, depth)?, 0),
            Event::Scalar(text, style, anchor, tag) => {
                (self.node(scalar(text, style, tag.as_ref())), anchor)
            }
            Event::SequenceStart(anchor, _) => (self.list(depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.table(depth)?, anchor),
            _ => return Err(self.fault("a value is missing")),
        };
        self.count(1)?;
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Node, Syntax> {
        let mut node = self.node(Data::Null);
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Some(Event::SequenceEnd) => break,
                Some(event) => items.push(self.value_of(event, depth + 1)?),
                None => return Err(self.fault("a list has no end")),
            }
        }
        node.data = Data::List(items);
        Ok(node)
    }

    fn table(&mut self, depth: usize) -> Result<Node, Syntax> {
        let mut node = self.node(Data::Null);
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged = Vec::new();
        loop {
            let event = match self.next()? {
                Some(Event::MappingEnd) => break,
                Some(event) => event,
                None => return Err(self.fault("a table has no end")),
            };
            let line = self.line;
            let key = self.key(event)?;
            let value = Node { line: Some(line), ..self.value(depth + 1)? };
            if key == "<<" {
                merged.extend(self.merged(value)?);
            } else if entries.iter().any(|entry| entry.key == key) {
                let reason = format!("key `{key}` is given twice");
                return Err(Syntax { line: Some(line), reason });
            } else {
                entries.push(Entry { key, value });
            }
        }
        for entry in merged {
            if !entries.iter().any(|own| own.key == entry.key) {
                entries.push(entry);
            }
        }
        node.data = Data::Table(entries);
        Ok(node)
    }

    fn key(&self, event: Event<'a>) -> Result<String, Syntax> {
        match event {
            Event::Scalar(text, ..) => Ok(text.into_owned()),
            _ => Err(self.fault("a key must be a text")),
        }
    }

    /// The entries that `<<: *anchor`, or a list of such, brings in.
    fn merged(&self, value: Node) -> Result<Vec<Entry>, Syntax> {
        let tables = match value.data {
            Data::List(items) => items,
            data => vec![Node { line: value.line, data }],
        };
        let mut entries = Vec::new();
        for table in tables {
            match table.data {
                Data::Table(found) => entries.extend(found),
                _ => return Err(self.fault("`<<` must name a table")),
            }
        }
        Ok(entries)
    }

    /// What an alias stands for, with all it holds counted: aliases of aliases multiply.
    fn alias(&mut self, anchor: usize, depth: usize) -> Result<Node, Syntax> {
        // One within its own anchor stands for nothing yet.
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(self.fault("an alias means nothing"));
        };
        let (values, deep) = extent(node);
        if depth + deep > MAX_DEPTH {
            return Err(self.fault(TOO_DEEP));
        }
        let node = node.clone();
        self.count(values)?;
        Ok(node)
    }

    fn count(&mut self, values: usize) -> Result<(), Syntax> {
        self.values = self.values.saturating_add(values);
        match self.values > MAX_VALUES {
            true => Err(self.fault("its aliases stand for too many values")),
            false => Ok(()),
        }
    }

    fn node(&self, data: Data) -> Node {
        Node { line: Some(self.line), data }
    }

    fn fault(&self, reason: &str) -> Syntax {
        Syntax { line: Some(self.line), reason: reason.to_owned() }
    }
}

/// How many values `node` is, and how deep they stand in each other.
fn extent(node: &Node) -> (usize, usize) {
    let sum = |(values, deep): (usize, usize), inner: (usize, usize)| {
        (values.saturating_add(inner.0), deep.max(inner.1 + 1))
    };
    match &node.data {
        Data::List(items) => items.iter().map(extent).fold((1, 0), sum),
        Data::Table(entries) => entries.iter().map(|entry| extent(&entry.value)).fold((1, 0), sum),
        Data::Null | Data::Bool(_) | Data::Integer(_) | Data::Float(_) | Data::Text(_) => (1, 0),
    }
}

fn scalar<'a>(text: Cow<'a, str>, style: ScalarStyle, tag: Option<&Cow<'a, Tag>>) -> Data {
    let plain = text.clone();
    match Scalar::parse_from_cow_and_metadata(text, style, tag) {
        Some(Scalar::Null) => Data::Null,
        Some(Scalar::Boolean(value)) => Data::Bool(value),
        Some(Scalar::Integer(value)) => Data::Integer(value.into()),
        Some(Scalar::FloatingPoint(value)) => Data::Float(value.into_inner()),
        Some(Scalar::String(text)) => Data::Text(text.into_owned()),
        None => Data::Text(plain.into_owned()),
    }
}

fn syntax(error: &ScanError) -> Syntax {
    let line = u32::try_from(error.marker().line()).ok();
    Syntax { line, reason: error.info().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(node: &Node) -> Vec<(String, Option<u32>)> {
        match &node.data {
            Data::Table(entries) => {
                entries.iter().map(|entry| (entry.key.clone(), entry.value.line)).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    fn value<'a>(node: &'a Node, key: &str) -> &'a Data {
        let Data::Table(entries) = &node.data else { panic!("{node:?}") };
        &entries.iter().find(|entry| entry.key == key).unwrap().value.data
    }

    #[test]
    fn scalars_are_those_of_the_core_schema() {
        let text = "a: 1\nb: '1'\nc: true\nd: yes\ne: ~\nf: 1.5\ng: 0x10\nh: \"x\\ny\"\ni:\n";
        let root = parse(text).unwrap();
        let table = [
            ("a", Data::Integer(1)),
            ("b", Data::Text("1".into())),
            ("c", Data::Bool(true)),
            ("d", Data::Text("yes".into())),
            ("e", Data::Null),
            ("f", Data::Float(1.5)),
            ("g", Data::Integer(16)),
            ("h", Data::Text("x\ny".into())),
            ("i", Data::Null),
        ];
        for (key, want) in table {
            assert_eq!(value(&root, key), &want, "{key}");
        }
    }

    #[test]
    fn keys_have_lines_and_merge_keys_their_anchors() {
        let text = "base: &b\n  x: 1\n  y: 2\n\napp:\n  <<: *b\n  y: 3\nlist: [*b]\n";
        let root = parse(text).unwrap();
        let line = |key: &str, line| (key.to_owned(), Some(line));
        assert_eq!(keys(&root), [line("base", 1), line("app", 5), line("list", 8)]);
        let Data::Table(app) = value(&root, "app") else { panic!() };
        let app: Vec<_> = app.iter().map(|e| (e.key.as_str(), e.value.data.clone())).collect();
        assert_eq!(app, [("y", Data::Integer(3)), ("x", Data::Integer(1))]);
    }

    #[test]
    fn what_is_wrong_names_its_line() {
        let table = [
            ("a: 1\nb: [1\n", 3),
            ("a: 1\na: 2\n", 2),
            ("a: 1\n---\nb: 2\n", 2),
            ("a: *x\n", 1),
            ("? [a]\n: 1\n", 1),
        ];
        for (text, line) in table {
            let error = parse(text).unwrap_err();
            assert_eq!(error.line, Some(line), "{text:?} {error:?}");
        }
    }

    #[test]
    fn aliases_cannot_multiply_without_end() {
        let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for n in 1..40 {
            let list = vec![format!("*a{}", n - 1); 10].join(",");
            text.push_str(&format!("a{n}: &a{n} [{list}]\n"));
        }
        assert_eq!(parse(&text).unwrap_err().reason, "its aliases stand for too many values");
        assert!(parse(&"- ".repeat(10_000)).is_err());
        assert!(parse(&"[".repeat(10_000)).is_err());
    }

    #[test]
    fn an_empty_file_is_nothing() {
        assert_eq!(parse("# only this\n").map(|node| node.data), Ok(Data::Null));
    }
}
