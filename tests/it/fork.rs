//! Fork mode: separate processes with ports of their own.

use crate::harness::{App, Home, Process, ask, ports};

fn four_hellos(home: &Home, first: u16) {
    home.copy("hello.js");
    home.write(
        "ecosystem.toml",
        &format!(
            "[[apps]]\nname = \"web\"\nscript = \"hello.js\"\ninstances = 4\n\
             increment_var = \"PORT\"\n[apps.env]\nPORT = {first}\n"
        ),
    );
    home.rpm(["start", "ecosystem.toml"]).success();
}

/// (slot, pid, instance as it sees itself) of each of four, by port.
fn by_port(first: u16) -> Vec<(Option<String>, u32)> {
    (first..first + 4).map(ask).map(|who| (who.instance, who.pid)).collect()
}

#[test]
fn increment_var_gives_each_instance_the_next_port() {
    let (home, first) = (Home::new(), ports(4));
    four_hellos(&home, first);
    let apps = home.app("web");
    let expected: Vec<_> =
        apps.iter().map(|app| (Some(app.slot().to_string()), app.pid())).collect();
    assert_eq!(by_port(first), expected);
    assert_eq!(apps.iter().map(App::slot).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert!(apps.iter().all(|app| app.exec_mode() == "fork_mode"), "{apps:#?}");
}

#[test]
fn slots_and_ports_are_stable_over_crash_restart_and_scale() {
    let (home, first) = (Home::new(), ports(4));
    four_hellos(&home, first);
    let before = home.pids("web");
    Process(before[2]).kill();
    home.wait_until("the third is replaced", |apps| {
        apps.len() == 4 && apps[2].pid() != before[2] && apps.iter().all(App::is_online)
    });
    let pids = home.pids("web");
    assert_eq!((pids[0], pids[1], pids[3]), (before[0], before[1], before[3]));
    assert_eq!(by_port(first)[2], (Some("2".to_owned()), pids[2]));
    home.rpm(["restart", "web"]).success();
    let slots: Vec<_> = by_port(first).into_iter().map(|(slot, _)| slot.unwrap()).collect();
    assert_eq!(slots, ["0", "1", "2", "3"]);
}

#[test]
fn instance_var_names_the_slot() {
    let home = Home::new();
    home.copy("environment.js");
    home.write(
        "ecosystem.toml",
        "[[apps]]\nname = \"env\"\nscript = \"environment.js\"\nargs = [\"WORKER\"]\n\
         instances = 3\nexec_mode = \"fork\"\ninstance_var = \"WORKER\"\n",
    );
    home.rpm(["start", "ecosystem.toml"]).success();
    for (slot, app) in home.app("env").iter().enumerate() {
        let text = home.wait_for_line(&app.out_log(), "end of environment");
        assert!(text.contains(&format!("WORKER={slot}\n")), "{text}");
    }
}

#[test]
fn x_means_fork_mode() {
    let home = Home::new();
    home.copy("streams.js");
    home.rpm(["start", "streams.js", "--name", "two", "-i", "2", "-x"]).success();
    let apps = home.app("two");
    assert_eq!(apps.iter().map(App::exec_mode).collect::<Vec<_>>(), ["fork_mode"; 2]);
}
