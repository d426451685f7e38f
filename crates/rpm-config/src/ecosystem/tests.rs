//! Whole files: their shapes, their mistakes, the example in the repository.

use super::*;
use crate::{Instances, keys::KEYS, test_machine::Machine};
use proptest::prelude::*;

const EXAMPLE: &str = include_str!("../../../../ecosystem.example.toml");

fn toml(text: &str) -> Result<Ecosystem, ConfigError> {
    Ecosystem::parse(text, Format::Toml, Path::new("ecosystem.toml"))
}

fn json(text: &str) -> Result<Ecosystem, ConfigError> {
    Ecosystem::parse(text, Format::Json, Path::new("ecosystem.json"))
}

fn yaml(text: &str) -> Result<Ecosystem, ConfigError> {
    Ecosystem::parse(text, Format::Yaml, Path::new("ecosystem.yaml"))
}

fn read(path: &Path) -> Result<Ecosystem, ConfigError> {
    Ecosystem::read(path, |file| panic!("{} is evaluated", file.display()))
}

/// Text and hint of a refusal.
fn refusal(file: Result<Ecosystem, ConfigError>) -> (String, Option<String>) {
    let error = file.unwrap_err();
    (error.to_string(), error.hint())
}

fn scripts(file: &Ecosystem) -> Vec<&str> {
    file.apps.iter().filter_map(|app| app.options.script.as_deref()).collect()
}

#[test]
fn every_root_that_pm2_knows() {
    let table = [
        toml("[[apps]]\nscript = 'a'\n[[apps]]\nscript = 'b'"),
        json(r#"{"apps": [{"script": "a"}, {"script": "b"}], "deploy": {"x": 1}}"#),
        json(r#"[{"script": "a"}, {"script": "b"}]"#),
        json(r#"{"name": "pkg", "scripts": {}, "pm2": [{"script": "a"}, {"script": "b"}]}"#),
        json(r#"{"pm2": {"apps": [{"script": "a"}, {"script": "b"}]}}"#),
    ];
    for file in table {
        assert_eq!(scripts(&file.unwrap()), ["a", "b"]);
    }
    for file in [toml("script = 'a'"), toml("[apps]\nscript = 'a'"), json(r#"{"script": "a"}"#)] {
        assert_eq!(scripts(&file.unwrap()), ["a"]);
    }
}

#[test]
fn all_formats_and_both_spellings_mean_the_same() {
    let from_toml = toml(
        "[[apps]]\nname = 'api'\nscript = 'a'\nargs = '-a \"b c\"'\ninstances = -1\n\
         kill_timeout = '5s'\nmin_uptime = 100\nmax_memory_restart = '300M'\nport = '80'\n\
         stop_exit_codes = [0, '2']\nstop_signal = 'TERM'\nout = 'o.log'\nexec_mode = 'fork_mode'\n\
         [apps.env]\nN = 1\nF = 1.5\nB = true\nL = [1, 'a', {k = 2}]\n[apps.env_test]\nN = '2'",
    );
    let from_json = json(
        r#"[{"name": "api", "exec": "a", "args": ["-a", "b c"], "instances": "-1",
            "killTimeout": 5000, "minUptime": "100ms", "maxMemoryRestart": 314572800, "port": 80,
            "stopExitCodes": "0,2", "stopSignal": 15, "outFile": "o.log", "execMode": "fork",
            "cwd": null,
            "env": {"N": "1", "F": 1.5, "B": true, "L": [1, "a", {"k": 2}], "X": null},
            "env_test": {"N": 2}}]"#,
    );
    let options = |file: Result<Ecosystem, _>| file.unwrap().apps.remove(0).options;
    let want = options(from_toml);
    let variable = |name: &str| want.env.get(name).map(String::as_str);
    assert_eq!(variable("L"), Some(r#"[1,"a",{"k":2}]"#));
    assert_eq!((variable("F"), variable("B")), (Some("1.5"), Some("true")));
    assert_eq!(want.instances, Some(Instances::AllBut(1)));
    assert_eq!(options(from_json), want);
    let from_yaml = yaml(
        "- name: api\n  script: a\n  args: [-a, b c]\n  instances: -1\n  killTimeout: 5s\n  \
         minUptime: 100\n  maxMemoryRestart: 300M\n  port: 80\n  stopExitCodes: [0, 2]\n  \
         stopSignal: TERM\n  outFile: o.log\n  execMode: fork\n  env: {N: 1, F: 1.5, B: true, L: \
         [1, a, {k: 2}]}\n  env_test:\n    N: 2\n",
    );
    assert_eq!(options(from_yaml), want);
}

#[test]
fn a_typo_is_refused_with_file_line_and_suggestion() {
    let in_toml = "[[apps]]\nname = 'api'\nscript = 'server.js'\n\ninstnaces = 4\n";
    let want = "ecosystem.toml:5: app api: unknown key `instnaces`, did you mean `instances`?";
    assert_eq!(refusal(toml(in_toml)), (want.into(), None));
}

#[test]
fn a_typo_in_a_format_of_pm2_is_ignored_and_said() {
    let want = |file: &str, line: &str| {
        format!(
            "{file}{line} app api: unknown key `instnaces`, did you mean `instances`?; it \
             is ignored"
        )
    };
    let yaml = "apps:\n  - name: api\n    instnaces: 4\n    script: a\n";
    let script = r#"[{"name": "api", "script": "a", "instnaces": 4}]"#;
    let table = [
        (Format::Json, "{apps: [\n {name: 'api',\n  instnaces: 4, script: 'a'}\n]}", ":3:"),
        (Format::Yaml, yaml, ":3:"),
        (Format::JavaScript, script, ":"),
    ];
    for (format, text, line) in table {
        let file = Ecosystem::parse(text, format, Path::new("e")).unwrap();
        let warnings: Vec<String> = file.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings, [want("e", line)]);
        assert_eq!(scripts(&file), ["a"]);
    }
}

#[test]
fn keys_that_count_for_nothing_in_a_format_of_pm2() {
    let text = "{apps: [{exec: 'a',\n script: 'b', name: 'x'}],\n name: 'y',\n colours: []}";
    let file = json(text).unwrap();
    let warnings: Vec<String> = file.warnings.iter().map(ToString::to_string).collect();
    let want = [
        "ecosystem.json:2: app x: `script` is the same key as `exec`; it is ignored",
        "ecosystem.json:3: key `name` must stand in an app; it is ignored",
        "ecosystem.json:4: unknown key `colours`; it is ignored",
    ];
    assert_eq!(warnings, want);
    assert_eq!(scripts(&file), ["a"]);
}

#[test]
fn static_sites_are_apps() {
    let file = json(
        "{apps: [{script: 'a'}], static: [{path: 'public', port: 8081, spa: true, ftp: false},\n\
         {name: 'docs', host: '127.0.0.1', directory: true, monitor: false,\n\
         basic_auth: {username: 'ann', password: 'x:y'}}]}",
    );
    let file = file.unwrap();
    assert_eq!(scripts(&file), ["a", "serve", "serve"]);
    let (site, docs) = (&file.apps[1].options, &file.apps[2].options);
    assert_eq!(site.name.as_deref(), Some("static-page-server-8081"));
    let env: Vec<_> = site.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let want = [
        "PM2_SERVE_FTP=false",
        "PM2_SERVE_PATH=public",
        "PM2_SERVE_PORT=8081",
        "PM2_SERVE_SPA=true",
    ];
    assert_eq!(env, want);
    let env: Vec<_> = docs.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let want = [
        "PM2_SERVE_BASIC_AUTH=true",
        "PM2_SERVE_BASIC_AUTH_PASSWORD=x:y",
        "PM2_SERVE_BASIC_AUTH_USERNAME=ann",
        "PM2_SERVE_FTP=true",
        "PM2_SERVE_HOST=127.0.0.1",
    ];
    assert_eq!(env, want);
    assert_eq!(docs.name.as_deref(), Some("docs"));
    let only = toml("[[static]]\npath = 'x'\nport = 'y'\nbasic_auth = {}\n");
    let want = "ecosystem.toml:3: app static-page-server-8080: `port` must be a port from 0 to \
                65535, but is \"y\"\n\
                ecosystem.toml:4: app static-page-server-8080: `basic_auth` must be a table { \
                username = \"…\", password = \"…\" }, the name without a colon, but is a table";
    assert_eq!(refusal(only).0, want);
    // A password that nobody is asked for is no mere warning in any format.
    for auth in ["{username: 'a'}", "{username: 'a:b', password: 'c'}", "'a:b'", "true"] {
        let file = json(&format!("{{static: [{{path: 'x', basic_auth: {auth}}}]}}"));
        assert!(refusal(file).0.contains("`basic_auth` must be"), "{auth}");
    }
}

#[test]
fn every_mistake_of_a_file_is_reported_in_order() {
    let text = "[[apps]]\nname = 'api'\ninstances = 'banana'\nmaxMemoryRestrat = '1G'\n\
                max_memory_restart = '12Q'\nexec = 'a'\nscript = 'b'\non = true\n\n\
                [[apps]]\nautorestart = 1\ncolour = 'red'\nargs = \"it's\"\nkill_timeout = 'soon'\n\
                env = []\nenv_x = 1\nport = 70000\nmax_surge = 0\nexec_mode = 'both'\n\
                ready = {http = 'x'}\nstop_signal = 'SIGTRM'\nname = 5\n";
    let want = [
        "ecosystem.toml:3: app api: `instances` must be a number of instances, \"max\" (one per \
         CPU) or less than zero (CPUs minus so many), but is \"banana\"",
        "ecosystem.toml:4: app api: unknown key `maxMemoryRestrat`, did you mean \
         `maxMemoryRestart`?",
        "ecosystem.toml:5: app api: `max_memory_restart` must be a size with a unit such as \
         \"300M\" or \"1.5GiB\", but is \"12Q\"",
        "ecosystem.toml:7: app api: `script` is the same key as `exec`",
        "ecosystem.toml:8: app api: `on` must be a table with `crash`, `errored`, `reload_failed` \
         and `oom`, or some of them, each a URL or a command line, but is true",
        "ecosystem.toml:11: app 2: `autorestart` must be true or false, but is 1",
        "ecosystem.toml:12: app 2: unknown key `colour`",
        "ecosystem.toml:13: app 2: `args` must be a list of texts, or one text with balanced \
         quotes, but is \"it's\"",
        "ecosystem.toml:14: app 2: `kill_timeout` must be milliseconds or a duration such as \
         \"1600ms\", \"5s\" or \"2m\", but is \"soon\"",
        "ecosystem.toml:15: app 2: `env` must be a table of variables, but is a list",
        "ecosystem.toml:16: app 2: `env_x` must be a table of variables, but is 1",
        "ecosystem.toml:17: app 2: `port` must be a port from 0 to 65535, but is 70000",
        "ecosystem.toml:18: app 2: `max_surge` must be a whole number from 1, but is 0",
        "ecosystem.toml:19: app 2: `exec_mode` must be \"fork\" or \"cluster\", but is \"both\"",
        "ecosystem.toml:20: app 2: `ready` must be a table whose `http` is a URL such as \
         \"http://127.0.0.1:{port}/healthz\", but is \"x\"",
        "ecosystem.toml:21: app 2: `stop_signal` must be a signal (did you mean SIGTERM?), but is \
         \"SIGTRM\"",
        "ecosystem.toml:22: app 2: `name` must be a text, but is 5",
    ];
    assert_eq!(refusal(toml(text)), (want.join("\n"), Some("keep one of them".into())));
}

#[test]
fn apps_that_wait_for_each_other_are_refused() {
    let machine = Machine::new().program("web").program("db");
    let text = "[[apps]]\nscript = 'db'\n\n[[apps]]\nscript = 'web'\ndepends_on = ['db']\n";
    let resolved = |text: &str| toml(text).unwrap().resolve(&machine.context());
    assert_eq!(resolved(text).unwrap().specs[1].depends_on.len(), 1);
    let text = text.replace("'db'\n\n", "'db'\ndepends_on = { web = 'started' }\n\n");
    let error = resolved(&text).unwrap_err();
    assert_eq!(
        (error.to_string(), error.hint()),
        (
            "ecosystem.toml:3: app db: apps wait for each other: db waits for web, web for db"
                .to_owned(),
            Some("take one of them out of `depends_on`".to_owned())
        )
    );
}

#[test]
fn roots_that_are_no_ecosystem() {
    let apps = Some("add one: [[apps]] in TOML, {\"apps\": [...]} in JSON".to_owned());
    let example = Some("ecosystem.example.toml shows every key".to_owned());
    let table = [
        (toml(""), "ecosystem.toml: there are no apps", apps.clone()),
        (json("[]"), "ecosystem.json: there are no apps", apps.clone()),
        (json("{\"apps\": []}"), "ecosystem.json: there are no apps", apps),
        (json("\n7"), "ecosystem.json:2: the file must be a list of apps, but is 7", None),
        (toml("apps = 'a'"), "ecosystem.toml:1: `apps` must be a list of apps, but is \"a\"", None),
        (
            toml("apps = [{script = 'a'}, 'b']"),
            "ecosystem.toml:1: app 2 must be a table of keys, but is \"b\"",
            None,
        ),
        (
            toml("\n[[app]]\nscript = 'a'"),
            "ecosystem.toml:2: unknown key `app`, did you mean `apps`?",
            None,
        ),
        (
            toml("name = 'x'\n[[apps]]\nscript = 'a'"),
            "ecosystem.toml:1: key `name` must stand in an app",
            Some("move it below [[apps]]".into()),
        ),
        (
            toml("[[apps]]\nscript = 'a'\n[colours]"),
            "ecosystem.toml:3: unknown key `colours`",
            example,
        ),
        (
            toml("[[apps]\n"),
            "ecosystem.toml:1: not valid TOML: unclosed array table, expected `]`",
            None,
        ),
        (json("{\n  // no\n 1}"), "ecosystem.json:3: not valid JSON: expected identifier", None),
    ];
    for (file, error, hint) in table {
        assert_eq!(refusal(file), (error.into(), hint));
    }
}

#[test]
fn files_that_cannot_be_read() {
    let machine = Machine::new()
        .file("big.toml", &vec![b'\n'; usize::try_from(MAX_FILE_BYTES).unwrap() + 1], 0o644)
        .file("latin.toml", b"name = '\xff'", 0o644);
    let table = [
        ("no.toml", "cannot read /m/app/no.toml: No such file or directory (os error 2)", None),
        ("big.toml", "/m/app/big.toml is larger than 4 MiB", None),
        (
            "latin.toml",
            "cannot read /m/app/latin.toml: invalid utf-8 sequence of 1 bytes from index 8",
            None,
        ),
        (
            "server.js",
            "/m/app/server.js is no ecosystem file",
            Some(
                "ecosystem files are *.toml, *.json, *.json5, *.yaml, *.yml and *.config.js, .cjs, \
                 .mjs or .ts",
            ),
        ),
    ];
    for (name, error, hint) in table {
        let (text, its_hint) = refusal(read(&machine.app().join(name)));
        assert_eq!((machine.plain(&text).as_str(), its_hint.as_deref()), (error, hint));
    }
}

#[test]
fn what_javascript_exports_comes_from_the_callers_runtime() {
    let path = Path::new("/srv/ecosystem.config.js");
    let file = Ecosystem::read(path, |file| Ok(format!("[{{\"script\": {file:?}}}]"))).unwrap();
    assert_eq!(scripts(&file), ["/srv/ecosystem.config.js"]);
    let thrown = |file: &Path| {
        let (line, reason, hint) = (Some(3), "ReferenceError: x".to_owned(), None);
        Err(ConfigError::Evaluation { path: file.into(), line, reason, hint })
    };
    let want = "/srv/ecosystem.config.js:3: ReferenceError: x";
    assert_eq!(refusal(Ecosystem::read(path, thrown)), (want.into(), None));
}

#[test]
fn paths_start_at_the_file_and_not_at_the_caller() {
    let machine = Machine::new()
        .program("node")
        .file("shop/api/server.js", b"", 0o644)
        .file("shop/web.js", b"", 0o644)
        .file(
            "shop/e.toml",
            b"[[apps]]\nscript = 'web'\n[[apps]]\nscript = 'server.js'\ncwd = 'api'",
            0o644,
        );
    let file = read(&machine.app().join("shop/e.toml")).unwrap();
    let context = Context { cwd: "/elsewhere".into(), ..machine.context() };
    assert_eq!(file.names(&context), ["web", "server"]);
    let specs = file.resolve(&context).unwrap().specs;
    let paths: Vec<_> = specs.into_iter().map(|spec| (spec.cwd, spec.launch.script)).collect();
    let shop = machine.app().join("shop");
    let want =
        [(shop.clone(), shop.join("web.js")), (shop.join("api"), shop.join("api/server.js"))];
    assert_eq!(paths, want);
}

#[test]
fn what_the_machine_refuses_names_the_keys_line() {
    let machine = Machine::new().program("node").file("a.js", b"", 0o644);
    let text = "[[apps]]\nname = 'x'\nscript = 'nope.js'\n[[apps]]\nscript = 'a.js'\ncwd = 'no'\n\
                [[apps]]\nname = 'y'\nscript = 'a.js'\n[[apps]]\nscript = 'a.js'\nname = 'y'\n\
                [[apps]]\nname = 'z'\n";
    let error = toml(text).unwrap().resolve(&machine.context()).unwrap_err();
    let want = [
        "ecosystem.toml:3: app x: script /m/app/nope.js does not exist, nor such a program in \
         PATH (/m/bin)",
        "ecosystem.toml:6: app a: cwd /m/app/no does not exist",
        "ecosystem.toml:12: app y: the app at line 7 has the same name",
        "ecosystem.toml:13: app z: no `script` is given",
    ];
    assert_eq!(machine.plain(&error.to_string()), want.join("\n"));
}

#[test]
fn the_example_starts_without_node() {
    let machine = Machine::new();
    let example = Ecosystem::parse(EXAMPLE, Format::Toml, Path::new("e.toml")).unwrap();
    let ResolvedFile { specs, warnings } = example.resolve(&machine.context()).unwrap();
    let summary = |spec: &AppSpec| {
        let args = spec.launch.args.join(" ");
        format!("{} {} {args} x{}", spec.name, spec.launch.script.display(), spec.instances)
    };
    let summaries: Vec<String> = specs.iter().map(summary).collect();
    assert_eq!(summaries, ["hello /opt/rpm __serve examples/site 8080 x4"]);
    assert_eq!(warnings, []);
}

#[test]
fn the_example_shows_every_key_and_each_can_be_uncommented() {
    let is_example = |rest: &&str| rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '[');
    let uncommented: Vec<&str> = EXAMPLE
        .lines()
        .map(|line| line.strip_prefix('#').filter(is_example).unwrap_or(line))
        .collect();
    let text = uncommented.join("\n");
    let file = toml(&text).unwrap();
    let app = &file.apps[1];
    assert_eq!(app.lines.keys().copied().collect::<Vec<_>>(), {
        let mut names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
        names.sort_unstable();
        names
    });
    assert_eq!(app.options.env_sets.keys().collect::<Vec<_>>(), ["production"]);
}

#[test]
fn each_example_can_be_uncommented_alone() {
    let is_key = |line: &&str| line.starts_with('#') && line.contains(" = ");
    let keys: Vec<&str> = EXAMPLE.lines().filter(is_key).collect();
    let plain = keys.iter().filter_map(|line| line.strip_prefix('#'));
    for line in plain.filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase())) {
        let text = format!("[[apps]]\n{line}\n");
        assert!(toml(&text).is_ok(), "{line}");
    }
}

/// Texts that get past the parsers' first look more often than noise would.
fn plausible() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "[[apps]]",
        "\n",
        "\"",
        "'",
        "=",
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "name",
        "env",
        "apps",
        "pm2",
        "instances",
        "args",
        "max_memory_restart",
        "kill_timeout",
        "stop_signal",
        "-1",
        "1e9",
        "0x",
        "9999999999999999999",
        "null",
        "true",
        "nan",
        "1979-05-27",
        "é",
        "\0",
        " ",
        "\\",
        "#",
        "~",
        "- ",
        ": ",
        "&a ",
        "*a",
        "<<",
    ]);
    prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn no_text_can_panic_a_parser(text in prop_oneof![any::<String>(), plausible()]) {
        for file in [toml(&text), json(&text), yaml(&text)] {
            let _ = file.map(|file| file.apps.len()).map_err(|error| error.to_string());
        }
    }

    #[test]
    fn no_changed_file_can_panic_its_reader(
        toml in rpm_corpus::changed(rpm_corpus::inputs("toml")),
        json in rpm_corpus::changed(rpm_corpus::inputs("json")),
        yaml in rpm_corpus::changed(rpm_corpus::inputs("yaml")),
    ) {
        let machine = Machine::new().program("node").program("bash");
        let files = [(Format::Toml, toml), (Format::Json, json), (Format::Yaml, yaml)];
        for (format, bytes) in files {
            let text = String::from_utf8_lossy(&bytes);
            let file = Ecosystem::parse(&text, format, Path::new("/e"));
            let _ = file
                .and_then(|file| file.resolve(&machine.context()).map(drop))
                .map_err(|error| error.to_string());
        }
    }

    #[test]
    fn no_value_can_panic_its_key(text in any::<String>()) {
        for key in KEYS {
            let _ = AppOptions::default().set(key.name, &text);
        }
    }

    #[test]
    fn no_script_can_panic_the_search(script in any::<String>(), name in any::<Option<String>>()) {
        let machine = Machine::new().program("node").program("bash");
        let options = AppOptions { script: Some(script), name, ..AppOptions::default() };
        let _ = crate::resolve(&options, &machine.context());
    }
}
