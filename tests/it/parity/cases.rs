//! What is asked of both; how it is looked at is in `case.rs`.

use super::case::{Case, Step, Step::*};

/// The file `eco.json` of every case.
const ECOSYSTEM: &str = r#"{ "apps": [
    { "name": "a", "script": "streams.js", "namespace": "back", "args": "one two",
      "max_memory_restart": "200M", "kill_timeout": 3000, "env": { "WHO": "a" },
      "env_production": { "WHO": "production" } },
    { "name": "b", "script": "streams.js", "out_file": "b.log" },
    { "name": "c", "script": "server.py", "interpreter": "python3", "merge_logs": true }
] }"#;

/// The file `later.json`: what is not started with the rest.
const LATER: &str = r#"{ "apps": [{ "name": "b", "script": "streams.js", "autostart": false }] }"#;

/// `one.json`: a file whose app has nothing to it.
const ONE: &str = r#"{ "apps": [{ "name": "one", "script": "streams.js" }] }"#;

/// Says its variable, and which signals it gets.
const SIGNALS: &str = "process.on('SIGUSR2', () => console.log('signalled'));
console.log(`who ${process.env.WHO}`);
setInterval(() => {}, 60000);
";

/// Files of the work folder.
pub(super) const WRITTEN: &[(&str, &str)] = &[
    ("package.json", r#"{"name": "parity", "version": "3.2.1"}"#),
    ("eco.json", ECOSYSTEM),
    ("later.json", LATER),
    ("one.json", ONE),
    ("broken.json", "{ apps: ["),
    ("my.app", "#!/bin/sh\nexec sleep 1000\n"),
    ("signals.js", SIGNALS),
    ("index.html", "the first page"),
    ("page.txt", "a page"),
];

macro_rules! case {
    ($name:literal, $($step:literal),*) => {
        Case { name: $name, steps: &[$(Step::Run($step)),*] }
    };
}

const fn looks(name: &'static str, steps: &'static [Step]) -> Case {
    Case { name, steps }
}

pub(super) const START: &[Case] = &[
    case!("script", "start streams.js"),
    case!("name", "start streams.js -n x --namespace ns -- one --two"),
    case!(
        "long_options",
        "start streams.js --name x --max-memory-restart 200M --kill-timeout 3000 \
          --max-restarts 5 --exp-backoff-restart-delay 100 --no-autorestart"
    ),
    case!("options_first", "--name x -k 3000 start streams.js"),
    case!("node_args", "start streams.js --node-args --trace-warnings"),
    case!("cwd", "start streams.js --cwd /tmp"),
    case!("logs", "start streams.js -o out.log -e err.log"),
    case!("python", "start server.py"),
    case!("program_in_path", "start sleep -- 1000"),
    case!("command_line", "start missing.js"),
    case!("cluster", "start hello.js -i 2"),
    case!("fork_of_two", "start streams.js -i 2 -x"),
    case!("twice", "start streams.js", "start streams.js"),
    case!("existing_name", "start streams.js -n x", "start x"),
    case!("existing_id", "start streams.js -n x", "start 0", "start 7"),
    case!("existing_stopped", "start streams.js -n x", "stop x", "start x"),
    case!("existing_options", "start streams.js -n x", "start x --kill-timeout 3000 -- a b"),
    case!("existing_scaled", "start streams.js -n x", "start x -i 2"),
    case!("several", "start streams.js hello.js"),
    case!("several_one_missing", "start streams.js nosuch.js"),
    case!("nothing", "start"),
    case!("bad_option", "start streams.js --no-such-option"),
    case!("no_value", "start streams.js --name"),
];

pub(super) const TARGETS: &[Case] = &[
    case!("by_name", "start eco.json", "stop a", "restart a", "delete a"),
    case!("by_id", "start eco.json", "stop 0", "restart 0", "delete 2"),
    case!("by_regex", "start eco.json", "stop /^[ac]$/"),
    case!("by_namespace", "start eco.json", "stop back"),
    case!("all", "start eco.json", "stop all", "restart all", "delete all"),
    case!("by_script", "start streams.js -n x", "restart streams.js", "stop streams.js"),
    case!("unknown", "stop x", "restart x", "delete x", "reload x", "stop 99", "describe x"),
    case!("none", "stop all", "restart all", "delete all", "reload all", "stop /x/"),
    case!("two", "start eco.json", "stop a c"),
    case!("one_unknown", "start eco.json", "stop a nosuch"),
];

pub(super) const CHANGE: &[Case] = &[
    case!("restart", "start streams.js -n x", "restart x", "restart x"),
    case!("rename", "start streams.js -n x", "restart x --name y"),
    case!("options", "start streams.js -n x", "restart x --max-memory-restart 300M -k 5000"),
    case!("args", "start streams.js -n x -- a", "restart x -- b c"),
    case!("instances", "start streams.js -n x", "restart x -i 2"),
    case!("stopped", "start streams.js -n x", "stop x", "stop x", "restart x"),
    case!("reload", "start hello.js -n x -i 2", "reload x"),
    case!("scale", "start hello.js -n x -i 2", "scale x 3", "scale x +1", "scale x 2"),
    case!("scale_wrong", "start hello.js -n x -i 2", "scale x 2", "scale y 2"),
    case!("reset", "start streams.js -n x", "restart x", "reset x", "reset y", "reset all"),
];

pub(super) const FILES: &[Case] = &[
    case!("start", "start eco.json"),
    case!("env", "start eco.json --env production --only a"),
    case!("only", "start eco.json --only a,c", "restart eco.json --only a", "stop eco.json"),
    case!("only_unknown", "start eco.json --only nobody"),
    case!("start_or", "startOrRestart eco.json", "startOrReload eco.json"),
    case!("graceful", "startOrGracefulReload eco.json"),
    case!("again", "start eco.json", "start eco.json"),
    case!("delete", "start eco.json", "delete eco.json"),
    case!("missing", "start nosuch.json", "startOrRestart nosuch.json"),
    case!("broken", "start broken.json"),
    case!("autostart", "start later.json", "start b"),
];

pub(super) const LOOK: &[Case] = &[
    case!("lists", "list", "ls", "l", "ps", "status", "jlist", "ls --sort name:desc"),
    looks(
        "pretty",
        &[
            Run("start streams.js -n x"),
            Run("prettylist"),
            Has(&["name: 'x'", "restart_time: 0", "status: 'online'", "args: ", "node_args: []"]),
            Run("list -m"),
            Has(&[
                "+--- x",
                "namespace : default",
                "version : 3.2.1",
                "pid : ",
                "pm2 id : 0",
                "status : online",
                "mode : fork",
                "restarted : 0",
                "uptime : ",
                "memory usage : ",
                "error log : ",
                "watching : no",
                "PID file : ",
            ]),
            Run("-m list"),
            Run("ls --mini-list"),
        ],
    ),
    looks(
        "env",
        &[
            With("WHO", "me", "start streams.js -n x"),
            Run("env 0"),
            Printed("WHO: "),
            Run("env 77"),
        ],
    ),
    looks("ping", &[Run("ping"), Stdout]),
    looks(
        "nothing",
        &[Run("jlist"), Stdout, Run("prettylist"), Stdout, Run("id x"), Run("pid"), Run("ls")],
    ),
    case!("ids", "start hello.js -n x -i 2", "id x", "id y", "pid y"),
    case!("stopped_pid", "start streams.js -n x", "pid x", "stop x", "pid x", "pid"),
    case!("describe", "start streams.js -n x", "describe x", "show 0", "desc x", "info x"),
    case!("report", "report", "--version", "-v", "-V", "-h", "start --help"),
    case!("usage", "nonsense", "stop", "scale x", "id"),
];

/// Each option that describes an app in its long form and its short one, wherever it may stand.
pub(super) const OPTIONS: &[Case] = &[
    case!(
        "long",
        "start streams.js --name x --namespace ns --instances 2 --execute-command \
          --output o.log --error e.log --log both.log --log-type json \
          --log-date-format YYYY --merge-logs --kill-timeout 3000 --listen-timeout 4000 \
          --restart-delay 100 --max-restarts 5 --max-memory-restart 200M --cron-restart 0 \
          --stop-exit-codes 3 --shutdown-with-message --no-treekill --no-autorestart -- a b"
    ),
    case!("short", "-n x -i 2 -x -o o.log -e e.log -k 3000 -f start streams.js -- -n y"),
    case!("equals", "start streams.js --name=x --kill-timeout=3000 --namespace=ns"),
    case!("without_value", "start hello.js -n y --log"),
    case!("pid_file", "start streams.js -n x -p x.pid"),
    looks(
        "cron",
        &[
            Words(&["start", "streams.js", "-n", "x", "-c", "0 3 * * *"]),
            Run("restart x --cron-restart 0"),
            Words(&["start", "hello.js", "-n", "y", "--cron-restart", "61 3 * * *"]),
        ],
    ),
    case!(
        "watch",
        "start streams.js -n x --watch",
        "start hello.js -n y --watch=lib --ignore-watch tmp --watch-delay 4",
        "start stdin.js -n z --watch-delay 500ms --watch"
    ),
    case!("watch_off", "start streams.js -n x --watch", "stop x --watch", "start x"),
    case!("watch_toggled", "start streams.js -n x", "restart x --watch"),
    case!("wait_ready", "start streams.js -n x --wait-ready --listen-timeout 300 --no-autostart"),
    case!("times", "start streams.js -n x --time", "start hello.js -n y --time --log-type json"),
    case!("no_logs", "start streams.js -n x --disable-logs"),
    case!("filter_env", "start streams.js -n x --filter-env AA --filter-env BB"),
    case!("source_maps", "start streams.js -n x --source-map-support"),
    case!("user", "start streams.js -n x --uid root --gid root", "start hello.js -u nobody2"),
    case!(
        "monitoring",
        "start streams.js -n x --no-vizion --no-pmx --no-automation --v8 \
          --event-loop-inspector --disable-source-map-support --disable-trace"
    ),
    case!("interpreter", "start page.txt --interpreter python3 --no-autostart"),
    case!("none", "start /bin/sleep --interpreter none -n m -- 1000", "restart m"),
    case!("write", "start streams.js -n x --write", "start streams.js -n y -w"),
    // Options that mean nothing to a command are no mistake there.
    case!(
        "elsewhere",
        "start streams.js -n x --parallel 2",
        "list --no-color --force",
        "jlist -s -a",
        "stop x --parallel 2 -f --update-env",
        "restart x -s --sort name -m",
        "reload x --parallel 1 --force",
        "describe x --no-color -m",
        "id x -n y",
        "save -f -a",
        "flush x --name y",
        "delete x --force --watch"
    ),
    looks(
        "environment",
        &[
            With("WHO", "one", "start signals.js -n x"),
            Says("x", "who one"),
            With("WHO", "two", "restart x"),
            With("WHO", "three", "restart x --update-env"),
            Says("x", "who three"),
            With("WHO", "four", "reload x -a"),
            Says("x", "who four"),
        ],
    ),
];

pub(super) const TALK: &[Case] = &[
    looks(
        "trigger",
        &[
            Run("start messages.js -n m"),
            Offers("m"),
            Run("trigger m add 1,2,3"),
            Printed("[m:0"),
            Run("trigger 0 add"),
            Printed("[m:0"),
            Run("trigger all add 4"),
            Printed("[m:0"),
            // Not of a namespace: `pm2` hangs after it, now and then.
            Run("trigger nobody add"),
            Run("trigger m"),
        ],
    ),
    looks(
        "send",
        &[
            Run("start stdin.js -n s"),
            Says("s", "listening"),
            Run("send 0 hello"),
            Says("s", "told hello"),
            Run("send 77 hello"),
            Run("send 0"),
        ],
    ),
    looks(
        "signals",
        &[
            Run("start signals.js -n x"),
            Says("x", "who"),
            Run("sendSignal SIGUSR2 x"),
            Says("x", "signalled"),
            Run("sendSignal SIGUSR2 0"),
            Says("x", "signalled\nsignalled"),
            Run("sendSignal SIGUSR2 nobody"),
            Run("sendSignal SIGUSR2 77"),
            Run("sendSignal SIGNONE x"),
        ],
    ),
    looks(
        "logs",
        &[
            Run("start lines.js -n x -- 30 stay"),
            Says("x", "line 30\n"),
            Run("logs x --nostream --raw"),
            Printed("line "),
            Run("logs x --nostream --raw --lines 2 --out"),
            Printed("line "),
            Run("logs --nostream --lines 2 --raw"),
            Printed("line "),
            Run("logs 0 --nostream --lines 1"),
            Printed("line "),
            Run("logs /x/ --nostream --lines 1"),
            Printed("line "),
            Run("logs x --nostream --err"),
            Printed("line "),
            Run("log x --nostream --lines 1 --raw"),
            Printed("line "),
            Run("logs x --nostream --lines=-1 --highlight line"),
            Printed("line "),
            Run("logs nobody --nostream"),
        ],
    ),
    looks(
        "files",
        &[
            Run("start lines.js -n x -- 1 stay"),
            Says("x", "line 1\n"),
            Run("start stdin.js -n s"),
            Says("s", "listening"),
            Run("flush x"),
            File("~/logs/x-out.log"),
            File("~/logs/s-out.log"),
            Run("flush"),
            File("~/logs/s-out.log"),
            Run("flush nobody"),
            Move("~/logs/s-out.log", "~/logs/old.log"),
            Run("reloadLogs"),
            Run("send 1 again"),
            Says("s", "told again"),
            File("~/logs/old.log"),
            File("~/logs/s-out.log"),
        ],
    ),
    looks(
        "written",
        &[
            Run("start lines.js -n x --log-date-format [at] -- 2 stay"),
            Says("x", "line 2\n"),
            File("~/logs/x-out.log"),
            Run("start stdin.js -n y --log both.log"),
            Says("y", "listening"),
            Written("both.log", "listening\n"),
        ],
    ),
];

pub(super) const KEEP: &[Case] = &[
    looks(
        "dump",
        &[
            Run("save"),
            Run("save --force"),
            Run("start streams.js -n x"),
            Run("start streams.js -n y"),
            Run("stop y"),
            Run("dump"),
            Dump,
            Run("delete x"),
            Run("resurrect"),
            Run("delete all"),
            Run("save"),
            Dump,
            Run("resurrect"),
        ],
    ),
    looks(
        "cleardump",
        &[Run("start streams.js -n x"), Run("save"), Run("cleardump"), Dump, Run("resurrect")],
    ),
    looks(
        "settings",
        &[
            Run("set a:b 1"),
            Run("set c.d.e 2"),
            Run("set f 3"),
            File("~/module_conf.json"),
            Words(&["multiset", "a:b 4 g 5"]),
            File("~/module_conf.json"),
            Run("get f"),
            Run("get nothing"),
            Run("get"),
            Run("conf"),
            Run("conf f"),
            Run("config f"),
            Run("config nothing"),
            Run("unset f"),
            Run("unset a:b"),
            File("~/module_conf.json"),
            Run("unset all"),
            File("~/module_conf.json"),
        ],
    ),
    looks(
        "stdin",
        &[
            Told("start -", r#"{"apps": [{"name": "i", "script": "streams.js"}]}"#),
            Told("restart -", r#"{"apps": [{"name": "i", "script": "streams.js"}]}"#),
            Told("stop -", r#"{"apps": [{"name": "i", "script": "streams.js"}]}"#),
            Run("start one.json"),
            Told("delete -", r#"{"apps": [{"name": "i", "script": "streams.js"}]}"#),
        ],
    ),
    looks(
        "kill",
        &[
            Run("start streams.js -n x"),
            Run("kill"),
            Run("kill"),
            Run("ping"),
            Run("start one.json"),
        ],
    ),
    looks(
        "serve",
        &[Run("serve . $PORT --name site"), Get("/"), Get("/page.txt"), Get("/none.html")],
    ),
];

/// All of them, as known.txt and docs/pm2-parity.md call them.
pub(super) const GROUPS: &[(&str, &[Case])] = &[
    ("start", START),
    ("targets", TARGETS),
    ("change", CHANGE),
    ("files", FILES),
    ("look", LOOK),
    ("options", OPTIONS),
    ("talk", TALK),
    ("keep", KEEP),
];
