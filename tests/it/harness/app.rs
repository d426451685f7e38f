//! [`App`]: one item of `rpm jlist`, PM2's JSON.

use serde_json::Value;
use std::path::PathBuf;

/// One instance as `rpm jlist` shows it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct App(Value);

impl App {
    /// Reads the whole output of `rpm jlist`.
    pub(crate) fn list(text: &str) -> Vec<Self> {
        let items: Vec<Value> = serde_json::from_str(text)
            .unwrap_or_else(|error| panic!("jlist is not a JSON array ({error}): {text}"));
        items.into_iter().map(Self).collect()
    }

    pub(crate) fn name(&self) -> &str {
        self.0["name"].as_str().expect("name")
    }

    pub(crate) fn id(&self) -> u64 {
        self.0["pm_id"].as_u64().expect("pm_id")
    }

    /// 0 when there is no process.
    pub(crate) fn pid(&self) -> u32 {
        u32::try_from(self.0["pid"].as_u64().unwrap_or(0)).expect("pid")
    }

    pub(crate) fn status(&self) -> &str {
        self.env("status").as_str().expect("status")
    }

    pub(crate) fn is_online(&self) -> bool {
        self.status() == "online"
    }

    pub(crate) fn restarts(&self) -> u64 {
        self.env("restart_time").as_u64().expect("restart_time")
    }

    pub(crate) fn exec_mode(&self) -> &str {
        self.env("exec_mode").as_str().expect("exec_mode")
    }

    pub(crate) fn exit_code(&self) -> Option<i64> {
        self.env("exit_code").as_i64()
    }

    /// `NODE_APP_INSTANCE`.
    pub(crate) fn slot(&self) -> u64 {
        self.env("NODE_APP_INSTANCE").as_u64().expect("NODE_APP_INSTANCE")
    }

    pub(crate) fn memory(&self) -> u64 {
        self.0["monit"]["memory"].as_u64().expect("monit.memory")
    }

    pub(crate) fn out_log(&self) -> PathBuf {
        PathBuf::from(self.env("pm_out_log_path").as_str().expect("pm_out_log_path"))
    }

    pub(crate) fn error_log(&self) -> PathBuf {
        PathBuf::from(self.env("pm_err_log_path").as_str().expect("pm_err_log_path"))
    }

    /// A field of `pm2_env`.
    pub(crate) fn env(&self, key: &str) -> &Value {
        &self.0["pm2_env"][key]
    }
}
