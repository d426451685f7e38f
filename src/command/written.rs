//! `start --write`: what the command line says of an app, as a file that says the same.

use super::start_options::{self, given};
use crate::{
    cli::{AppFlags, Start},
    error::CliError,
    session::Session,
};
use serde_json::{Map, Value};
use std::{fs, path::Path};

/// Writes `NAME-pm2.json` into `directory`, as PM2 does: an app with PM2's keys.
pub(crate) fn write(
    session: &Session,
    (name, script): (&str, &str),
    options: &Start,
    directory: &Path,
) -> Result<(), CliError> {
    let app = Value::Object(app(name, script, &options.app, &options.app_args));
    let path = directory.join(format!("{}-pm2.json", name.replace('/', "-")));
    let written = fs::write(&path, format!("{app:#}\n"));
    written.map_err(|error| CliError::io(&path.display().to_string(), &error))?;
    session.tell(&format!("wrote {}", path.display()));
    Ok(())
}

fn app(name: &str, script: &str, flags: &AppFlags, args: &[String]) -> Map<String, Value> {
    let mut app = Map::new();
    app.insert("name".into(), name.into());
    app.insert("script".into(), script.into());
    for one in given(flags) {
        let value = match one.value {
            start_options::Value::Text(text) if text == "true" => Value::Bool(true),
            start_options::Value::Text(text) if text == "false" => Value::Bool(false),
            start_options::Value::Text(text) => Value::String(text),
            start_options::Value::List(texts) => texts.into(),
        };
        app.insert(one.key.to_owned(), value);
    }
    if !args.is_empty() {
        app.insert("args".into(), args.to_vec().into());
    }
    app
}
