//! Every name of a key, every format of a file and every shape of its root mean the same.

use super::{STAYS, script, specs};
use crate::harness::Home;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A value of each key that has other names, beside the camelCase one.
fn values() -> Vec<(&'static str, Value)> {
    let mut values = vec![
        ("script", json!("other.sh")),
        ("namespace", json!("back")),
        ("args", json!("a 'b c'")),
        ("cwd", json!("sub")),
        ("interpreter", json!("sh")),
        ("node_args", json!(["-e"])),
        ("env", json!({ "A": 1, "B": { "c": [true] } })),
        ("instances", json!("2")),
        ("exec_mode", json!("cluster_mode")),
        ("instance_var", json!("SLOT")),
        ("increment_var", json!("PORT")),
        ("port", json!(4000)),
        ("share_ports", json!(true)),
        ("listen", json!("unix:a.sock")),
        ("out_file", json!("o.log")),
        ("error_file", json!("e.log")),
        ("merge_logs", json!(false)),
        ("disable_logs", json!(true)),
        ("log_type", json!("json")),
        ("log_date_format", json!("YYYY")),
        ("time", json!(true)),
        ("log_file", json!("all.log")),
        ("rotate", json!({ "keep": 3 })),
        ("log_full", json!("block")),
        ("log_mode", json!("0640")),
        ("log_group", json!("0")),
        ("log_ship", json!("journald")),
        ("pid_file", json!("a.pid")),
        ("autorestart", json!(false)),
        ("stop_exit_codes", json!([3])),
        ("max_restarts", json!("5")),
        ("min_uptime", json!("10s")),
        ("restart_delay", json!("7")),
        ("exp_backoff_restart_delay", json!(9)),
        ("max_memory_restart", json!("1G")),
        ("kill_timeout", json!(1700)),
        ("listen_timeout", json!("9s")),
        ("wait_ready", json!(true)),
        ("ready", json!({ "exec": "true" })),
        ("health", json!({ "exec": "true" })),
        ("limits", json!({ "nofile": 512 })),
        ("depends_on", json!({ "zzz": "started" })),
        ("on", json!({ "crash": "true" })),
        ("drain_timeout", json!("9s")),
        ("stop_signal", json!("SIGTERM")),
        ("max_surge", json!(2)),
        ("treekill", json!(false)),
        ("shutdown_with_message", json!(true)),
        ("env_file", json!(".env")),
        ("filter_env", json!(["A"])),
        ("cron_restart", json!("0 0 1 1 *")),
        ("watch", json!(["w"])),
        ("ignore_watch", json!("x y")),
        ("watch_delay", json!("2s")),
        ("watch_options", json!({ "followSymlinks": true })),
        ("post_update", json!(["true"])),
    ];
    if rustix::process::geteuid().is_root() {
        values.extend([("uid", json!("nobody")), ("gid", json!(1))]);
    }
    values
}

/// Keys without a spelling of their own here: one name each and no two words, or tried elsewhere.
const ELSEWHERE: [&str; 9] = [
    // The name itself, and what is made of it.
    "name",
    "append_env_to_name",
    // Of an app that is not started here.
    "autostart",
    // They need another key beside them.
    "balance",
    "execute_command",
    "proxy",
    // Of Node only.
    "source_map_support",
    // Tried where root runs this.
    "uid",
    "gid",
];

/// Every spelling of each key, as the schema has them: key to its other names.
fn spellings(home: &Home) -> BTreeMap<String, Vec<String>> {
    let schema: Value = serde_json::from_str(&home.rpm(["schema"]).success().stdout).unwrap();
    let all = schema["$defs"]["app"]["properties"].as_object().expect("properties");
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in all.iter().filter(|(_, value)| value["deprecated"].is_null()) {
        let key = value["$comment"].as_str().unwrap_or_else(|| panic!("whose name is {name}?"));
        found.entry(key.to_owned()).or_default().push(name.clone());
    }
    found
}

fn home() -> Home {
    let home = Home::new();
    std::fs::create_dir(home.work().join("sub")).unwrap();
    for name in ["run.sh", "other.sh", "sub/run.sh"] {
        script(&home, name, STAYS);
    }
    home.write(".env", "B=b\n");
    home
}

#[test]
fn every_name_of_a_key_means_the_same() {
    let home = home();
    let values = values();
    let spellings = spellings(&home);
    let known: Vec<&str> = spellings.keys().map(String::as_str).collect();
    let mut tried: Vec<&str> = values.iter().map(|(key, _)| *key).chain(ELSEWHERE).collect();
    tried.sort_unstable();
    tried.dedup();
    assert_eq!(tried, known, "every key is tried, here or elsewhere");

    let mut apps = vec![json!({ "name": "plain" })];
    for (key, value) in &values {
        for written in &spellings[*key] {
            apps.push(json!({ "name": format!("{key}:{written}"), written: value }));
        }
    }
    for app in &mut apps {
        app["autostart"] = json!(false);
        let table = app.as_object_mut().unwrap();
        if !["script", "exec", "cmd", "command"].iter().any(|name| table.contains_key(*name)) {
            table.insert("script".into(), json!("run.sh"));
        }
    }
    home.write("names.json", &json!({ "apps": apps }).to_string());
    let started = home.rpm(["start", "names.json"]).success();
    assert!(!started.stderr.contains("ignored"), "{started:?}");

    let specs: BTreeMap<String, Value> = specs(&home).into_iter().collect();
    for (key, _) in &values {
        let first = &specs[&format!("{key}:{key}")];
        assert_ne!(first, &specs["plain"], "{key} changes something");
        for written in &spellings[*key] {
            assert_eq!(&specs[&format!("{key}:{written}")], first, "{written} is {key}");
        }
    }
}

/// An app with values of every kind, once without and once with what needs another mode.
fn two() -> Value {
    json!([
        {
            "name": "a", "script": "run.sh", "args": ["-a", "b c"], "autostart": false,
            "env": { "N": 1, "F": 1.5, "T": true, "L": [1, "a", { "k": 2 }] },
            "env_production": { "N": 2 }, "kill_timeout": 5000, "min_uptime": "10s",
            "stop_exit_codes": [0, 3], "watch": ["src"], "cron_restart": "0 3 * * *",
            "filter_env": ["AWS_"], "maxMemoryRestart": "300M",
        },
        {
            "name": "b", "script": "run.sh", "autostart": false, "instances": 2,
            "rotate": { "keep": 3, "compress": false },
            "ready": { "http": "http://127.0.0.1:80/" }, "port": 80,
        },
    ])
}

/// A value in the words of TOML, on one line.
fn toml(value: &Value) -> String {
    match value {
        Value::Object(table) => {
            let pairs = table.iter().map(|(key, value)| format!("{key:?} = {}", toml(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", "))
        }
        plain => plain.to_string(),
    }
}

/// Each file after the first one changes nothing that runs.
#[test]
fn every_format_and_every_root_means_the_same() {
    let home = home();
    let (list, apps) = (two(), json!({ "apps": two() }));
    let [a, b] = list.as_array().unwrap().as_slice() else { panic!() };
    home.write("first.json", &apps.to_string());
    home.rpm(["start", "first.json", "--env", "production"]).success();

    let pretty = serde_json::to_string_pretty(&apps).unwrap();
    let files = [
        ("apps.toml", format!("apps = {}\n", toml(&list))),
        ("apps.json", format!("// PM2's\n{pretty}")),
        ("apps.json5", format!("/* {{ */ {pretty} // }}")),
        ("apps.yaml", pretty.clone()),
        ("apps.yml", format!("---\n{pretty}\n")),
        ("list.json", list.to_string()),
        ("list.yaml", format!("- {a}\n- {b}\n")),
        ("package.json", json!({ "name": "x", "version": "1.0.0", "pm2": list }).to_string()),
        ("pm2.json", json!({ "pm2": { "apps": list } }).to_string()),
        ("a.config.js", format!("module.exports = {pretty};\n")),
        ("b.config.cjs", format!("module.exports = async () => ({pretty});\n")),
        ("c.config.mjs", format!("export const apps = await Promise.resolve({list});\n")),
        ("d.config.mjs", format!("export default {pretty};\n")),
    ];
    let apply = |file: &str, stdin: &str| {
        let words = ["apply", file, "--env", "production", "--dry-run"];
        home.rpm(words).stdin(stdin).stdout("no change\n").success();
    };
    for (name, text) in &files {
        home.write(name, text);
        apply(name, "");
    }
    for stdin in [&files[0].1, &pretty, &format!("- {a}\n- {b}\n")] {
        apply("-", stdin);
    }
    for (name, one) in [("one.json", a.to_string()), ("one.toml", top_level(b))] {
        home.write(name, &one);
        apply(name, "");
    }
    // It can tell: a file that says something else is no "no change".
    home.write("other.json", &apps.to_string().replace("5000", "5001"));
    let other = home.rpm(["apply", "other.json", "--env", "production", "--dry-run"]).success();
    assert_eq!(other.stdout, "change a\n  ~ kill_timeout: 5000 -> 5001\n");
}

/// One app as a whole TOML file.
fn top_level(app: &Value) -> String {
    let table = app.as_object().unwrap();
    table.iter().map(|(key, value)| format!("{key} = {}\n", toml(value))).collect()
}
