//! The settings in `module_conf.json`: texts under names of one or more levels, as PM2 keeps them.

use crate::error::CliError;
use rpm_unix::home::Home;
use serde::Serialize;
use serde_json::{Map, Value};
use std::{fs, io};

/// A larger file is none that was written by `set`.
const MAX_BYTES: u64 = 1 << 20;
/// How deep names go.
const MAX_LEVELS: usize = 16;

/// All settings of a home.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Settings(Map<String, Value>);

impl Settings {
    /// Those of `home`; none where there is no file.
    pub(crate) fn read(home: &Home) -> Result<Self, CliError> {
        let path = home.module_conf();
        let what = path.display().to_string();
        let length = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(CliError::io(&what, &error)),
            Ok(meta) => meta.len(),
        };
        let hint = "repair it, or move it away";
        if length > MAX_BYTES {
            return Err(CliError::failed(format!("{what} is larger than 1 MiB"), hint));
        }
        let text = fs::read(&path).map_err(|error| CliError::io(&what, &error))?;
        let map = serde_json::from_slice(&text);
        map.map(Self).map_err(|error| CliError::failed(format!("{what}: {error}"), hint))
    }

    /// Writes them as PM2 does, four blanks a level.
    pub(crate) fn write(&self, home: &Home) -> Result<(), CliError> {
        home.create().map_err(CliError::Home)?;
        let path = home.module_conf();
        let failed = |error: io::Error| CliError::io(&path.display().to_string(), &error);
        let mut bytes = Vec::new();
        let form = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        let mut writer = serde_json::Serializer::with_formatter(&mut bytes, form);
        self.0.serialize(&mut writer).map_err(|error| failed(error.into()))?;
        rpm_unix::atomic::write(&path, &bytes).map_err(failed)
    }

    /// The value of a name.
    pub(crate) fn get(&self, name: &str) -> Result<Option<&Value>, CliError> {
        let levels = levels(name)?;
        let (first, rest) = levels.split_first().unwrap_or((&"", &[]));
        Ok(rest.iter().fold(self.0.get(*first), |value, level| value?.get(level)))
    }

    /// Gives a name a value; what was below that name or in its way is gone.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), CliError> {
        let levels = levels(name)?;
        let Some((last, groups)) = levels.split_last() else { return Ok(()) };
        let mut map = &mut self.0;
        for group in groups {
            let entry = map.entry((*group).to_owned()).or_insert_with(|| Map::new().into());
            if !entry.is_object() {
                *entry = Map::new().into();
            }
            let Value::Object(inner) = entry else { return Ok(()) };
            map = inner;
        }
        map.insert((*last).to_owned(), value.into());
        Ok(())
    }

    /// Forgets a name; whether it was there.
    pub(crate) fn unset(&mut self, name: &str) -> Result<bool, CliError> {
        let levels = levels(name)?;
        let Some((last, groups)) = levels.split_last() else { return Ok(false) };
        let mut map = &mut self.0;
        for group in groups {
            let Some(Value::Object(inner)) = map.get_mut(*group) else { return Ok(false) };
            map = inner;
        }
        Ok(map.remove(*last).is_some())
    }

    /// Every name with its value, levels parted by `:` as PM2 shows them.
    pub(crate) fn all(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        collect("", &self.0, &mut all);
        all
    }
}

fn collect(prefix: &str, map: &Map<String, Value>, all: &mut Vec<(String, String)>) {
    for (name, value) in map {
        let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}:{name}") };
        match value {
            Value::Object(inner) => collect(&name, inner, all),
            value => all.push((name, text(value))),
        }
    }
}

/// A value as it was typed.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// PM2's rule: dots part levels if there is one, else colons do. The names of a JavaScript object's
/// own parts are refused, since PM2 reads the same file.
fn levels(name: &str) -> Result<Vec<&str>, CliError> {
    let levels: Vec<&str> = name.split(if name.contains('.') { '.' } else { ':' }).collect();
    let bad = |level: &&str| ["", "__proto__", "constructor", "prototype"].contains(level);
    if levels.len() > MAX_LEVELS || levels.iter().any(bad) {
        let message = format!("{name:?} is no name of a setting");
        return Err(CliError::failed(message, "rpm set app:key value"));
    }
    Ok(levels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_have_levels() {
        let mut settings = Settings::default();
        settings.set("a", "1").unwrap();
        settings.set("app:key", "2").unwrap();
        settings.set("app.other", "x y").unwrap();
        let want = json!({ "a": "1", "app": { "key": "2", "other": "x y" } });
        assert_eq!(Value::Object(settings.0.clone()), want);
        assert_eq!(settings.get("app.key").unwrap(), Some(&json!("2")));
        assert_eq!(settings.get("app:nothing").unwrap(), None);
        let all = [("a", "1"), ("app:key", "2"), ("app:other", "x y")];
        assert_eq!(settings.all(), all.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert!(settings.unset("app.key").unwrap() && !settings.unset("app.key").unwrap());
        settings.set("a:b", "3").unwrap();
        assert_eq!(settings.get("a.b").unwrap(), Some(&json!("3")));
    }

    #[test]
    fn names_that_are_none() {
        let mut settings = Settings::default();
        for name in ["", "a..b", "__proto__:x", "a.constructor", ":a"] {
            assert!(settings.set(name, "1").is_err(), "{name}");
        }
    }
}
