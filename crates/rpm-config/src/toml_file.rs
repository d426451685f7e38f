//! TOML text to a [`Node`] tree, with the line of each key.

use crate::{
    format::Syntax,
    lines::Lines,
    tree::{Data, Entry, Node},
};
use toml::de::{DeInteger, DeTable, DeValue, Error};

/// Reads `text`. The parser bounds nesting to 80 levels, so the walk below is bounded too.
pub(crate) fn parse(text: &str) -> Result<Node, Syntax> {
    let lines = Lines::of(text);
    let root = DeTable::parse(text).map_err(|error| syntax(&error, &lines))?;
    let data = table(root.get_ref(), &lines)?;
    Ok(Node { line: Some(1), data })
}

fn syntax(error: &Error, lines: &Lines) -> Syntax {
    let line = error.span().map(|span| lines.number(span.start));
    let reason = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    Syntax { line, reason }
}

/// The table's entries in the order of the file: the parser keeps them in the order of their keys.
fn table(table: &DeTable<'_>, lines: &Lines) -> Result<Data, Syntax> {
    let mut entries = Vec::with_capacity(table.len());
    for (key, value) in table {
        let line = Some(lines.number(key.span().start));
        let data = data(value.get_ref(), lines).map_err(|s| Syntax { line, ..s })?;
        let value = Node { line, data };
        entries.push((key.span().start, Entry { key: key.get_ref().to_string(), value }));
    }
    entries.sort_by_key(|(start, _)| *start);
    Ok(Data::Table(entries.into_iter().map(|(_, entry)| entry).collect()))
}

fn data(value: &DeValue<'_>, lines: &Lines) -> Result<Data, Syntax> {
    match value {
        DeValue::String(text) => Ok(Data::Text(text.to_string())),
        DeValue::Integer(number) => integer(number),
        DeValue::Float(number) => float(number.as_str()),
        DeValue::Boolean(value) => Ok(Data::Bool(*value)),
        DeValue::Datetime(date) => Ok(Data::Text(date.to_string())),
        DeValue::Table(entries) => table(entries, lines),
        DeValue::Array(items) => items
            .iter()
            .map(|item| {
                let line = Some(lines.number(item.span().start));
                Ok(Node { line, data: data(item.get_ref(), lines)? })
            })
            .collect::<Result<_, _>>()
            .map(Data::List),
    }
}

fn integer(number: &DeInteger<'_>) -> Result<Data, Syntax> {
    let digits = number.as_str();
    match i128::from_str_radix(digits, number.radix()) {
        Ok(value) => Ok(Data::Integer(value)),
        Err(_) => Err(Syntax { line: None, reason: format!("number {digits} is out of range") }),
    }
}

fn float(digits: &str) -> Result<Data, Syntax> {
    match digits.parse() {
        Ok(value) => Ok(Data::Float(value)),
        Err(_) => Err(Syntax { line: None, reason: format!("{digits} is no number") }),
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
        let text = "[[apps]]\nname = \"api\"\nport = 0x10\n\nratio = 1.5\non = true\n\
                    day = 1979-05-27\nlist = [\n  1,\n  -2]\n\n[apps.env]\nB = ''\nA = 1_000\n";
        let list = vec![node(9, Data::Integer(1)), node(10, Data::Integer(-2))];
        let env =
            vec![entry("B", 13, Data::Text(String::new())), entry("A", 14, Data::Integer(1000))];
        let app = vec![
            entry("name", 2, Data::Text("api".into())),
            entry("port", 3, Data::Integer(16)),
            entry("ratio", 5, Data::Float(1.5)),
            entry("on", 6, Data::Bool(true)),
            entry("day", 7, Data::Text("1979-05-27".into())),
            entry("list", 8, Data::List(list)),
            entry("env", 12, Data::Table(env)),
        ];
        let apps = entry("apps", 1, Data::List(vec![node(1, Data::Table(app))]));
        assert_eq!(parse(text), Ok(node(1, Data::Table(vec![apps]))));
    }

    #[test]
    fn syntax_errors_name_their_line() {
        let table = [
            ("a = 1\nb = \n", 2, "string values must be quoted, expected literal string"),
            ("a = 1\n\na = 2\n", 3, "duplicate key"),
            (
                "a = 999999999999999999999999999999999999999999\n",
                1,
                "number \
              999999999999999999999999999999999999999999 is out of range",
            ),
        ];
        for (text, line, reason) in table {
            let want = Syntax { line: Some(line), reason: reason.into() };
            assert_eq!(parse(text), Err(want), "{text:?}");
        }
    }
}
