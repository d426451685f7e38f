//! `limits`: what an instance may use, as its own process sees it.

use crate::harness::Home;

/// Starts `script` with these limits as `app`.
fn start(home: &Home, limits: &str) -> crate::harness::Rpm {
    home.copy("ticker.js");
    let text = format!("[[apps]]\nname = \"app\"\nscript = \"ticker.js\"\nlimits = {limits}\n");
    home.write("ecosystem.toml", &text);
    home.rpm(["start", "ecosystem.toml"])
}

#[test]
fn open_files_and_niceness_hold_for_the_app_and_after_a_restart() {
    let home = Home::new();
    start(&home, "{ nofile = 777, nice = 7 }").success();
    for _ in 0..2 {
        let pid = home.single("app").pid();
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let words: Vec<&str> = files.split_whitespace().collect();
        assert_eq!(words[3..5], ["777", "777"], "{files}");
        // The 19th field of proc_pid_stat(5); the second is in brackets and may hold blanks.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let after_name = stat.rsplit(") ").next().unwrap();
        assert_eq!(after_name.split(' ').nth(16), Some("7"), "{stat}");
        home.rpm(["restart", "app"]).success();
    }
    let shown = home.rpm(["show", "app"]).success().stdout;
    assert!(shown.contains("nofile 777, nice 7"), "{shown}");
}

#[test]
fn what_is_not_enforced_is_said() {
    let home = Home::new();
    let started = start(&home, "{ memory = \"100M\", pids = 10 }").success();
    let said = "app app: `limits` are not enforced for memory, pids";
    assert!(started.stderr.contains(said), "{started:?}");
    let shown = home.rpm(["show", "app"]).success().stdout;
    assert!(shown.contains("memory (not enforced), pids (not enforced)"), "{shown}");
}
