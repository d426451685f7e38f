//! Kinds of sockets, and several in one app.

use super::program::Program;
use crate::harness::{AT_EASE, Door, Home, Load, ports};

matrix! {
    // One request at a time, no handler.
    tcp6_dual_stack: Program::script("matrix/sockets.py", &["--", "6"])
        .place(|_, port| Door::Http6(port));
    tcp6_dual_stack_over_4: Program::script("matrix/sockets.py", &["--", "6"]);
    unix_path: Program::script("matrix/sockets.py", &["--", "path"])
        .place(|work, _| Door::Path(work.join("web.sock"))).cuts_one();
    // A datagram that its worker has taken and not answered is lost with it: one at a time.
    udp: Program::script("matrix/udp.py", &[])
        .place(|_, port| Door::Datagram(port)).cuts_one();
}

#[test]
fn several_ports_in_one_app() {
    let (home, first) = (Home::new(), ports(2));
    home.copy("matrix/two-ports.js");
    let words = [&["start", "two-ports.js", "--name", "web", "-i", "3"][..], &AT_EASE].concat();
    home.rpm_under(&[], &words).env("PORT", first).success();
    let doors = [Door::Http(first), Door::Http(first + 1)];
    let load = || doors.iter().fold(Load::of(&doors[0]), |load, door| load.through(door, 2));
    // Scaling down is in `scales` of each program.
    for act in [["reload", "web", ""], ["scale", "web", "4"]] {
        let load = load();
        load.more(20);
        let words: Vec<&str> = act.into_iter().filter(|word| !word.is_empty()).collect();
        home.rpm_under(&[], &words).success();
        load.more(20);
        load.stop().is_clean(40);
        for door in &doors {
            super::stages::answers(&home, door, home.app("web").len());
        }
    }
}
