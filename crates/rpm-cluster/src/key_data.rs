//! [`KeyData`]: what the first worker of an app said about a listener, given to every later one.
//! For https these are the TLS ticket keys, without which a worker crashes (traps A11).

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// One app's data, part of the daemon's kept state: its workers outlive a daemon, so must this.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KeyData {
    entries: BTreeMap<String, Value>,
}

impl KeyData {
    /// Listeners remembered per app. An app that opens more gets its own data back for the rest.
    pub const MAX_ENTRIES: usize = 256;
    /// Size of one entry as JSON; ticket keys are 48 bytes, some 200 as JSON.
    pub const MAX_ENTRY_BYTES: usize = 4 << 10;

    /// The data every worker of the app gets for `key`: the first that is not null, `own` for now.
    pub fn settle(&mut self, key: &str, own: &Value) -> Value {
        if let Some(first) = self.entries.get(key) {
            return first.clone();
        }
        if self.has_room_for(own) {
            self.entries.insert(key.to_owned(), own.clone());
        }
        own.clone()
    }

    fn has_room_for(&self, own: &Value) -> bool {
        !own.is_null()
            && self.entries.len() < Self::MAX_ENTRIES
            && own.to_string().len() <= Self::MAX_ENTRY_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_data_of_a_key_is_everyones() {
        let mut data = KeyData::default();
        assert_eq!(data.settle("a", &Value::Null), Value::Null);
        assert_eq!(data.settle("a", &json!("first")), json!("first"));
        assert_eq!(data.settle("a", &json!("second")), json!("first"));
        assert_eq!(data.settle("b", &json!("other")), json!("other"));
        let kept: KeyData = serde_json::from_str(&serde_json::to_string(&data).unwrap()).unwrap();
        assert_eq!(kept, data);
    }

    #[test]
    fn an_app_cannot_grow_it_without_bound() {
        let mut data = KeyData::default();
        let edge = Value::from("x".repeat(KeyData::MAX_ENTRY_BYTES - 2));
        let over = Value::from("x".repeat(KeyData::MAX_ENTRY_BYTES - 1));
        data.settle("over", &over);
        assert_eq!(data.entries.len(), 0);
        for i in 0..=KeyData::MAX_ENTRIES {
            assert_eq!(data.settle(&i.to_string(), &edge), edge);
        }
        assert_eq!(data.entries.len(), KeyData::MAX_ENTRIES);
        assert_eq!(data.settle("256", &json!(1)), json!(1));
    }
}
