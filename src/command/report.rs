//! `report`: what a person sends with a report of a bug.

use crate::{
    error::CliError,
    render::{style::Colors, table},
    session::Session,
};
use rpm_protocol::{InstanceView, Request, Welcome};
use std::fs;

/// How many lines of the daemon's log.
const LOG_LINES: usize = 20;

/// Prints it in a fence, as Markdown wants it.
pub(crate) async fn run(session: &Session) -> Result<(), CliError> {
    let mut client = session.daemon().await?;
    let daemon: Welcome = client.call(Request::Ping).await?;
    let fleet: Vec<InstanceView> = client.call(Request::List).await?;
    let text = [
        "```".to_owned(),
        title("rpm report"),
        section("Daemon", &[("version", daemon.program), ("pid", daemon.pid.to_string())]),
        section(
            "Command line",
            &[
                ("version", env!("CARGO_PKG_VERSION").to_owned()),
                ("home", session.home.root().display().to_string()),
                ("user", rpm_unix::process::effective_uid().to_string()),
            ],
        ),
        section("System", &system()),
        title("Apps"),
        table::fleet(&fleet, None, Colors::Off),
        title(&format!("Daemon's log, last {LOG_LINES} lines")),
        last_lines(session),
        "```".to_owned(),
    ];
    session.print(&(text.join("\n") + "\n"))
}

/// A title 79 columns wide, as PM2's.
fn title(text: &str) -> String {
    format!("{:-<79}", format!("--- {text} "))
}

fn section(name: &str, rows: &[(&str, String)]) -> String {
    let rows = rows.iter().map(|(key, value)| format!("{key:<20} : {value}"));
    [title(name)].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

/// What the kernel tells about the machine, without anything secret.
fn system() -> [(&'static str, String); 5] {
    let file = |path| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let memory = file("/proc/meminfo");
    let of = |name: &str| {
        let line = memory.lines().find_map(|line| line.strip_prefix(name));
        line.map(|line| line.trim().to_owned()).unwrap_or_default()
    };
    [
        ("kernel", file("/proc/sys/kernel/osrelease")),
        ("architecture", std::env::consts::ARCH.to_owned()),
        ("cpus", rpm_config::cpus::usable().count.to_string()),
        ("memory", of("MemTotal:")),
        ("memory available", of("MemAvailable:")),
    ]
}

fn last_lines(session: &Session) -> String {
    let text = fs::read(session.home.daemon_log()).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(LOG_LINES);
    lines.get(first..).unwrap_or_default().join("\n")
}
