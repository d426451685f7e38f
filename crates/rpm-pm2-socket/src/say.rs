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

/// `msgProcess`: an action that an app has offered; its reply comes over the bus.
pub(crate) async fn action(rpm: &Rpm, command: &Value) -> Answer {
    let Some(action) = command.get("msg").and_then(Value::as_str) else {
        return Err("msg is missing".into());
    };
    let word = match (command.get("id"), command.get("name")) {
        (Some(id), _) if !id.is_null() => id_of(id)?.to_string(),
        (_, Some(Value::String(name))) => name.clone(),
        _ => return Err("method requires name or id field".into()),
    };
    let offers = |detail: &InstanceDetail| {
        let mut actions = detail.offers.actions.iter();
        actions.any(|offered| offered.get("action_name").is_some_and(|name| name == action))
    };
    // The bare name, or all of it where there is a parameter.
    let has = |key: &str| command.get(key).is_some_and(|value| !value.is_null());
    let text =
        if has("opts") || has("uuid") { command.to_string() } else { json!(action).to_string() };
    let mut sent = 0;
    for detail in rpm.details(vec![word]).await?.iter().filter(|detail| offers(detail)) {
        tell(rpm, detail.view.id, text.clone(), Way::Message).await?;
        sent += 1;
    }
    if sent == 0 && has("id") {
        return Err(format!("Action doesn't exist {action}"));
    }
    Ok(vec![json!({ "process_count": sent, "success": true })])
}

async fn tell(rpm: &Rpm, id: u32, text: String, way: Way) -> Result<(), String> {
    let request = Request::Send { targets: targets(vec![id.to_string()]), text, way };
    let told: Vec<Told> = rpm.ask(request).await?;
    let told = told.into_iter().find(|told| told.id == id).ok_or_else(|| unknown(id))?;
    told.failure.map_or(Ok(()), |failure| Err(format!("{} {id}: {failure}", told.name)))
}
