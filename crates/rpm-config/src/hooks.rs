//! `on`: whom to tell when something goes wrong with an app. Who tells them is decided elsewhere.

use crate::{
    InvalidValue,
    tree::{Data, Entry, Node},
    value,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

const ON: &str = "a table with `crash`, `errored`, `reload_failed` and `oom`, or some of them, \
                  each a URL or a command line";

/// What is told, and to whom: a URL that is posted to, or a command line for `sh -c`.
pub type Hooks = BTreeMap<Trouble, String>;

/// Something that goes wrong with an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// A worker ended, and nobody had asked it to.
    Crash,
    /// An instance stays down: it crashed too often, or cannot be executed.
    Errored,
    /// A replacement failed; the old worker goes on.
    ReloadFailed,
    /// An instance used too much memory: more than its limit, or the kernel killed it.
    Oom,
}

impl Trouble {
    /// The word for it in files, and in what is told.
    pub fn word(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Errored => "errored",
            Self::ReloadFailed => "reload_failed",
            Self::Oom => "oom",
        }
    }

    fn of_key(key: &str) -> Option<Self> {
        match key {
            "crash" => Some(Self::Crash),
            "errored" => Some(Self::Errored),
            "reload_failed" | "reloadFailed" => Some(Self::ReloadFailed),
            "oom" => Some(Self::Oom),
            _ => None,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Whether a hook is a URL that is posted to, and no command line.
pub fn is_webhook(hook: &str) -> bool {
    hook.starts_with("http://") || hook.starts_with("https://")
}

/// Reads the table; `false` tells nobody.
pub(crate) fn read(node: &Node) -> Result<Hooks, InvalidValue> {
    let entries = match &node.data {
        Data::Table(entries) => entries,
        Data::Bool(false) => return Ok(Hooks::new()),
        data => return Err(InvalidValue::new(ON, data.describe())),
    };
    let told = entries.iter().filter(|entry| entry.value.data != Data::Bool(false));
    told.map(one).collect()
}

fn one(Entry { key, value }: &Entry) -> Result<(Trouble, String), InvalidValue> {
    let unknown = || InvalidValue::new(ON, format!("a table with `{key}`"));
    let trouble = Trouble::of_key(key).ok_or_else(unknown)?;
    let wrong = || InvalidValue::new(ON, format!("{} for `{key}`", value.data.describe()));
    match value::text(value) {
        Ok(hook) if !hook.trim().is_empty() && !hook.contains(['\0', '\n']) => Ok((trouble, hook)),
        Ok(_) | Err(_) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(key: &str, data: Data) -> Result<Hooks, InvalidValue> {
        let entry = Entry { key: key.to_owned(), value: Node { line: None, data } };
        read(&Node { line: None, data: Data::Table(vec![entry]) })
    }

    #[test]
    fn each_trouble_has_a_hook() {
        let text = |text: &str| Data::Text(text.to_owned());
        let one = |trouble| Ok(Hooks::from([(trouble, "./tell".to_owned())]));
        assert_eq!(table("crash", text("./tell")), one(Trouble::Crash));
        assert_eq!(table("reloadFailed", text("./tell")), one(Trouble::ReloadFailed));
        assert_eq!(table("oom", Data::Bool(false)), Ok(Hooks::new()));
        let wrong = table("crashed", text("./tell")).unwrap_err();
        assert_eq!(wrong.to_string(), format!("must be {ON}, but is a table with `crashed`"));
        for data in [text(" "), text("a\0b"), Data::Integer(1)] {
            assert!(table("crash", data.clone()).is_err(), "{data:?}");
        }
        assert!(is_webhook("https://example.org/x") && !is_webhook("curl https://example.org"));
    }
}
