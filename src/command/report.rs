//! `report`: what a person sends with a report of a bug.

use crate::{
    error::CliError,
    render::{style::Colors, table},
    session::Session,
};
use rpm_protocol::{InstanceView, Request, Welcome};
use std::fs;
use sysinfo::System;

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

/// What is known of the machine, without anything secret; what is not known is left empty.
fn system() -> [(&'static str, String); 7] {
    let load = System::load_average();
    let memory = System::new().ok().map(|mut machine| {
        machine.refresh_memory();
        [machine.total_memory(), machine.available_memory()].map(|bytes| bytes >> 20)
    });
    let [total, available] =
        memory.map(|both| both.map(|size| format!("{size} MiB"))).unwrap_or_default();
    [
        ("system", System::long_os_version().unwrap_or_default()),
        ("kernel", System::kernel_version().unwrap_or_default()),
        ("architecture", System::cpu_arch()),
        ("cpus", rpm_config::cpus::usable().count.to_string()),
        (
            "load",
            load.map(|load| format!("{} {} {}", load.one, load.five, load.fifteen))
                .unwrap_or_default(),
        ),
        ("memory", total),
        ("memory available", available),
    ]
}

fn last_lines(session: &Session) -> String {
    let text = fs::read(session.home.daemon_log()).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(LOG_LINES);
    lines.get(first..).unwrap_or_default().join("\n")
}
