//! Slots: the numbers 0..N-1 and the ports that follow from them, through all that can happen.

use crate::harness::{App, Home, LIMIT, Process, ask, port, ports, who_answers};
use std::collections::BTreeSet;

/// The slots rpm lists, and those the workers believe in.
fn slots(home: &Home) -> Vec<u64> {
    let mut slots: Vec<u64> = home.app("web").iter().map(App::slot).collect();
    slots.sort_unstable();
    slots
}

/// What is done to four instances, and how many there are then.
fn through_everything(home: &Home, check: impl Fn(usize)) {
    check(4);
    home.rpm(["restart", "web"]).success();
    check(4);
    home.rpm(["reload", "web"]).success();
    check(4);
    home.rpm(["scale", "web", "2"]).success();
    check(2);
    home.rpm(["scale", "web", "+2"]).success();
    check(4);
    let daemon = home.daemon();
    daemon.kill();
    assert!(daemon.ends_within(LIMIT));
    check(4);
    home.rpm(["reload", "web"]).success();
    check(4);
    let victim = home.app("web")[1].pid();
    Process(victim).kill();
    home.wait_until("it is replaced", |apps| {
        apps[1].pid() != victim && apps.iter().all(App::is_online)
    });
    check(4);
}

#[test]
fn slots_of_a_shared_port_stay() {
    let (home, port) = (Home::new(), port());
    home.start_web("hello.js", "4", port);
    through_everything(&home, |count| {
        let want: Vec<u64> = (0..count as u64).collect();
        assert_eq!(slots(&home), want);
        let told: BTreeSet<_> =
            who_answers(port, count).into_iter().map(|who| who.instance.expect("a slot")).collect();
        assert_eq!(told, want.iter().map(u64::to_string).collect());
    });
}

#[test]
fn incremented_ports_stay() {
    let (home, first) = (Home::new(), ports(4));
    home.copy("hello.js");
    home.write(
        "ecosystem.json",
        &format!(
            r#"{{"apps": [{{"name": "web", "script": "hello.js", "instances": 4,
                "increment_var": "PORT", "min_uptime": "60s", "env": {{"PORT": "{first}"}}}}]}}"#
        ),
    );
    // For so long an instance that does not listen yet is not taken for ready.
    home.rpm(["start", "ecosystem.json"]).success();
    through_everything(&home, |count| {
        let apps = home.app("web");
        assert_eq!(slots(&home), (0..count as u64).collect::<Vec<_>>());
        for app in apps {
            let slot = u16::try_from(app.slot()).expect("a slot");
            assert_eq!(ask(first + slot).pid, app.pid(), "port {}", first + slot);
        }
    });
}
