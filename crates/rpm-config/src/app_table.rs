//! One app's table in a file, to [`AppOptions`] and the lines its keys stand on.

use crate::{
    AppOptions, Fault,
    keys::{self, Key},
    tree::{Data, Entry},
};
use std::collections::BTreeMap;

/// What one table gave.
#[derive(Default)]
pub(crate) struct AppTable {
    pub(crate) options: AppOptions,
    /// Lines of keys, by their first names.
    pub(crate) lines: BTreeMap<&'static str, u32>,
    /// What is wrong, with its line.
    pub(crate) faults: Vec<(Option<u32>, Fault)>,
    /// The keys read so far: first name to the name as written.
    seen: BTreeMap<&'static str, String>,
}

impl AppTable {
    /// Reads all of `entries`, collecting what is wrong with each.
    pub(crate) fn read(entries: &[Entry]) -> Self {
        let mut table = Self::default();
        // A null is how JSON leaves a key out.
        for entry in entries.iter().filter(|entry| entry.value.data != Data::Null) {
            if let Err(fault) = table.entry(entry) {
                table.faults.push((entry.value.line, fault));
            }
        }
        table
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), Fault> {
        if let Some(key) = keys::find(&entry.key) {
            return self.key(key, entry);
        }
        if let Some(name) = keys::env_set(&entry.key) {
            return self.env_set(name, entry);
        }
        let key = entry.key.clone();
        if let Some(why) = keys::ignored(&key) {
            // What is switched off asks for nothing.
            let off = entry.value.data == Data::Bool(false);
            return if off { Ok(()) } else { Err(Fault::IgnoredKey { key, why }) };
        }
        Err(Fault::UnknownKey { meant: keys::meant(&key), key })
    }

    fn key(&mut self, key: &'static Key, entry: &Entry) -> Result<(), Fault> {
        if let Some(first) = self.seen.get(key.name) {
            return Err(Fault::KeyTwice { key: entry.key.clone(), first: first.clone() });
        }
        self.seen.insert(key.name, entry.key.clone());
        if let Some(line) = entry.value.line {
            self.lines.insert(key.name, line);
        }
        let read = (key.read)(&entry.value, &mut self.options);
        read.map_err(|error| Fault::Value { key: entry.key.clone(), error })
    }

    fn env_set(&mut self, name: &str, entry: &Entry) -> Result<(), Fault> {
        let variables = crate::value::variables(&entry.value);
        let error = |error| Fault::Value { key: entry.key.clone(), error };
        self.options.env_sets.insert(name.to_owned(), variables.map_err(error)?);
        Ok(())
    }
}
