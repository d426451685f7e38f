//! A command line and a daemon of neighbouring versions understand each other.

use crate::harness::Home;
use serde_json::json;

#[test]
fn clients_one_version_apart_are_served_and_others_told_why_not() {
    let home = Home::new();
    home.copy("ticker.js");
    home.rpm(["start", "ticker.js", "--name", "app"]).success();
    let ours = home.ask("hello", &json!({"version": 1}))["result"]["version"].as_u64().unwrap();
    for version in [ours - 1, ours, ours + 1] {
        let answer = home.ask("hello", &json!({"version": version}));
        assert_eq!(answer["result"]["version"], ours, "{answer}");
    }
    let refused = home.ask("hello", &json!({"version": ours + 2}));
    assert_eq!(refused["error"]["code"], -32001, "{refused}");
}
