//! [`Rpm`]: asking the daemon over `rpm.sock`, and its answers as PM2's clients know them.

use crate::{jlist, whole_list};
use rpm_protocol::{Acted, Client, ClientError, InstanceDetail, Request, RpcError, Targets};
use rpm_unix::home::Home;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// What a call is answered with: its results, or why not.
pub(crate) type Answer = Result<Vec<Value>, String>;

/// The daemon.
#[derive(Debug)]
pub(crate) struct Rpm {
    /// `rpm.sock`.
    pub(crate) socket: PathBuf,
}

impl Rpm {
    /// Asks, on a connection of its own: calls of one PM2 client do not wait for each other.
    pub(crate) async fn ask<T>(&self, request: Request) -> Result<T, String>
    where
        T: serde::de::DeserializeOwned,
    {
        let mut client = Client::connect(&self.socket).await.map_err(|error| error.to_string())?;
        client.call(request).await.map_err(text)
    }

    /// The instances that `words` mean, in id order; whole, as PM2 gives them and `jlist` does.
    pub(crate) async fn details(&self, words: Vec<String>) -> Result<Vec<InstanceDetail>, String> {
        let request = Request::Describe { targets: targets(words), secrets: true };
        let mut details: Vec<InstanceDetail> = self.ask(request).await?;
        details.sort_by_key(|detail| detail.view.id);
        Ok(details)
    }

    /// One instance.
    pub(crate) async fn detail(&self, id: u32) -> Result<InstanceDetail, String> {
        let found = self.details(vec![id.to_string()]).await?;
        let wanted = found.into_iter().find(|detail| detail.view.id == id);
        wanted.ok_or_else(|| unknown(id))
    }

    /// One instance as PM2's daemon gives it.
    pub(crate) async fn process(&self, id: u32) -> Result<Value, String> {
        Ok(process(&self.detail(id).await?))
    }

    /// All instances, as `jlist` has them.
    pub(crate) async fn list(&self) -> Answer {
        let details = self.details(Vec::new()).await?;
        let home = Home::new(self.socket.parent().unwrap_or(Path::new("/")));
        // It may execute a program and wait.
        let list = tokio::task::spawn_blocking(move || whole_list(&details, &home)).await;
        Ok(vec![list.map_err(|error| error.to_string())?])
    }
}

/// PM2's words for an id that is none.
pub(crate) fn unknown(id: u32) -> String {
    format!("{id} id unknown")
}

/// `words` as targets; none of them is a script path that could be relative.
pub(crate) fn targets(words: Vec<String>) -> Targets {
    Targets { words, cwd: "/".into() }
}

/// An item of `jlist` as PM2 answers it after an action, with Node's object beside it.
pub(crate) fn process(detail: &InstanceDetail) -> Value {
    let mut item = jlist::item(detail);
    let pid = item.get("pid").cloned().unwrap_or_default();
    if let Value::Object(item) = &mut item {
        item.insert("process".into(), json!({ "pid": pid }));
    }
    item
}

/// `pm2_env` of an item without `env`, as events carry it.
pub(crate) fn short(detail: &InstanceDetail) -> Map<String, Value> {
    let mut item = jlist::item(detail);
    match item.get_mut("pm2_env").map(Value::take) {
        Some(Value::Object(mut fields)) => {
            fields.remove("env");
            fields
        }
        Some(_) | None => Map::new(),
    }
}

/// The failure of an action that PM2 would call one too.
pub(crate) fn failed(acted: Acted) -> Result<(), String> {
    match acted.failure {
        Some(failure) => {
            let lines = failure.stderr.iter().map(|line| format!("\n  {line}"));
            Err(format!("{} {}", failure.app, failure.reason) + &lines.collect::<String>())
        }
        None => Ok(()),
    }
}

fn text(error: ClientError) -> String {
    match error {
        ClientError::Rpc(RpcError { message, hint: Some(hint), .. }) => {
            format!("{message}: {hint}")
        }
        error => error.to_string(),
    }
}
