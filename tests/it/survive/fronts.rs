//! Fronts are children as any other: they outlive what apps outlive.

use super::{both::kill_both, kill_keeper};
use crate::harness::{AT_EASE, App, Home, Load, Process, ask, port, ports};
use std::{collections::BTreeSet, path::Path};

const BINARY: &str = env!("CARGO_BIN_EXE_rpm");

/// An app of three behind a front, whose port it is.
fn shop(home: &Home) -> u16 {
    let (port, first) = (port(), ports(6));
    home.copy("hello.js");
    let text = format!(
        "[[apps]]\nname = \"shop\"\nscript = \"hello.js\"\ninstances = 3\nincrement_var = \
         \"PORT\"\nmin_uptime = \"30s\"\nkill_timeout = \"30s\"\n\
         proxy = \"127.0.0.1:{port}\"\n[apps.env]\nPORT = {first}\n"
    );
    home.write("ecosystem.toml", &text);
    home.rpm(["start", "ecosystem.toml"]).success();
    port
}

fn front(home: &Home) -> Process {
    let app = home.app("shop").remove(0);
    Process(u32::try_from(app.env("front")["pid"].as_u64().unwrap()).unwrap())
}

fn pids(home: &Home) -> BTreeSet<u32> {
    home.pids("shop").into_iter().collect()
}

/// Reload and scale as if nothing had been, and that the last one serves.
fn goes_on(home: &Home, port: u16, load: Load) {
    let before = pids(home);
    home.rpm(["reload", "shop"]).success();
    load.more(20);
    load.stop().is_clean(60);
    assert!(pids(home).is_disjoint(&before));
    home.rpm(["scale", "shop", "1"]).success();
    assert_eq!(ask(port).pid, home.single("shop").pid());
    home.rpm(["stop", "shop"]).success();
    std::net::TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
}

#[test]
fn a_front_outlives_the_keeper() {
    let home = Home::new();
    let port = shop(&home);
    let (before, apps) = (front(&home), pids(&home));
    let load = Load::on(port).fresh(3).keep_alive(2);
    load.more(20);
    kill_keeper(&home);
    load.more(20);
    assert_eq!((front(&home), pids(&home)), (before, apps));
    goes_on(&home, port, load);
}

#[test]
fn a_front_outlives_an_update() {
    let home = Home::with_own_binary();
    let port = shop(&home);
    let (before, apps) = (front(&home), pids(&home));
    let load = Load::on(port).fresh(3).keep_alive(2);
    load.more(20);
    home.install(Path::new(BINARY));
    home.rpm(["update"]).success();
    load.more(20);
    assert_eq!((front(&home), pids(&home)), (before, apps));
    let reasons = |home: &Home| -> Vec<Option<String>> {
        let reason = |app: &App| app.env("needs_roll").as_str().map(str::to_owned);
        home.app("shop").iter().map(reason).collect()
    };
    let old = "its front is of another version of rpm".to_owned();
    assert_eq!(reasons(&home), [Some(old.clone()), Some(old.clone()), Some(old)]);
    // A reload replaces that as well, and cuts nobody.
    home.rpm(["reload", "shop"]).success();
    assert_ne!(front(&home), before);
    assert_eq!(reasons(&home), [None, None, None]);
    load.more(20);
    goes_on(&home, port, load);
}

#[test]
fn a_front_outlives_both() {
    let home = Home::new();
    let port = shop(&home);
    home.wait_until("all online", |apps| apps.iter().all(App::is_online));
    let (before, apps) = (front(&home), pids(&home));
    let load = Load::on(port).fresh(3).keep_alive(2);
    load.more(20);
    kill_both(&home);
    load.more(20);
    assert_eq!((front(&home), pids(&home)), (before, apps));
    goes_on(&home, port, load);
}

/// Three workers that share a port by `least_conn`: each has a private socket behind a front.
fn shared(home: &Home, program: &str) -> u16 {
    let port = port();
    home.copy(program);
    let words = ["start", program, "--name", "shop", "-i", "3", "--balance", "least_conn"];
    let words = [&words[..], &AT_EASE].concat();
    home.rpm_under(&[], &words).env("PORT", port).success();
    home.wait_until("three online", |apps| apps.len() == 3 && apps.iter().all(App::is_online));
    ask(port);
    port
}

/// Has a fault happen twice, the second time to what the first has taken over.
fn private_sockets_outlive(fault: impl Fn(&Home)) {
    for program in ["balanced.js", "balanced.py"] {
        let home = Home::with_own_binary();
        let port = shared(&home, program);
        // The addresses of these are not those of the first.
        home.rpm(["reload", "shop"]).success();
        let (before, apps) = (front(&home), pids(&home));
        let load = Load::on(port).fresh(4);
        for _ in 0..2 {
            load.more(20);
            fault(&home);
            load.more(20);
            assert_eq!((front(&home), pids(&home)), (before, apps.clone()), "{program}");
        }
        home.rpm(["reload", "shop"]).success();
        goes_on(&home, port, load);
    }
}

#[test]
fn private_sockets_outlive_keepers() {
    private_sockets_outlive(kill_keeper);
}

#[test]
fn private_sockets_outlive_updates() {
    private_sockets_outlive(|home| {
        home.install(Path::new(BINARY));
        home.rpm(["update"]).success();
    });
}

#[test]
fn private_sockets_outlive_both() {
    private_sockets_outlive(kill_both);
}
