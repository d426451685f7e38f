//! Values of a tree to the types of `AppOptions`. Each reader says what it expected; texts are
//! accepted for numbers and truths, as PM2 does and as the command line needs.

use crate::{
    Balance, Instances, InvalidValue, Listen, listen as address, signal,
    spec::{ExecMode, FilterEnv, Ready},
    tree::{Data, Entry, Node},
    units,
    watch::WatchPaths,
};
use std::{collections::BTreeMap, time::Duration};

type Read<T> = Result<T, InvalidValue>;

fn expected<T>(what: &str, node: &Node) -> Read<T> {
    Err(InvalidValue::new(what, node.data.describe()))
}

/// A text, as it is.
pub(crate) fn text(node: &Node) -> Read<String> {
    match &node.data {
        Data::Text(text) => Ok(text.clone()),
        _ => expected("a text", node),
    }
}

/// `true`, `false`, or one of those words.
pub(crate) fn truth(node: &Node) -> Read<bool> {
    match &node.data {
        Data::Bool(value) => Ok(*value),
        Data::Text(text) if text == "true" => Ok(true),
        Data::Text(text) if text == "false" => Ok(false),
        _ => expected("true or false", node),
    }
}

/// A whole number of any type that holds it; `what` names the range.
pub(crate) fn number<T: TryFrom<i128>>(node: &Node, what: &str) -> Read<T> {
    let number = match &node.data {
        Data::Integer(number) => Some(*number),
        Data::Text(text) => text.trim().parse().ok(),
        _ => None,
    };
    match number.map(T::try_from) {
        Some(Ok(number)) => Ok(number),
        _ => expected(what, node),
    }
}

/// A whole number from 1.
pub(crate) fn positive(node: &Node) -> Read<u32> {
    let what = "a whole number from 1";
    match number(node, what)? {
        0 => expected(what, node),
        number => Ok(number),
    }
}

/// Strings, or one string split at blanks with a shell's quotes.
pub(crate) fn words(node: &Node) -> Read<Vec<String>> {
    let what = "a list of texts, or one text with balanced quotes";
    match &node.data {
        Data::List(items) => items.iter().map(|item| scalar(item, what)).collect(),
        Data::Text(text) => match shlex::split(text) {
            Some(words) => Ok(words),
            None => expected(what, node),
        },
        Data::Integer(_) => Ok(vec![scalar(node, what)?]),
        _ => expected(what, node),
    }
}

/// A text, number or truth as text.
fn scalar(node: &Node, what: &str) -> Read<String> {
    match &node.data {
        Data::Text(text) => Ok(text.clone()),
        Data::Integer(number) => Ok(number.to_string()),
        Data::Float(number) => Ok(number.to_string()),
        Data::Bool(value) => Ok(value.to_string()),
        Data::Null | Data::List(_) | Data::Table(_) => expected(what, node),
    }
}

/// A table of variables. Lists and tables become JSON text as under PM2; a `null` is left out.
pub(crate) fn variables(node: &Node) -> Read<BTreeMap<String, String>> {
    let Data::Table(entries) = &node.data else {
        return expected("a table of variables", node);
    };
    let given = entries.iter().filter(|entry| entry.value.data != Data::Null);
    Ok(given.map(|Entry { key, value }| (key.clone(), variable(value))).collect())
}

fn variable(node: &Node) -> String {
    scalar(node, "").unwrap_or_else(|_| json(node).to_string())
}

fn json(node: &Node) -> serde_json::Value {
    match &node.data {
        Data::Null => serde_json::Value::Null,
        Data::Bool(value) => (*value).into(),
        Data::Integer(number) => json_integer(*number),
        Data::Float(number) => (*number).into(),
        Data::Text(text) => text.as_str().into(),
        Data::List(items) => items.iter().map(json).collect(),
        Data::Table(entries) => {
            entries.iter().map(|entry| (entry.key.clone(), json(&entry.value))).collect()
        }
    }
}

/// Beyond 64 bits JSON readers differ, so such a number travels as text.
fn json_integer(number: i128) -> serde_json::Value {
    match (i64::try_from(number), u64::try_from(number)) {
        (Ok(number), _) => number.into(),
        (_, Ok(number)) => number.into(),
        _ => number.to_string().into(),
    }
}

/// A number of instances or `max`.
pub(crate) fn instances(node: &Node) -> Read<Instances> {
    match &node.data {
        Data::Integer(number) => Instances::from_number(*number),
        Data::Text(text) => text.parse(),
        data => {
            "".parse().map_err(|e: InvalidValue| InvalidValue::new(e.expected, data.describe()))
        }
    }
}

/// Milliseconds or a duration.
pub(crate) fn duration(node: &Node) -> Read<Duration> {
    match &node.data {
        Data::Text(text) => units::duration(text),
        data => units::duration(&data.describe())
            .map_err(|e| InvalidValue::new(e.expected, data.describe())),
    }
}

/// A size in bytes.
pub(crate) fn size(node: &Node) -> Read<u64> {
    match &node.data {
        Data::Text(text) => units::size(text),
        data => units::size(&data.describe())
            .map_err(|e| InvalidValue::new(e.expected, data.describe())),
    }
}

/// A signal's name or number.
pub(crate) fn stop_signal(node: &Node) -> Read<i32> {
    match &node.data {
        Data::Integer(number) => signal::number_in_range(*number),
        Data::Text(text) => signal::signal(text),
        _ => expected("a signal such as \"SIGTERM\" or 15", node),
    }
}

/// Exit codes: a list, one number, or a text of numbers.
pub(crate) fn exit_codes(node: &Node) -> Read<Vec<i32>> {
    let one = |node: &Node| Ok(i32::from(number::<u8>(node, "exit codes from 0 to 255")?));
    match &node.data {
        Data::List(items) => items.iter().map(one).collect(),
        Data::Text(text) => {
            let parts = text.split([',', ' ']).filter(|part| !part.is_empty());
            let nodes = parts.map(|part| Node { line: None, data: Data::Text(part.to_owned()) });
            nodes.map(|node| one(&node)).collect()
        }
        _ => Ok(vec![one(node)?]),
    }
}

/// PM2's two modes, with or without its `_mode`.
pub(crate) fn exec_mode(node: &Node) -> Read<ExecMode> {
    match text(node).as_deref() {
        Ok("fork" | "fork_mode") => Ok(ExecMode::Fork),
        Ok("cluster" | "cluster_mode") => Ok(ExecMode::Cluster),
        _ => expected("\"fork\" or \"cluster\"", node),
    }
}

/// Addresses: a list, or one.
pub(crate) fn listen(node: &Node) -> Read<Vec<Listen>> {
    let what = "a list of addresses";
    let one = |node: &Node| Listen::parse(&scalar(node, what)?, address::has_ipv6());
    match &node.data {
        Data::List(items) => items.iter().map(one).collect(),
        Data::Text(_) | Data::Integer(_) => Ok(vec![one(node)?]),
        _ => expected(what, node),
    }
}

/// A way to share connections.
pub(crate) fn balance(node: &Node) -> Read<Balance> {
    let found = text(node).ok().and_then(|word| Balance::of_word(&word));
    let words = Balance::ALL.map(|balance| format!("{:?}", balance.word())).join(", ");
    found.map_or_else(|| expected(&format!("one of {words}"), node), Ok)
}

/// A readiness probe.
pub(crate) fn ready(node: &Node) -> Read<Ready> {
    match text(node).as_deref() {
        Ok("listening") => Ok(Ready::Listening),
        Ok("message") => Ok(Ready::Message),
        _ => expected("\"listening\" or \"message\"", node),
    }
}

/// `true`: all; a text: the variable of that name; a list: those with one of its texts in them.
pub(crate) fn filter_env(node: &Node) -> Read<FilterEnv> {
    match &node.data {
        Data::Bool(true) => Ok(FilterEnv::All),
        Data::Bool(false) => Ok(FilterEnv::Nothing),
        Data::Text(name) if name == "true" => Ok(FilterEnv::All),
        Data::Text(name) if name == "false" => Ok(FilterEnv::Nothing),
        Data::Text(name) => Ok(FilterEnv::Name(name.clone())),
        Data::List(_) => Ok(FilterEnv::Containing(texts(node)?)),
        _ => expected("true, a variable's name or a list of parts of names", node),
    }
}

/// A list of texts, or one; not split, as paths and patterns may have blanks.
pub(crate) fn texts(node: &Node) -> Read<Vec<String>> {
    let what = "a text or a list of texts";
    match &node.data {
        Data::List(items) => items.iter().map(|item| scalar(item, what)).collect(),
        _ => Ok(vec![scalar(node, what)?]),
    }
}

/// A user or group: a name or a number.
pub(crate) fn account(node: &Node) -> Read<String> {
    match &node.data {
        Data::Integer(_) | Data::Text(_) => scalar(node, ""),
        _ => expected("a name or a number", node),
    }
}

/// A pattern of cron; 0, as under PM2, or false is none.
pub(crate) fn cron(node: &Node) -> Read<String> {
    let text = match &node.data {
        Data::Integer(0) | Data::Bool(false) => return Ok(String::new()),
        Data::Text(text) if text == "0" => return Ok(String::new()),
        Data::Text(text) => text.trim(),
        _ => return expected("a cron pattern such as \"0 3 * * *\"", node),
    };
    match crate::cron::check(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(reason) => expected(&format!("a cron pattern such as \"0 3 * * *\" ({reason})"), node),
    }
}

/// Whether files are watched: a truth, a path or a list of paths.
pub(crate) fn watch(node: &Node) -> Read<WatchPaths> {
    match &node.data {
        Data::Bool(false) => Ok(WatchPaths::None),
        Data::Text(text) if text == "false" => Ok(WatchPaths::None),
        Data::Bool(true) => Ok(WatchPaths::Directory),
        Data::Text(text) if text == "true" => Ok(WatchPaths::Directory),
        Data::List(items) if items.is_empty() => Ok(WatchPaths::Directory),
        Data::List(_) | Data::Text(_) => Ok(WatchPaths::Paths(texts(node)?)),
        _ => expected("true, false, a path or a list of paths", node),
    }
}

/// Patterns of what is not watched: a list, or one text split at blanks as under PM2. A regular
/// expression of a JavaScript file has come as `{regex: …}`.
pub(crate) fn ignore_watch(node: &Node) -> Read<Vec<String>> {
    let Data::List(items) = &node.data else { return words(node) };
    let one = |item: &Node| match &item.data {
        Data::Table(entries) => match entries.iter().find(|entry| entry.key == "regex") {
            Some(entry) => Ok(format!("{}{}", crate::watch::REGEX, text(&entry.value)?)),
            None => expected("a text or a regular expression", item),
        },
        _ => scalar(item, "a list of texts"),
    };
    items.iter().map(one).collect()
}

/// Of chokidar's options the one that means something here.
pub(crate) fn follow_links(node: &Node) -> Read<bool> {
    let Data::Table(entries) = &node.data else {
        return expected("a table of chokidar's options", node);
    };
    match entries.iter().find(|entry| entry.key == "followSymlinks") {
        Some(entry) => truth(&entry.value),
        None => Ok(false),
    }
}
