//! What an app offers over its channel, in PM2's `axm:` messages: actions, figures of its own, and
//! settings. Kept for `show`, `jlist` and `trigger`, within bounds: an app may send anything.

use rpm_protocol::Offers;
use serde_json::Value;

/// How many actions, and how many figures, are kept of a worker.
const MAX_OFFERS: usize = 64;
/// The longest of them, as JSON.
const MAX_OFFER_BYTES: usize = 1024;
/// The longest name of one.
const MAX_NAME_BYTES: usize = 128;
/// How many settings are kept.
const MAX_OPTIONS: usize = 64;

/// What a message says of an app's offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    /// It is another kind of message.
    Other,
    /// It is kept, or was too much; what is offered is as before, but for its figures.
    Figures,
    /// There is an action or a setting more.
    Changed,
}

/// Takes a message of an app into what it offers.
pub(crate) fn note(offers: &mut Offers, message: &Value) -> Noted {
    let (Some(kind), Some(data)) =
        (message.get("type").and_then(Value::as_str), message.get("data"))
    else {
        return Noted::Other;
    };
    match kind {
        "axm:action" => action(offers, data),
        "axm:monitor" => monitor(offers, data),
        "axm:option:configuration" => options(offers, data),
        _ => return Noted::Other,
    }
    if kind == "axm:monitor" { Noted::Figures } else { Noted::Changed }
}

/// Whether an action of this name is offered.
pub(crate) fn has_action(offers: &Offers, name: &str) -> bool {
    action_names(offers).any(|found| found == name)
}

/// The names of all actions.
pub(crate) fn action_names(offers: &Offers) -> impl Iterator<Item = &str> {
    offers.actions.iter().filter_map(|action| action.get("action_name")?.as_str())
}

fn action(offers: &mut Offers, data: &Value) {
    let Some(name) = data.get("action_name").and_then(Value::as_str) else { return };
    if is_small(name, data) && offers.actions.len() < MAX_OFFERS && !has_action(offers, name) {
        offers.actions.push(data.clone());
    }
}

fn monitor(offers: &mut Offers, data: &Value) {
    let Some(figures) = data.as_object() else { return };
    for (name, figure) in figures {
        let has_room = offers.monitor.len() < MAX_OFFERS || offers.monitor.contains_key(name);
        if has_room && is_small(name, figure) {
            offers.monitor.insert(name.clone(), figure.clone());
        }
    }
}

/// Its `name` would rename the app under PM2; here an app's name is its user's choice.
fn options(offers: &mut Offers, data: &Value) {
    let Some(options) = data.as_object() else { return };
    for (name, option) in options.iter().filter(|(name, _)| *name != "name") {
        let has_room = offers.options.len() < MAX_OPTIONS || offers.options.contains_key(name);
        if has_room && is_small(name, option) {
            offers.options.insert(name.clone(), option.clone());
        }
    }
}

fn is_small(name: &str, value: &Value) -> bool {
    name.len() <= MAX_NAME_BYTES && value.to_string().len() <= MAX_OFFER_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn actions_figures_and_settings_are_kept_once_each() {
        let mut offers = Offers::default();
        let clear = json!({ "action_name": "clear", "arity": 0 });
        let action = json!({ "type": "axm:action", "data": clear });
        assert_eq!(note(&mut offers, &action), Noted::Changed);
        assert_eq!(note(&mut offers, &action), Noted::Changed);
        for value in [1, 2] {
            let monitor = json!({ "type": "axm:monitor", "data": { "users": { "value": value } } });
            assert_eq!(note(&mut offers, &monitor), Noted::Figures);
        }
        let options = json!({ "type": "axm:option:configuration",
                              "data": { "name": "other", "http": true } });
        note(&mut offers, &options);
        assert_eq!(offers.actions, [clear]);
        assert!(has_action(&offers, "clear") && !has_action(&offers, "other"));
        assert_eq!(offers.monitor.get("users"), Some(&json!({ "value": 2 })));
        assert_eq!(Value::Object(offers.options), json!({ "http": true }));
    }

    #[test]
    fn no_app_can_offer_without_bound() {
        let mut offers = Offers::default();
        for number in 0..2 * MAX_OFFERS {
            let name = number.to_string();
            let data = json!({ "action_name": name });
            note(&mut offers, &json!({ "type": "axm:action", "data": data }));
            note(&mut offers, &json!({ "type": "axm:monitor", "data": { name: 1 } }));
        }
        assert_eq!((offers.actions.len(), offers.monitor.len()), (MAX_OFFERS, MAX_OFFERS));
        let mut offers = Offers::default();
        let long = "x".repeat(MAX_OFFER_BYTES);
        for data in [json!({ "action_name": "a", "opts": long }), json!({}), json!(1), json!(null)]
        {
            note(&mut offers, &json!({ "type": "axm:action", "data": data }));
            note(&mut offers, &json!({ "type": "axm:monitor", "data": { "a": long } }));
        }
        assert_eq!(offers, Offers::default());
    }

    #[test]
    fn other_messages_are_none_of_it() {
        let mut offers = Offers::default();
        for message in [json!("ready"), json!({ "type": "greeting", "data": 1 }), json!(null)] {
            assert_eq!(note(&mut offers, &message), Noted::Other, "{message}");
        }
    }
}
