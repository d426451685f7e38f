//! Values of the keys about logs.

use crate::{
    InvalidValue,
    log_rules::{MIN_ROTATE_SIZE, Rotate, WhenFull},
    tree::{Data, Entry, Node},
    units, value,
};

type Read<T> = Result<T, InvalidValue>;

fn expected<T>(what: &str, node: &Node) -> Read<T> {
    Err(InvalidValue::new(what, node.data.describe()))
}

/// `json`, or PM2's default `raw`.
pub(crate) fn log_type(node: &Node) -> Read<bool> {
    match value::text(node).as_deref() {
        Ok("json") => Ok(true),
        Ok("raw" | "") => Ok(false),
        _ => expected("\"json\" or \"raw\"", node),
    }
}

/// A path, or `true` for the default one; `false` and `NULL`: none.
pub(crate) fn log_file(node: &Node) -> Read<String> {
    match &node.data {
        Data::Bool(true) => Ok(String::new()),
        Data::Bool(false) => Ok("NULL".to_owned()),
        Data::Text(text) if text == "true" => Ok(String::new()),
        Data::Text(text) if text == "false" => Ok("NULL".to_owned()),
        _ => value::text(node),
    }
}

/// `drop` or `block`.
pub(crate) fn when_full(node: &Node) -> Read<WhenFull> {
    match value::text(node).as_deref() {
        Ok("drop") => Ok(WhenFull::Drop),
        Ok("block") => Ok(WhenFull::Block),
        _ => expected("\"drop\" or \"block\"", node),
    }
}

/// Permission bits in octal, as chmod(1) takes them.
pub(crate) fn mode(node: &Node) -> Read<u32> {
    let what = "permissions in octal, such as \"0640\", the owner's read and write among them";
    let bits = value::text(node).ok().and_then(|text| u32::from_str_radix(&text, 8).ok());
    match bits {
        Some(bits) if bits <= 0o777 && bits & 0o600 == 0o600 => Ok(bits),
        _ => expected(what, node),
    }
}

/// A group's name or number.
pub(crate) fn group(node: &Node) -> Read<String> {
    match &node.data {
        Data::Integer(number) if *number >= 0 => Ok(number.to_string()),
        Data::Text(text) if !text.is_empty() => Ok(text.clone()),
        _ => expected("a group's name or number", node),
    }
}

/// A list of texts, or one.
pub(crate) fn collectors(node: &Node) -> Read<Vec<String>> {
    match &node.data {
        Data::List(items) => items.iter().map(value::text).collect(),
        _ => Ok(vec![value::text(node)?]),
    }
}

/// `true`, `false`, or a table of what differs from the default.
pub(crate) fn rotate(node: &Node) -> Read<Option<Rotate>> {
    match &node.data {
        Data::Bool(true) => Ok(Some(Rotate::default())),
        Data::Bool(false) => Ok(None),
        Data::Text(text) if text == "true" => Ok(Some(Rotate::default())),
        Data::Text(text) if text == "false" => Ok(None),
        // As an option of the command line has it.
        Data::Text(text) if text.contains('=') => {
            let mut rotate = Rotate::default();
            text.split(',').try_for_each(|pair| put(&mut rotate, &option(pair)))?;
            Ok(Some(rotate))
        }
        Data::Table(entries) => {
            let mut rotate = Rotate::default();
            entries.iter().try_for_each(|entry| put(&mut rotate, entry))?;
            Ok(Some(rotate))
        }
        _ => expected("true, false or a table such as { max_size = \"10M\", keep = 10 }", node),
    }
}

/// `keep=5` as a file's `keep = "5"`; without a value it is no entry that [`put`] takes.
fn option(pair: &str) -> Entry {
    let (key, text) = pair.split_once('=').unwrap_or((pair, ""));
    let value = Node { line: None, data: Data::Text(text.trim().to_owned()) };
    Entry { key: key.trim().to_owned(), value }
}

fn put(rotate: &mut Rotate, Entry { key, value: node }: &Entry) -> Read<()> {
    let named = |error: InvalidValue| error.at(key);
    match key.as_str() {
        "max_size" | "maxSize" => rotate.max_size = limit(node).map_err(named)?,
        "max_total" | "maxTotal" => rotate.max_total = limit(node).map_err(named)?,
        "keep" | "retain" => {
            rotate.keep = value::number(node, "a whole number from 0").map_err(named)?;
        }
        "compress" => rotate.compress = value::truth(node).map_err(named)?,
        "interval" => rotate.interval = interval(node).map_err(named)?,
        _ => {
            let keys = "max_size, keep, compress, interval and max_total in rotate";
            return Err(InvalidValue::new(keys, format!("{key:?}")));
        }
    }
    Ok(())
}

/// A pattern or a word for one, which whoever knows patterns reads; or `false` for none.
fn interval(node: &Node) -> Read<Option<String>> {
    match &node.data {
        Data::Bool(false) | Data::Null => Ok(None),
        _ => value::text(node).map(Some),
    }
}

/// A size, or `false` for none.
fn limit(node: &Node) -> Read<Option<u64>> {
    let bytes = match &node.data {
        Data::Bool(false) | Data::Null => return Ok(None),
        Data::Text(text) => units::size(text)?,
        _ => value::size(node)?,
    };
    if bytes < MIN_ROTATE_SIZE {
        return expected("a size of at least 4K", node);
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use crate::{AppOptions, log_rules::Rotate};

    fn set(key: &str, text: &str) -> Result<AppOptions, String> {
        let mut options = AppOptions::default();
        options.set(key, text).map_err(|error| error.to_string()).map(|()| options)
    }

    #[test]
    fn what_is_wrong_in_a_rotation_is_named() {
        for (text, want) in [
            ("keep=some", "must be a table whose `keep` is a whole number from 0, but is \"some\""),
            (
                "max_size=1",
                "must be a table whose `max_size` is a size with a unit such as \"300M\" or \
                 \"1.5GiB\", but is \"1\"",
            ),
        ] {
            assert_eq!(set("rotate", text), Err(want.to_owned()));
        }
    }

    #[test]
    fn words_of_the_log_keys() {
        assert_eq!(set("log_type", "json").unwrap().log_json, Some(true));
        assert_eq!(set("logMode", "0640").unwrap().log_mode, Some(0o640));
        assert_eq!(set("rotate", "false").unwrap().rotate, Some(None));
        assert_eq!(set("rotate", "true").unwrap().rotate, Some(Some(Rotate::default())));
        assert_eq!(set("log", "true").unwrap().log_file.as_deref(), Some(""));
        for (key, text) in [
            ("log_type", "xml"),
            ("log_mode", "0040"),
            ("log_mode", "rw"),
            ("log_full", "panic"),
            ("rotate", "10M"),
        ] {
            assert!(set(key, text).is_err(), "{key} {text}");
        }
    }
}
