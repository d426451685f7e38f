//! Which instances a word means, for every command that takes one.

use crate::harness::{App, Home};

/// Three apps: `api` (ids 0 and 1) and `api-admin` (2) in namespace `back`, `web` (3) in `front`.
fn fleet() -> Home {
    let home = Home::new();
    home.copy("streams.js");
    home.write(
        "ecosystem.json",
        r#"{"apps": [
            {"name": "api", "script": "streams.js", "instances": 2, "namespace": "back"},
            {"name": "api-admin", "script": "streams.js", "namespace": "back"},
            {"name": "web", "script": "streams.js", "namespace": "front"}
        ]}"#,
    );
    home.rpm(["start", "ecosystem.json"]).success();
    assert_eq!(home.jlist().iter().filter(|app| app.is_online()).count(), 4);
    home
}

fn stopped(home: &Home) -> Vec<(String, u64)> {
    let apps = home.jlist();
    let stopped = apps.iter().filter(|app| app.status() == "stopped");
    let mut found: Vec<_> = stopped.map(|app| (app.name().to_owned(), app.slot())).collect();
    found.sort();
    found
}

#[test]
fn name_id_regex_namespace_and_all() {
    let home = fleet();
    let web = home.single("web").id().to_string();
    for (target, again, expected) in [
        ("api", "api", vec![("api", 0), ("api", 1)]),
        (web.as_str(), web.as_str(), vec![("web", 0)]),
        // As in PM2, `start` takes no regex: it may be a path.
        ("/^api/", "back", vec![("api", 0), ("api", 1), ("api-admin", 0)]),
        ("back", "back", vec![("api", 0), ("api", 1), ("api-admin", 0)]),
        ("all", "all", vec![("api", 0), ("api", 1), ("api-admin", 0), ("web", 0)]),
    ] {
        home.rpm(["stop", target]).success();
        let expected: Vec<_> =
            expected.into_iter().map(|(name, slot)| (name.to_owned(), slot)).collect();
        assert_eq!(stopped(&home), expected, "stop {target}");
        home.rpm(["start", again]).success();
        assert_eq!(stopped(&home), [], "start {again}");
    }
}

#[test]
fn several_words_and_a_script_path() {
    let home = fleet();
    home.rpm(["stop", "web", "api-admin"]).success();
    let expected = [("api-admin".to_owned(), 0), ("web".to_owned(), 0)];
    assert_eq!(stopped(&home), expected);
    home.rpm(["delete", "all"]).success();
    assert_eq!(home.jlist(), []);
}

#[test]
fn a_file_means_its_apps_and_only_chooses_among_them() {
    let home = fleet();
    home.rpm(["stop", "ecosystem.json", "--only", "web"]).success();
    assert_eq!(stopped(&home), [("web".to_owned(), 0)]);
    home.rpm(["restart", "ecosystem.json", "--only", "web,api-admin"]).success();
    assert_eq!(stopped(&home), []);
    home.rpm(["delete", "ecosystem.json"]).success();
    assert_eq!(home.jlist(), []);
}

#[test]
fn an_unknown_word_is_refused_with_a_suggestion_and_changes_nothing() {
    let home = fleet();
    let before: Vec<_> = home.jlist().iter().map(App::pid).collect();
    for command in ["stop", "restart", "reload", "delete", "show"] {
        home.rpm([command, "wev"]).refused(&["wev", "web"]);
        home.rpm([command, "77"]).refused(&["77"]);
        home.rpm([command, "/^nothing/"]).refused(&["nothing"]);
    }
    home.rpm(["scale", "wev", "2"]).refused(&["wev", "web"]);
    assert_eq!(home.jlist().iter().map(App::pid).collect::<Vec<_>>(), before);
}

#[test]
fn a_broken_regex_is_named() {
    fleet().rpm(["stop", "/(/"]).refused(&["/(/"]);
}
