//! `events`: what happens, as it happens.

use crate::{
    cli::Events,
    error::CliError,
    render::units,
    session::{Session, targets},
};
use rpm_protocol::EventView;
use serde_json::Value;

/// Prints events until the reader or the daemon goes away.
pub(crate) async fn run(session: &Session, options: Events) -> Result<(), CliError> {
    let client = session.daemon().await?;
    let mut events = client.events(options.since, targets(options.targets)).await?;
    while let Some(event) = events.next().await? {
        let text = if options.json { json(&event) } else { line(&event) };
        session.print(&(text + "\n"))?;
    }
    Err(CliError::failed("the daemon went away", "run the command again to go on"))
}

fn json(event: &EventView) -> String {
    // Its parts are strings, numbers and JSON: nothing of it can fail.
    serde_json::to_string(event).unwrap_or_default()
}

fn line(event: &EventView) -> String {
    let EventView { at, app, instance, event, .. } = event;
    format!("{} {app} {instance} {}", units::timestamp(*at), what(event))
}

/// A word, or a word with its data.
fn what(event: &Value) -> String {
    match event {
        Value::String(word) => word.clone(),
        Value::Object(object) => {
            let words = object.iter().map(|(word, data)| format!("{word} {data}"));
            words.collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpm_config::AppName;
    use serde_json::json;

    #[test]
    fn a_line_has_time_instance_and_what_happened() {
        let event = |event| EventView {
            cursor: 1,
            at: 0,
            app: AppName::new("api").unwrap(),
            instance: 3,
            event,
        };
        let table = [
            (json!("online"), "1970-01-01T00:00:00.000Z api 3 online"),
            (
                json!({ "waiting": { "delay_ms": 100 } }),
                "1970-01-01T00:00:00.000Z api 3 waiting {\"delay_ms\":100}",
            ),
        ];
        for (data, want) in table {
            assert_eq!(line(&event(data)), want);
        }
    }
}
