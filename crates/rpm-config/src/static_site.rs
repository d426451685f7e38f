//! A site of the root key `static`, as the app that serves it: `script = "serve"` with the
//! variables that PM2's server, and ours, take.

use crate::{
    AppOptions, Fault, InvalidValue, suggest,
    tree::{Data, Entry},
    value,
};

/// What a site may say. `ftp` and `directory` are one switch under PM2 too.
const KEYS: [&str; 9] =
    ["path", "port", "host", "name", "spa", "ftp", "directory", "basic_auth", "monitor"];

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
        // A password that is not asked for, or a directory that is not listed, must not go unseen.
        known if KEYS.contains(&known) && value.data != Data::Bool(false) => {
            return Err(Fault::LaterKey { key: key.clone() });
        }
        known if KEYS.contains(&known) => return Ok(()),
        unknown => {
            let meant = suggest::nearest(unknown, KEYS).map(str::to_owned);
            return Err(Fault::UnknownKey { key: key.clone(), meant });
        }
    };
    app.env.insert(name.to_owned(), text);
    Ok(())
}
