//! JSON as Node's `util.inspect` lays out objects, without limits of depth: what `prettylist`
//! prints and scripts grep. The rules are those of Node's documentation: `compact` 3,
//! `breakLength` 80.

use serde_json::{Map, Value};

/// Lines longer than this are broken.
const BREAK_LENGTH: usize = 80;
/// So many inner levels may share a line.
const COMPACT: usize = 3;

/// The text of `value`, without a line end.
pub(crate) fn text(value: &Value) -> String {
    Printer::default().value(value, 0, 0)
}

/// Node's walk: it remembers how deep the last object was that it printed.
#[derive(Default)]
struct Printer {
    depth: usize,
}

impl Printer {
    fn value(&mut self, value: &Value, level: usize, indent: usize) -> String {
        match value {
            Value::String(text) => lines(text, indent),
            Value::Array(items) => self.array(items, level, indent),
            Value::Object(map) => self.object(map, level, indent),
            // Whole floats have no point in JavaScript.
            Value::Number(number) => number.to_string().trim_end_matches(".0").to_owned(),
            Value::Null | Value::Bool(_) => value.to_string(),
        }
    }

    fn array(&mut self, items: &[Value], level: usize, indent: usize) -> String {
        self.depth = level;
        let parts = items.iter().map(|item| self.value(item, level + 1, indent + 2)).collect();
        self.reduced(parts, ('[', ']'), level, indent)
    }

    fn object(&mut self, map: &Map<String, Value>, level: usize, indent: usize) -> String {
        self.depth = level;
        let mut parts = Vec::with_capacity(map.len());
        for (name, value) in map {
            parts.push(format!("{}: {}", key(name), self.value(value, level + 1, indent + 2)));
        }
        self.reduced(parts, ('{', '}'), level, indent)
    }

    /// One line where little is nested and it is short, else a line for each part.
    fn reduced(
        &self,
        parts: Vec<String>,
        (open, close): (char, char),
        level: usize,
        indent: usize,
    ) -> String {
        if parts.is_empty() {
            return format!("{open}{close}");
        }
        let length: usize = parts.iter().map(|part| part.chars().count()).sum();
        // As Node counts: a comma and a blank for each part, the brace, and ten to spare.
        let total = length + 2 * parts.len() + indent + 11;
        let one_line = self.depth.saturating_sub(level) < COMPACT
            && total <= BREAK_LENGTH
            && !parts.iter().any(|part| part.contains('\n'));
        if one_line {
            return format!("{open} {} {close}", parts.join(", "));
        }
        let gap = " ".repeat(indent);
        format!("{open}\n{gap}  {}\n{gap}{close}", parts.join(&format!(",\n{gap}  ")))
    }
}

/// Names that JavaScript takes as they are stand bare.
fn key(name: &str) -> String {
    let mut letters = name.chars();
    let starts = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    let goes_on = letters.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if starts && goes_on { name.to_owned() } else { quoted(name) }
}

/// Long texts of several lines are a sum of their lines.
fn lines(text: &str, indent: usize) -> String {
    let long = text.chars().count() > (BREAK_LENGTH - 4).saturating_sub(indent).max(16);
    if !long || !text.contains('\n') {
        return quoted(text);
    }
    let parts: Vec<String> = text.split_inclusive('\n').map(quoted).collect();
    parts.join(&format!(" +\n{}", " ".repeat(indent)))
}

/// In the first of ', " and ` that the text does not have.
fn quoted(text: &str) -> String {
    let quote = ['\'', '"', '`'].into_iter().find(|quote| !text.contains(*quote)).unwrap_or('\'');
    let mut quoted = String::from(quote);
    for letter in text.chars() {
        match letter {
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            '\\' => quoted.push_str("\\\\"),
            letter if letter == quote => quoted.extend(['\\', quote]),
            letter if letter.is_control() => {
                quoted.push_str(&format!("\\x{:02X}", u32::from(letter)));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push(quote);
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What Node 20 prints for the same values with `depth: null`.
    #[test]
    fn as_node_prints_it() {
        let table = [
            (json!([]), "[]"),
            (json!({ "a": {}, "b": [1, 2.5, 3.0] }), "{ a: {}, b: [ 1, 2.5, 3 ] }"),
            (json!({ "a-b": "it's", "c": "x\ny" }), "{ 'a-b': \"it's\", c: 'x\\ny' }"),
            (json!([{ "watch": true, "n": null }]), "[ { n: null, watch: true } ]"),
        ];
        for (value, want) in table {
            assert_eq!(text(&value), want);
        }
        let long = json!({ "name": "x".repeat(40), "path": "y".repeat(40) });
        let want = format!("{{\n  name: '{}',\n  path: '{}'\n}}", "x".repeat(40), "y".repeat(40));
        assert_eq!(text(&long), want);
        let deep = json!({ "a": { "b": { "c": { "d": 1 } } } });
        assert_eq!(text(&deep), "{\n  a: { b: { c: { d: 1 } } }\n}");
    }
}
