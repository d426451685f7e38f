//! The keys of an app: names, aliases, and how each is read.

use crate::{
    AppOptions, InvalidValue, depends, hooks, limits, probe, proxy, suggest, tree::Node, value,
};

/// One key that an app may have.
pub(crate) struct Key {
    /// PM2's name of it, or ours where PM2 has none.
    pub(crate) name: &'static str,
    /// PM2's other names of it.
    pub(crate) aliases: &'static [&'static str],
    /// What a value may be, as `schema.rs` describes it: the name of its reader.
    pub(crate) shape: &'static str,
    /// Reads the value into its field.
    pub(crate) read: fn(&Node, &mut AppOptions) -> Result<(), InvalidValue>,
}

/// Puts what was read into its field.
fn put<T>(field: &mut Option<T>, read: Result<T, InvalidValue>) -> Result<(), InvalidValue> {
    *field = Some(read?);
    Ok(())
}

/// A [`Key`] whose value goes through `value::$reader` into the field `$field`.
macro_rules! key {
    ($name:literal, $field:ident, $reader:ident $(, $alias:literal)*) => {
        Key {
            name: $name,
            aliases: &[$($alias),*],
            shape: stringify!($reader),
            read: |node, options| put(&mut options.$field, value::$reader(node)),
        }
    };
}

/// The same through `log_value::$reader`.
macro_rules! log_key {
    ($name:literal, $field:ident, $reader:ident $(, $alias:literal)*) => {
        Key {
            name: $name,
            aliases: &[$($alias),*],
            shape: stringify!($reader),
            read: |node, options| put(&mut options.$field, crate::log_value::$reader(node)),
        }
    };
}

/// Every key of an app but `env_NAME`. Each may also be written in camelCase.
pub(crate) const KEYS: &[Key] = &[
    key!("name", name, text),
    key!("namespace", namespace, text),
    key!("script", script, text, "exec", "cmd", "command"),
    key!("args", args, words),
    key!("cwd", cwd, text),
    key!("interpreter", interpreter, text, "exec_interpreter"),
    key!("node_args", interpreter_args, words, "interpreter_args"),
    Key {
        name: "env",
        aliases: &[],
        shape: "variables",
        read: |node, options| {
            options.env = value::variables(node)?;
            Ok(())
        },
    },
    key!("instances", instances, instances),
    key!("exec_mode", exec_mode, exec_mode),
    key!("instance_var", instance_var, text),
    key!("increment_var", increment_var, text),
    Key {
        name: "port",
        aliases: &[],
        shape: "port",
        read: |node, options| put(&mut options.port, value::number(node, "a port from 0 to 65535")),
    },
    key!("append_env_to_name", append_env_to_name, truth),
    key!("share_ports", share_ports, truth),
    key!("listen", listen, listen),
    key!("balance", balance, balance),
    Key {
        name: "proxy",
        aliases: &[],
        shape: "proxy",
        read: |node, options| put(&mut options.proxy, proxy::read(node)),
    },
    key!("out_file", out_file, text, "out", "output", "out_log"),
    key!("error_file", error_file, text, "error", "err", "err_file", "err_log"),
    key!("merge_logs", merge_logs, truth, "combine_logs"),
    key!("disable_logs", disable_logs, truth),
    log_key!("log_type", log_json, log_type),
    key!("log_date_format", log_date_format, text),
    key!("time", time, truth),
    log_key!("log_file", log_file, log_file, "log"),
    log_key!("rotate", rotate, rotate),
    log_key!("log_full", log_full, when_full),
    log_key!("log_mode", log_mode, mode),
    log_key!("log_group", log_group, group),
    log_key!("log_ship", log_ship, collectors),
    key!("pid_file", pid_file, text, "pid"),
    key!("autorestart", autorestart, truth),
    key!("autostart", autostart, truth),
    key!("stop_exit_codes", stop_exit_codes, exit_codes),
    Key {
        name: "max_restarts",
        aliases: &[],
        shape: "natural",
        read: |node, options| {
            put(&mut options.max_restarts, value::number(node, "a whole number from 0"))
        },
    },
    key!("min_uptime", min_uptime, duration),
    key!("restart_delay", restart_delay, duration),
    key!("exp_backoff_restart_delay", exp_backoff_restart_delay, duration),
    key!("max_memory_restart", max_memory_restart, size),
    key!("kill_timeout", kill_timeout, duration),
    key!("listen_timeout", listen_timeout, duration),
    key!("wait_ready", wait_ready, truth),
    Key {
        name: "ready",
        aliases: &[],
        shape: "ready",
        read: |node, options| put(&mut options.ready, probe::ready(node)),
    },
    Key {
        name: "health",
        aliases: &[],
        shape: "health",
        read: |node, options| put(&mut options.health, probe::health(node)),
    },
    Key {
        name: "limits",
        aliases: &[],
        shape: "limits",
        read: |node, options| put(&mut options.limits, limits::read(node)),
    },
    Key {
        name: "depends_on",
        aliases: &[],
        shape: "depends_on",
        read: |node, options| put(&mut options.depends_on, depends::read(node)),
    },
    Key {
        name: "on",
        aliases: &[],
        shape: "on",
        read: |node, options| put(&mut options.on, hooks::read(node)),
    },
    key!("drain_timeout", drain_timeout, duration),
    key!("stop_signal", stop_signal, stop_signal),
    key!("max_surge", max_surge, positive),
    key!("treekill", treekill, truth),
    key!("shutdown_with_message", shutdown_with_message, truth),
    key!("env_file", env_files, texts),
    key!("filter_env", filter_env, filter_env),
    key!("uid", uid, account, "user"),
    key!("gid", gid, account),
    key!("cron_restart", cron_restart, cron, "cron"),
    key!("watch", watch, watch),
    key!("ignore_watch", ignore_watch, ignore_watch),
    key!("watch_delay", watch_delay, duration),
    key!("watch_options", watch_follow_links, follow_links),
    key!("source_map_support", source_map_support, truth),
    key!("execute_command", execute_command, truth),
    key!("post_update", post_update, texts),
];

/// Keys of PM2 that are taken and mean nothing here, and why.
pub(crate) const IGNORED: &[(&str, &str)] = &[
    ("automation", "it is for PM2's paid service"),
    ("deep_monitoring", "it is for PM2's paid service"),
    ("disable_source_map_support", "source maps are off unless source_map_support is true"),
    ("disable_trace", "it is for PM2's paid service"),
    ("event_loop_inspector", "it is for PM2's paid service"),
    ("force", "an app of a file always replaces the one of its name"),
    ("install_url", "it is for PM2's modules"),
    ("io", "it is for PM2's paid service"),
    ("kill_retry_time", "rpm is told when a process ends, and does not ask"),
    ("name_prefix", "it is for PM2's modules"),
    ("pmx", "nothing is injected into apps for PM2's paid service"),
    ("trace", "it is for PM2's paid service"),
    ("username", "the user who runs it is shown"),
    ("v8", "it is for PM2's paid service"),
    ("vizion", "rpm does not look into repositories"),
    ("windows_hide", "there are no windows to hide"),
    ("write", "the file is there already"),
];

/// Why `written`, a key of PM2, means nothing here.
pub(crate) fn ignored(written: &str) -> Option<&'static str> {
    let is = |name: &str| name == written || camel_case(name) == written;
    IGNORED.iter().find(|(name, _)| is(name)).map(|(_, why)| *why)
}

/// The key called `written`, by name, alias or the camelCase of either.
pub(crate) fn find(written: &str) -> Option<&'static Key> {
    let is = |name: &&str| **name == *written || camel_case(name) == written;
    KEYS.iter().find(|key| is(&key.name) || key.aliases.iter().any(is))
}

/// `env_production` is the set `production`.
pub(crate) fn env_set(written: &str) -> Option<&str> {
    written.strip_prefix("env_").filter(|name| !name.is_empty() && find(written).is_none())
}

/// The key that was meant by `written`; in camelCase if that is how it was written.
pub(crate) fn meant(written: &str) -> Option<String> {
    let names = KEYS.iter().map(|key| key.name);
    let aliases = KEYS.iter().flat_map(|key| key.aliases.iter().copied());
    let snake: Vec<&str> = names.chain(aliases).collect();
    let camel: Vec<String> = snake.iter().map(|name| camel_case(name)).collect();
    let known = snake.iter().copied().chain(camel.iter().map(String::as_str));
    suggest::nearest(written, known).map(str::to_owned)
}

/// `max_memory_restart` as `maxMemoryRestart`.
pub(crate) fn camel_case(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |mut name, part| {
        let mut letters = part.chars();
        name.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        name.push_str(letters.as_str());
        name
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_key() {
        for (written, name) in [
            ("script", "script"),
            ("exec", "script"),
            ("cmd", "script"),
            ("command", "script"),
            ("exec_interpreter", "interpreter"),
            ("execInterpreter", "interpreter"),
            ("nodeArgs", "node_args"),
            ("interpreterArgs", "node_args"),
            ("maxMemoryRestart", "max_memory_restart"),
            ("combineLogs", "merge_logs"),
            ("expBackoffRestartDelay", "exp_backoff_restart_delay"),
            ("errLog", "error_file"),
        ] {
            assert_eq!(find(written).map(|key| key.name), Some(name), "{written}");
        }
        assert!(find("Script").is_none());
    }

    #[test]
    fn no_name_means_two_things() {
        let mut names: Vec<String> = KEYS
            .iter()
            .flat_map(|key| std::iter::once(&key.name).chain(key.aliases))
            .chain(IGNORED.iter().map(|(name, _)| name))
            .flat_map(|name| [(*name).to_owned(), camel_case(name)])
            .collect();
        names.sort();
        names.dedup();
        let words = |names: &[&str]| -> usize {
            names.iter().map(|n| 1 + usize::from(n.contains('_'))).sum()
        };
        let keys: usize = KEYS.iter().map(|k| words(&[k.name]) + words(k.aliases)).sum();
        let ignored: usize = IGNORED.iter().map(|(name, _)| words(&[*name])).sum();
        assert_eq!(names.len(), keys + ignored);
    }

    /// Every key and alias of PM2 7.0.4, from its schema (`lib/API/schema.json`) and its options.
    const OF_PM2: &str = "\
        script exec cmd command name namespace cwd args exec_interpreter interpreter \
        node_args interpreterArgs interpreter_args exec_mode instances env filter_env port \
        increment_var instance_var append_env_to_name out_file out output out_log error_file \
        error err err_file err_log log_file log pid_file pid merge_logs combine_logs \
        disable_logs log_type log_date_format time autostart autorestart stop_exit_codes \
        min_uptime max_restarts restart_delay exp_backoff_restart_delay max_memory_restart \
        cron_restart cron watch ignore_watch watch_delay watch_options kill_timeout \
        kill_retry_time treekill shutdown_with_message wait_ready listen_timeout uid user gid \
        source_map_support disable_source_map_support vizion pmx automation trace \
        disable_trace v8 event_loop_inspector deep_monitoring io force post_update \
        windowsHide username name_prefix install_url write execute_command";

    #[test]
    fn every_key_of_pm2_is_supported_or_ignored_for_a_reason() {
        for key in OF_PM2.split_whitespace() {
            assert_ne!(find(key).is_some(), ignored(key).is_some(), "{key}");
        }
    }

    #[test]
    fn the_reference_has_every_key_and_no_other() {
        let text = include_str!("../../../docs/ecosystem.md");
        let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
        let named = rows.filter_map(|row| row.split_once("` |")).map(|(name, _)| name);
        let found: Vec<&str> = named.filter(|name| !name.starts_with(['.', '-'])).collect();
        let keys = KEYS.iter().map(|key| key.name);
        let want: Vec<&str> = keys.chain(IGNORED.iter().map(|(name, _)| *name)).collect();
        assert_eq!(found, want);
        for alias in KEYS.iter().flat_map(|key| key.aliases) {
            assert!(text.contains(&format!("`{alias}`")), "{alias}");
        }
    }

    #[test]
    fn environments_are_named_by_their_keys() {
        let table = [
            ("env_production", Some("production")),
            ("env_", None),
            ("env_file", None),
            ("e", None),
        ];
        for (written, want) in table {
            assert_eq!(env_set(written), want, "{written}");
        }
    }

    #[test]
    fn typos_are_understood_in_the_case_they_were_written() {
        let table = [
            ("instnaces", Some("instances")),
            ("kill-timeout", Some("kill_timeout")),
            ("maxMemoryRestrat", Some("maxMemoryRestart")),
            ("scirpt", Some("script")),
            ("comand", Some("command")),
            ("colour", None),
        ];
        for (written, want) in table {
            assert_eq!(meant(written).as_deref(), want, "{written}");
        }
    }
}
