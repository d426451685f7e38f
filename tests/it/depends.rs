//! `depends_on` and `on`: apps that wait for others, and whom a trouble is told to.

use crate::harness::{Home, port};
use serde_json::Value;
use std::{
    io::{Read, Write},
    net::TcpListener,
    path::Path,
};

/// Three apps, each with its own way to be ready.
fn three(home: &Home) {
    home.copy("healthz.js");
    home.copy("crash.js");
    home.copy("ticker.js");
    let port = port();
    home.write(
        "ecosystem.toml",
        &format!(
            "[[apps]]\nname = \"web\"\nscript = \"ticker.js\"\nmin_uptime = 200\n\
             depends_on = {{ db = \"ready\", migrate = \"done\" }}\n\n\
             [[apps]]\nname = \"migrate\"\nscript = \"crash.js\"\nautorestart = false\n\
             min_uptime = 60000\n\
             depends_on = \"db\"\nenv = {{ CODE = 0, AFTER = 100 }}\n\n\
             [[apps]]\nname = \"db\"\nscript = \"healthz.js\"\nport = {port}\n\
             ready = {{ http = \"http://127.0.0.1:{{port}}/healthz\" }}\n\
             env = {{ READY_AFTER = 500 }}\n"
        ),
    );
}

/// What the daemon says of the apps, one word each: `db:Starting`.
fn story(home: &Home, words: &[&str]) -> Vec<String> {
    let of = |line: &str| {
        let (what, rest) = line.split_once("rpm_daemon::perform: ")?.1.split_once(" app=")?;
        let word = what.split(' ').next()?;
        let told = words.contains(&word);
        told.then(|| format!("{}:{word}", rest.split(' ').next().unwrap_or_default()))
    };
    home.log().lines().filter_map(of).collect()
}

#[test]
fn they_start_in_order_and_stop_in_reverse() {
    let home = Home::new();
    three(&home);
    home.rpm(["start", "ecosystem.toml"]).success();
    let want = ["db:Starting", "db:Online", "migrate:Starting", "web:Starting", "web:Online"];
    assert_eq!(story(&home, &["Starting", "Online"]), want);
    assert_eq!(home.single("migrate").status(), "stopped");
    let before = story(&home, &["Exited"]).len();
    home.rpm(["stop", "all"]).success();
    assert_eq!(story(&home, &["Exited"])[before..], ["web:Exited", "db:Exited"]);

    // One alone brings what it needs; the migration is done already.
    home.rpm(["start", "web"]).success();
    for app in ["db", "web"] {
        assert!(home.single(app).is_online(), "{app}");
    }
    assert_eq!(home.single("migrate").status(), "stopped");
    assert!(home.rpm(["show", "web"]).success().stdout.contains("db (ready) migrate (done)"));

    // A list that is brought back starts in order, too, and a migration anew.
    home.rpm(["save"]).success();
    home.rpm(["kill"]).success();
    let before = story(&home, &["Starting"]).len();
    home.rpm(["resurrect"]).success();
    assert_eq!(
        story(&home, &["Starting"])[before..],
        ["db:Starting", "migrate:Starting", "web:Starting"]
    );
}

#[test]
fn a_reload_of_what_it_needs_and_of_itself_waits_for_nobody() {
    let home = Home::new();
    three(&home);
    home.rpm(["start", "ecosystem.toml"]).success();
    let web = home.single("web").pid();
    home.rpm(["reload", "db"]).success();
    assert_eq!(home.single("web").pid(), web);
    home.rpm(["stop", "db"]).success();
    home.rpm(["reload", "web", "-i", "1"]).output();
    assert_eq!(home.single("web").status(), "online");
}

#[test]
fn who_waits_in_vain_is_told_and_starts_later() {
    let home = Home::new();
    three(&home);
    home.rpm(["start", "ecosystem.toml", "--only", "web"])
        .refused(&["web 0: waits for db, which is not there", "start db too"]);
    assert_eq!((home.single("web").status(), home.single("web").pid()), ("launching", 0));
    home.rpm(["start", "ecosystem.toml", "--only", "db,migrate"]).success();
    home.wait_until("web is started", |apps| {
        apps.iter().any(|app| app.name() == "web" && app.is_online())
    });
}

#[test]
fn circles_are_refused_by_name() {
    let home = Home::new();
    home.copy("ticker.js");
    let app = |name: &str, on: &str| {
        format!("[[apps]]\nname = \"{name}\"\nscript = \"ticker.js\"\ndepends_on = [\"{on}\"]\n")
    };
    home.write("ecosystem.toml", &[app("a", "b"), app("b", "c"), app("c", "a")].concat());
    home.rpm(["start", "ecosystem.toml"])
        .refused(&["apps wait for each other: a waits for b, b for c, c for a"]);
    // Nor by two files.
    home.write("one.toml", &app("a", "b"));
    home.write("two.toml", &app("b", "a"));
    home.rpm(["start", "one.toml"]).output();
    home.rpm(["start", "two.toml"])
        .refused(&["apps wait for each other: a waits for b, b for a", "depends_on"]);
    home.rpm(["delete", "a"]).success();
    assert_eq!(home.jlist(), []);
}

/// The first request somebody makes, and the answer it gets.
fn answer_one(listener: &TcpListener) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let (mut request, mut buffer) = (String::new(), [0; 4096]);
    while !request.ends_with("}\n") {
        let read = stream.read(&mut buffer).unwrap();
        assert_ne!(read, 0, "{request}");
        request.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    stream.write_all(b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n").unwrap();
    request
}

#[test]
fn crashes_are_told_to_a_command_once_and_the_end_to_a_url() {
    let home = Home::new();
    home.copy("crash.js");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    home.write(
        "ecosystem.toml",
        &format!(
            "[[apps]]\nname = \"app\"\nscript = \"crash.js\"\nmax_restarts = 3\n\
             env = {{ CODE = 7, COLOR = \"red\", SAY = \"one\\ntwo\" }}\n\
             on = {{ crash = \"echo $RPM_EVENT $RPM_APP $RPM_INSTANCE $COLOR: $RPM_REASON \
             >>told && cat >>told\", errored = \"http://127.0.0.1:{port}/hook?x=1\" }}\n"
        ),
    );
    home.rpm(["start", "ecosystem.toml"]).output();
    let request = answer_one(&listener);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /hook?x=1 HTTP/1.1\r\n"), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["event"], &body["app"]), (&"errored".into(), &"app".into()));

    let told = home.work().join("told");
    let text = home.wait_for_lines(&told, "", 2);
    let (line, json) = text.split_once('\n').unwrap();
    assert_eq!(line, "crash app 0 red: exited with code 7");
    let json: Value = serde_json::from_str(json).unwrap();
    assert_eq!((&json["reason"], &json["left_out"]), (&"exited with code 7".into(), &0.into()));
    assert_eq!(json["stderr"], serde_json::json!(["one", "two"]));
    assert_once(&told);
}

/// Of three crashes one was told.
fn assert_once(told: &Path) {
    let text = std::fs::read_to_string(told).unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with("crash ")).count(), 1, "{text}");
}

#[test]
fn what_is_asked_for_is_no_trouble() {
    let home = Home::new();
    home.copy("crash.js");
    home.copy("ticker.js");
    home.write(
        "ecosystem.toml",
        "[[apps]]\nname = \"stopped\"\nscript = \"ticker.js\"\non = { crash = \"echo x >>told\" }\n\
         [[apps]]\nname = \"done\"\nscript = \"crash.js\"\nautorestart = false\n\
         env = { CODE = 0 }\non = { crash = \"echo x >>told\" }\n\
         [[apps]]\nname = \"fails\"\nscript = \"crash.js\"\nautorestart = false\n\
         on = { crash = \"echo fails >>told\" }\n",
    );
    home.rpm(["start", "ecosystem.toml", "--only", "stopped,done"]).success();
    home.rpm(["restart", "stopped"]).success();
    home.rpm(["start", "ecosystem.toml", "--only", "fails"]).output();
    let told = home.wait_for_line(&home.work().join("told"), "fails");
    assert_eq!(told.trim(), "fails");
}

#[test]
fn an_app_with_another_name_is_still_waited_for_after_the_daemon_died() {
    let home = Home::new();
    home.write(
        "ecosystem.toml",
        "[[apps]]\nname = 'db'\nscript = 'sleep 86430'\nmin_uptime = 100\nstop_signal = 'TERM'\n\
         [[apps]]\nname = 'web'\nscript = 'sleep 86431'\nmin_uptime = 100\nstop_signal = 'TERM'\n\
         depends_on = { db = 'started' }\n",
    );
    home.rpm(["start", "ecosystem.toml"]).success();
    home.rpm(["restart", "db", "--name", "store"]).success();
    let daemon = home.daemon();
    daemon.kill();
    assert!(daemon.ends_within(crate::harness::LIMIT));
    home.rpm(["stop", "all"]).success();
    home.rpm(["start", "web"]).success();
    for app in ["store", "web"] {
        assert!(home.single(app).is_online(), "{app}");
    }
    assert!(home.rpm(["show", "web"]).success().stdout.contains("store (started)"));
}
