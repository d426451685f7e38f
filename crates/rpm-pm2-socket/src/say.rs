//! What a PM2 client says to a process: data, lines, signals, actions.

use crate::act::id_of;
use crate::rpm::{Answer, Rpm, targets, unknown};
use rpm_protocol::{Acted, InstanceDetail, Request, Told, Way};
use serde_json::{Value, json};

/// `sendDataToProcessId`: the whole packet goes to `process.on('message')`.
pub(crate) async fn data(rpm: &Rpm, packet: &Value) -> Answer {
    let is_there = |key: &str| packet.get(key).is_some_and(|value| !value.is_null());
    if !(is_there("id") && is_there("data") && is_there("topic")) {
        return Err("ID, DATA or TOPIC field is missing".into());
    }
    let id = id_of(packet.get("id").unwrap_or(&Value::Null))?;
    tell(rpm, id, packet.to_string(), Way::Message).await?;
    Ok(vec![json!({ "success": true, "data": packet })])
}

/// `sendLineToStdin`: the line with its end.
pub(crate) async fn line(rpm: &Rpm, packet: &Value) -> Answer {
    let line = packet.get("line").and_then(Value::as_str).filter(|line| !line.is_empty());
    let (Some(id), Some(line)) = (packet.get("pm_id"), line) else {
        return Err("pm_id or line field missing".into());
    };
    let id = id_of(id)?;
    tell(rpm, id, line.to_owned(), Way::Line).await?;
    Ok(vec![json!({ "pm_id": id, "line": line })])
}

/// `sendSignalToProcessId`, `sendSignalToProcessName`.
pub(crate) async fn signal(rpm: &Rpm, options: &Value) -> Answer {
    let word = match (options.get("process_id"), options.get("process_name")) {
        (Some(id), _) => id_of(id)?.to_string(),
        (None, Some(Value::String(name))) => name.clone(),
        (None, _) => return Err("process_id or process_name is missing".into()),
    };
    let signal = match options.get("signal") {
        Some(Value::String(name)) => rpm_config::signal(name).ok(),
        Some(Value::Number(number)) => number.as_i64().and_then(|number| number.try_into().ok()),
        Some(_) | None => None,
    };
    let signal = signal.ok_or("Error when sending signal (signal unknown)")?;
    let _: Acted = rpm.ask(Request::Signal { targets: targets(vec![word]), signal }).await?;
    rpm.list().await
}

/// An action that processes are told once their caller knows how many they are: it counts replies
/// from then on, and misses those that are faster.
#[derive(Debug)]
pub(crate) struct Order {
    ids: Vec<u32>,
    text: String,
}

impl Order {
    /// Tells them. One that has gone meanwhile is not missed.
    pub(crate) async fn give(self, rpm: &Rpm) {
        for id in self.ids {
            if let Err(error) = tell(rpm, id, self.text.clone(), Way::Message).await {
                tracing::info!("an action was not triggered: {error}");
            }
        }
    }
}

/// `msgProcess`: an action that apps have offered; their replies come over the bus.
pub(crate) async fn action(rpm: &Rpm, command: &Value) -> Result<(Value, Order), String> {
    let Some(action) = command.get("msg").and_then(Value::as_str) else {
        return Err("msg is missing".into());
    };
    let has = |key: &str| command.get(key).is_some_and(|value| !value.is_null());
    let word = match (command.get("id"), command.get("name")) {
        (Some(id), _) if has("id") => id_of(id)?.to_string(),
        (_, Some(Value::String(name))) => name.clone(),
        _ => return Err("method requires name or id field".into()),
    };
    let offers = |detail: &InstanceDetail| {
        let mut actions = detail.offers.actions.iter();
        let offered = actions.any(|one| one.get("action_name").is_some_and(|name| name == action));
        offered && detail.view.pid.is_some()
    };
    let all = rpm.details(vec![word]).await?;
    let ids: Vec<u32> =
        all.iter().filter(|detail| offers(detail)).map(|detail| detail.view.id).collect();
    if ids.is_empty() && has("id") {
        return Err(format!("Action doesn't exist {action}"));
    }
    // The bare name, or all of it where there is a parameter.
    let is_whole = has("opts") || has("uuid");
    let text = if is_whole { command.to_string() } else { json!(action).to_string() };
    Ok((json!({ "process_count": ids.len(), "success": true }), Order { ids, text }))
}

async fn tell(rpm: &Rpm, id: u32, text: String, way: Way) -> Result<(), String> {
    let request = Request::Send { targets: targets(vec![id.to_string()]), text, way };
    let told: Vec<Told> = rpm.ask(request).await?;
    let told = told.into_iter().find(|told| told.id == id).ok_or_else(|| unknown(id))?;
    told.failure.map_or(Ok(()), |failure| Err(format!("{} {id}: {failure}", told.name)))
}
