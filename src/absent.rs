//! Commands of PM2 that do not exist here on purpose: its paid service and its modules. Each is
//! told in one line, with what to use instead.

use crate::error::CliError;

const SERVICE: [&str; 12] = [
    "link",
    "unlink",
    "monitor",
    "unmonitor",
    "open",
    "plus",
    "register",
    "login",
    "logout",
    "interact",
    "install-otel",
    "uninstall-otel",
];
const MODULES: [&str; 13] = [
    "install",
    "uninstall",
    "module:install",
    "module:uninstall",
    "module:update",
    "module:generate",
    "module:publish",
    "module:configure",
    "module:list",
    "module:log",
    "publish",
    "package",
    "autoinstall",
];

/// Options of `start`.
const CONTAINERS: [&str; 7] = [
    "--container",
    "--dist",
    "--image-name",
    "--node-version",
    "--fresh",
    "--daemon",
    "--dockerdaemon",
];

/// The refusal of `command`, if it is one of these.
pub(crate) fn of(command: &str) -> Option<CliError> {
    let refused = |what: &str, hint: &str| {
        Some(CliError::failed(format!("rpm {command} does not exist: {what}"), hint))
    };
    if SERVICE.contains(&command) {
        return refused("there is no service behind rpm", "rpm ls, rpm events and rpm jlist watch");
    }
    if MODULES.contains(&command) {
        return refused("rpm has no modules", "log rotation is built in; else start it as an app");
    }
    match command {
        "monit" | "imonit" | "dashboard" | "dash" => {
            refused("there is no full-screen view", "rpm ls --watch; rpm logs")
        }
        "deploy" => refused("it has no part in running apps", "npx pm2-deploy, which calls pm2"),
        "logrotate" => refused("rpm rotates its logs itself", "`rotate` in the ecosystem file"),
        "deepUpdate" => refused("rpm comes by itself", "install the new rpm, then: rpm update"),
        "create" => refused("it only copied samples", "rpm examples, rpm init"),
        "slist" | "sysinfos" => refused("rpm watches apps only", "use vmstat or a node exporter"),
        "profile:cpu" | "profile:mem" => {
            refused("the daemon is no Node program", "perf record -p $(cat ~/.rpm/rpm.pid)")
        }
        _ => None,
    }
}

/// The refusal of an option, if it is one of these: PM2 writes a Dockerfile for them.
pub(crate) fn of_option(option: &str) -> Option<CliError> {
    let hint = "a Dockerfile whose CMD is: rpm start app.js --no-daemon";
    let found = CONTAINERS.contains(&option);
    found.then(|| CliError::failed(format!("{option}: rpm makes no containers"), hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;

    #[test]
    fn what_is_absent_is_not_there() {
        let cli = Cli::command();
        for command in SERVICE.iter().chain(&MODULES) {
            assert!(cli.find_subcommand(command).is_none() && of(command).is_some(), "{command}");
        }
        assert!(of("start").is_none());
    }
}
