//! PM2's sockets, while `rpm set pm2_socket true` holds. What they serve asks the daemon over
//! `rpm.sock`, as any client does; here is only whether they are there.
//!
//! The keeper holds both: a client that connects while the daemon is replaced waits, and does not
//! start a PM2 in this home.

use crate::{engine::Engine, recover::Inventory};
use rpm_keeper::Request;
use rpm_pm2_socket::{Place, Sockets, serve};
use rpm_unix::home::Home;
use serde_json::Value;
use std::{
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
};
use tokio::task::JoinHandle;

/// The setting that switches them on.
const SETTING: &str = "pm2_socket";
/// A larger file of settings is none that `rpm set` wrote.
const MAX_SETTINGS_BYTES: u64 = 1 << 20;
/// The names the sockets are held under.
const HELD: [&str; 2] = ["pm2-calls", "pm2-bus"];

/// Whether the sockets are served.
#[derive(Debug, Default)]
pub(crate) enum Pm2 {
    /// No.
    #[default]
    Off,
    /// By this task.
    On(JoinHandle<()>),
}

impl Engine {
    /// Does as the settings say now.
    pub(crate) fn read_settings(&mut self) -> io::Result<()> {
        match (is_wanted(&self.home)?, &self.pm2) {
            (true, Pm2::Off) => {
                let sockets = Sockets::bind(self.home.root())?;
                self.hold_pm2(&sockets)?;
                self.serve_pm2(sockets);
            }
            (false, Pm2::On(_)) => self.close_pm2(),
            (true, Pm2::On(_)) | (false, Pm2::Off) => {}
        }
        Ok(())
    }

    /// Goes on with a predecessor's sockets, where there are any.
    pub(crate) fn adopt_pm2(&mut self, held: Option<Sockets>) {
        if let Some(sockets) = held {
            self.serve_pm2(sockets);
        }
        if let Err(error) = self.read_settings() {
            tracing::error!("PM2's sockets are not as {SETTING} says: {error}");
        }
    }

    fn hold_pm2(&mut self, sockets: &Sockets) -> io::Result<()> {
        for (name, fd) in HELD.into_iter().zip([&sockets.calls, &sockets.bus]) {
            let request = Request::Hold { name: name.to_owned(), fd: fd.try_clone()? };
            self.keeper.send(request);
        }
        Ok(())
    }

    fn serve_pm2(&mut self, sockets: Sockets) {
        let place = Place { rpm: self.home.socket(), logs: self.home.logs() };
        let task = tokio::task::spawn_local(async move {
            if let Err(error) = serve(sockets, place).await {
                tracing::error!("PM2's sockets are not served: {error}");
            }
        });
        tracing::info!("npm's pm2 is served on {}/rpc.sock", self.home.root().display());
        self.pm2 = Pm2::On(task);
    }

    fn close_pm2(&mut self) {
        if let Pm2::On(task) = std::mem::take(&mut self.pm2) {
            task.abort();
        }
        for name in HELD {
            self.keeper.send(Request::Drop { name: name.to_owned() });
        }
        Sockets::remove(self.home.root());
    }
}

/// A predecessor's sockets.
pub(crate) fn held(inventory: &mut Inventory) -> Option<Sockets> {
    let [calls, bus]: [Option<OwnedFd>; 2] = HELD.map(|name| inventory.take(name));
    Some(Sockets { calls: calls?, bus: bus? })
}

/// Whether the settings of `home` ask for PM2's sockets. Settings are kept as texts.
fn is_wanted(home: &Home) -> io::Result<bool> {
    let mut text = String::new();
    match File::open(home.module_conf()) {
        Ok(file) => file.take(MAX_SETTINGS_BYTES).read_to_string(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let settings: Value = serde_json::from_str(&text)?;
    let value = settings.get(SETTING);
    Ok(value.is_some_and(|value| value == "true" || value == &Value::Bool(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_true_is_true() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path());
        assert!(!is_wanted(&home).unwrap());
        let table = [
            (r#"{"pm2_socket": "true"}"#, true),
            (r#"{"pm2_socket": true}"#, true),
            (r#"{"pm2_socket": "false"}"#, false),
            (r#"{"pm2_socket": {"x": "true"}}"#, false),
            ("{}", false),
            ("[]", false),
        ];
        for (text, want) in table {
            std::fs::write(home.module_conf(), text).unwrap();
            assert_eq!(is_wanted(&home).unwrap(), want, "{text}");
        }
        std::fs::write(home.module_conf(), "{").unwrap();
        assert!(is_wanted(&home).is_err());
    }
}
