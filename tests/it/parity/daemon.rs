//! [`Daemon`]: PM2's daemon asked over its socket, where its command line is not what is compared:
//! each run of that costs half a second of a processor.

use rpm_pm2_socket::{Pm2, Pm2Error};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::thread;

pub(super) struct Daemon {
    socket: PathBuf,
}

impl Daemon {
    /// The one whose `PM2_HOME` is `folder`.
    pub(super) fn of(folder: &Path) -> Self {
        Self { socket: folder.join("rpc.sock") }
    }

    /// What `pm2 jlist` prints; empty where no daemon runs.
    pub(super) fn list(&self) -> Value {
        self.ask("getMonitorData", json!({})).unwrap_or_else(|| json!([]))
    }

    /// Deletes all, at once.
    pub(super) fn delete_all(&self) {
        let list = self.list();
        let ids: Vec<&Value> = list.as_array().expect("a list").iter().collect();
        thread::scope(|scope| {
            for item in ids {
                scope.spawn(|| self.ask("deleteProcessId", item["pm_id"].clone()));
            }
        });
    }

    /// `None`: no daemon runs.
    fn ask(&self, method: &str, argument: Value) -> Option<Value> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            match Pm2::connect(&self.socket).await {
                Ok(mut pm2) => Some(pm2.call(method, argument).await.expect("an answer")),
                Err(Pm2Error::NotRunning(_)) => None,
                Err(error) => panic!("{method}: {error}"),
            }
        })
    }
}
