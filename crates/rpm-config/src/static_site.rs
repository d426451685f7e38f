//! A site of the root key `static`, as the app that serves it: `script = "serve"` with the
//! variables that PM2's server, and ours, take.

use crate::{
    AppOptions, Fault, InvalidValue, suggest,
    tree::{Data, Entry, Node},
    value,
};

/// What a site may say.
const KEYS: [&str; 9] =
    ["path", "port", "host", "name", "spa", "ftp", "directory", "basic_auth", "monitor"];

/// Why `monitor` means nothing.
const MONITOR: &str = "it is for PM2's paid service";

/// PM2's port of a site that names none.
const DEFAULT_PORT: u16 = 8080;

/// What `entries` ask for, and what is wrong with them, with its line.
pub(crate) fn read(entries: &[Entry]) -> (AppOptions, Vec<(Option<u32>, Fault)>) {
    let mut app = AppOptions { script: Some("serve".into()), ..AppOptions::default() };
    let mut faults = Vec::new();
    for entry in entries.iter().filter(|entry| entry.value.data != Data::Null) {
        if let Err(fault) = key(entry, &mut app) {
            faults.push((entry.value.line, fault));
        }
    }
    let port = app.env.get("PM2_SERVE_PORT").cloned();
    let port = port.unwrap_or_else(|| DEFAULT_PORT.to_string());
    app.name.get_or_insert_with(|| format!("static-page-server-{port}"));
    (app, faults)
}

fn key(entry: &Entry, app: &mut AppOptions) -> Result<(), Fault> {
    let Entry { key, value } = entry;
    let error = |error: InvalidValue| Fault::Value { key: key.clone(), error };
    let (name, text) = match key.as_str() {
        "name" => {
            app.name = Some(value::text(value).map_err(error)?);
            return Ok(());
        }
        "path" => ("PM2_SERVE_PATH", value::text(value).map_err(error)?),
        "host" => ("PM2_SERVE_HOST", value::text(value).map_err(error)?),
        "port" => {
            let port: u16 = value::number(value, "a port from 0 to 65535").map_err(error)?;
            ("PM2_SERVE_PORT", port.to_string())
        }
        "spa" => ("PM2_SERVE_SPA", value::truth(value).map_err(error)?.to_string()),
        // Under PM2, too, both say the same.
        "ftp" | "directory" => ("PM2_SERVE_FTP", value::truth(value).map_err(error)?.to_string()),
        "basic_auth" => {
            let variables = credentials(value).map_err(error)?;
            app.env.extend(variables);
            return Ok(());
        }
        // What is switched off asks for nothing.
        "monitor" if value.data == Data::Bool(false) => return Ok(()),
        "monitor" => return Err(Fault::IgnoredKey { key: key.clone(), why: MONITOR }),
        unknown => {
            let meant = suggest::nearest(unknown, KEYS).map(str::to_owned);
            return Err(Fault::UnknownKey { key: key.clone(), meant });
        }
    };
    app.env.insert(name.to_owned(), text);
    Ok(())
}

/// The variables of name and password; `false` asks for none.
fn credentials(node: &Node) -> Result<Vec<(String, String)>, InvalidValue> {
    let wrong = || InvalidValue::new(CREDENTIALS, node.data.describe());
    let entries = match &node.data {
        Data::Table(entries) => entries,
        Data::Bool(false) => return Ok(Vec::new()),
        _ => return Err(wrong()),
    };
    let text = |key: &str| {
        let entry = entries.iter().find(|entry| entry.key == key);
        entry.and_then(|entry| value::text(&entry.value).ok()).filter(|text| !text.is_empty())
    };
    let known = |entry: &Entry| matches!(entry.key.as_str(), "username" | "password");
    let (Some(username), Some(password)) = (text("username"), text("password")) else {
        return Err(wrong());
    };
    if !entries.iter().all(known) || username.contains(':') {
        return Err(wrong());
    }
    let variable = |name: &str, value: String| (format!("PM2_SERVE_BASIC_AUTH{name}"), value);
    Ok(vec![
        variable("", "true".to_owned()),
        variable("_USERNAME", username),
        variable("_PASSWORD", password),
    ])
}

/// What name and password must be: the name ends at its first colon (RFC 7617).
const CREDENTIALS: &str =
    "a table { username = \"…\", password = \"…\" }, the name without a colon";
