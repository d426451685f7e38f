//! Several copies of a program on one port.

use crate::{
    clients::{answer, ask, ask_often, free_port, local, no_forks, request},
    programs::{ASYNCIO, C_SERVER, HTTP, NODE, compile, python},
    world::{NOBODY, World},
};
use rpm_keeper::{Address, Balance, ChildId, Event, Owner};
use std::{collections::BTreeSet, io::ErrorKind, net::TcpStream, os::fd::AsFd, time::Duration};

fn http(port: &str) -> [&str; 5] {
    ["python3", "-c", HTTP, "0.0.0.0", port]
}

/// Starts `count` slots at the same moment and waits until all listen; their pids.
fn start_all(world: &mut World, count: u32, words: &[&str]) -> BTreeSet<i32> {
    let children: Vec<_> = (0..count).map(|slot| world.start("app", slot, words)).collect();
    for child in &children {
        world.until_listening(*child);
    }
    children.iter().map(|child| world.pid(*child)).collect()
}

/// Asks until each of these has answered.
fn all_answer(port: u16, pids: &BTreeSet<i32>) {
    let mut missing = pids.clone();
    for _ in 0..2000 {
        missing.remove(&ask(port));
        if missing.is_empty() {
            return;
        }
    }
    panic!("never answered: {missing:?} of {pids:?}");
}

#[test]
fn three_python_servers_share_a_port() {
    let (mut world, port) = (World::new(), free_port());
    let pids = start_all(&mut world, 3, &http(&port.to_string()));
    let address = [Address::Tcp(([0, 0, 0, 0], port).into())];
    assert_eq!(world.events.len(), 3, "{:?}", world.events);
    for child in 0..3 {
        assert_eq!(world.listening(rpm_keeper::ChildId(child)), address);
    }
    all_answer(port, &pids);
    let counts = ask_often(port, 60);
    assert_eq!(counts.values().sum::<usize>(), 60);
}

#[test]
fn programs_of_an_unprivileged_user_share_a_port() {
    let (mut world, port) = (World::new(), free_port());
    if rpm_unix::process::effective_uid() == 0 {
        world.credentials = Some(NOBODY);
    }
    let text = port.to_string();
    let pids = start_all(&mut world, 2, &http(&text));
    all_answer(port, &pids);
    let child = world.restart(rpm_keeper::ChildId(0), &http(&text));
    all_answer(port, &BTreeSet::from([world.pid(child)]));
}

#[test]
fn a_restarted_slot_answers_what_waited_in_its_queue() {
    let (mut world, port) = (World::new(), free_port());
    let text = port.to_string();
    let child = world.serve("app", 0, &http(&text));
    world.kill(child);
    let waiting: Vec<_> = (0..5).map(|_| request(port)).collect();
    let child = world.serve("app", 0, &http(&text));
    for stream in waiting {
        assert_eq!(answer(stream), world.pid(child));
    }
}

#[test]
fn of_two_slots_one_can_be_restarted_without_losing_a_connection() {
    let (mut world, port) = (World::new(), free_port());
    let text = port.to_string();
    start_all(&mut world, 2, &http(&text));
    let mut child = rpm_keeper::ChildId(1);
    for _ in 0..3 {
        world.kill(child);
        let waiting: Vec<_> = (0..5).map(|_| request(port)).collect();
        child = world.serve("app", 1, &http(&text));
        waiting.into_iter().for_each(|stream| assert!(answer(stream) > 0));
    }
}

/// Who answers so many requests.
fn answering(port: u16, questions: usize) -> BTreeSet<i32> {
    ask_often(port, questions).into_keys().collect()
}

#[test]
fn a_replacement_gets_nothing_before_the_old_one_is_relieved_and_everything_after() {
    let (mut world, port) = (World::new(), free_port());
    let text = port.to_string();
    let other = world.serve("app", 1, &http(&text));
    let old = world.serve("app", 0, &http(&text));
    let new = world.serve("app", 0, &http(&text));
    let pids =
        |world: &World, children: [ChildId; 2]| children.map(|child| world.pid(child)).into();
    assert_eq!(answering(port, 200), pids(&world, [other, old]));
    let events = world.ports.relieve(old);
    assert!(events.is_empty(), "{events:?}");
    assert_eq!(answering(port, 200), pids(&world, [other, new]));
    let told = |event: &Event| matches!(event, Event::Relieved { child } if *child == old);
    world.until("relieved", |world| world.events.iter().any(told));
    world.kill(old);
    assert_eq!(answering(port, 200), pids(&world, [other, new]));
}

#[test]
fn a_relieved_program_is_waited_for_until_it_has_accepted_what_is_its_own() {
    let (mut world, port) = (World::new(), free_port());
    let text = port.to_string();
    let old = world.serve("app", 0, &http(&text));
    world.signal(old, 19);
    let waiting: Vec<_> = (0..5).map(|_| request(port)).collect();
    let new = world.serve("app", 0, &http(&text));
    world.ports.relieve(old);
    let told = |event: &Event| matches!(event, Event::Relieved { child } if *child == old);
    for _ in 0..20 {
        assert_eq!(answering(port, 5), BTreeSet::from([world.pid(new)]));
        world.events.extend(world.ports.on_timeout());
    }
    assert!(!world.events.iter().any(told), "{:?}", world.events);
    world.signal(old, 18);
    for stream in waiting {
        assert_eq!(answer(stream), world.pid(old));
    }
    world.until("relieved", |world| world.events.iter().any(told));
}

#[test]
fn a_slot_that_has_left_hears_nothing_until_it_is_back() {
    let (mut world, port) = (World::new(), free_port());
    let text = port.to_string();
    let staying = world.serve("app", 1, &http(&text));
    let leaving = world.serve("app", 0, &http(&text));
    let [owner, other] = [0, 1].map(|slot| Owner { app: "app".to_owned(), slot });
    let events = world.ports.retire(owner.clone());
    assert!(events.is_empty(), "{events:?}");
    let told = |event: &Event| matches!(event, Event::Retired { .. });
    world.until("retired", |world| world.events.iter().any(told));
    assert_eq!(answering(port, 100), BTreeSet::from([world.pid(staying)]));
    // Whoever comes to it all the same, because a group changes, asks again a second later.
    world.kill(staying);
    world.ports.release(&other);
    let asked = TcpStream::connect_timeout(&local(port), Duration::from_millis(100));
    assert_eq!(asked.unwrap_err().kind(), ErrorKind::TimedOut);
    world.ports.share_by(&owner, Balance::Even);
    assert_eq!(answering(port, 5), BTreeSet::from([world.pid(leaving)]));
}

/// Serves without calling listen on a socket that listens already, as gunicorn does.
const LOOKS_FIRST: &str = r#"
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('0.0.0.0', port))
if not s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
    s.listen(64)
serve(s)
"#;

#[test]
fn a_program_that_finds_its_socket_listening_serves_it_all_the_same() {
    let (mut world, port) = (World::new(), free_port());
    let (text, script) = (port.to_string(), python(LOOKS_FIRST));
    let words = ["python3", "-c", &script, &text];
    let other = world.serve("app", 1, &words);
    let first = world.serve("app", 0, &words);
    let second = world.restart(first, &words);
    assert_eq!(answering(port, 100), BTreeSet::from([world.pid(other), world.pid(second)]));
}

#[test]
fn a_replacement_that_fails_leaves_the_old_one_its_clients() {
    let (mut world, port) = (World::new(), free_port());
    let text = port.to_string();
    let other = world.serve("app", 1, &http(&text));
    let old = world.serve("app", 0, &http(&text));
    world.settled(old);
    let new = world.serve("app", 0, &http(&text));
    world.kill(new);
    let both = BTreeSet::from([world.pid(other), world.pid(old)]);
    all_answer(port, &both);
    // The slot has its socket again: the next one is beside it as the first one was.
    let next = world.serve("app", 0, &http(&text));
    assert_eq!(answering(port, 100), both);
    world.ports.relieve(old);
    assert_eq!(answering(port, 100), BTreeSet::from([world.pid(other), world.pid(next)]));
}

#[test]
fn a_node_server_behind_shells_shares_a_port() {
    let (mut world, port) = (World::new(), free_port());
    let script = format!("cd /; sh -c 'node -e \"$0\" {port}; true' \"$0\"; true");
    let words = ["sh", "-c", &script, NODE];
    let children: Vec<_> = (0..2).map(|slot| world.start("app", slot, &words)).collect();
    for child in &children {
        world.until_listening(*child);
    }
    let mut counts = ask_often(port, 50);
    assert!((1..=2).contains(&counts.len()) && !counts.contains_key(&world.pid(children[0])));
    world.kill(children[0]);
    let waiting = request(port);
    let child = world.start("app", 0, &words);
    world.until_listening(child);
    counts.clear();
    assert!(answer(waiting) > 0);
}

#[test]
fn npm_start_shares_a_port() {
    let (mut world, port) = (World::new(), free_port());
    let directory = tempfile::tempdir().unwrap();
    let script = NODE.replace("process.argv[1]", &port.to_string());
    std::fs::write(directory.path().join("server.js"), script).unwrap();
    let package =
        r#"{ "name": "x", "version": "1.0.0", "scripts": { "start": "node server.js" } }"#;
    std::fs::write(directory.path().join("package.json"), package).unwrap();
    let prefix = format!("--prefix={}", directory.path().display());
    let words = ["npm", "start", "--silent", &prefix];
    for child in (0..2).map(|slot| world.start("app", slot, &words)).collect::<Vec<_>>() {
        world.until_listening(child);
    }
    assert_eq!(ask_often(port, 20).values().sum::<usize>(), 20);
}

#[test]
fn a_threaded_c_server_shares_a_port() {
    let (mut world, port) = (World::new(), free_port());
    let (_directory, binary) = compile(C_SERVER);
    let (text, binary) = (port.to_string(), binary.display().to_string());
    let pids = start_all(&mut world, 2, &[&binary, &text]);
    all_answer(port, &pids);
    let child = world.restart(rpm_keeper::ChildId(1), &[&binary, &text]);
    assert!(ask_often(port, 200).contains_key(&world.pid(child)));
}

#[test]
fn a_listener_that_is_shut_down_listens_again() {
    let (mut world, port) = (World::new(), free_port());
    let (_directory, binary) = compile(C_SERVER);
    let (text, binary) = (port.to_string(), binary.display().to_string());
    let first = world.serve("app", 0, &[&binary, &text]);
    world.until("quiet", |world| world.ports.timeout().is_none_or(|t| t.as_secs() > 1));
    world.signal(first, 15);
    assert_eq!(world.until_exit(first), (3, String::new()));
    // Nobody accepts, but nobody is refused.
    world.until("revival", |_| TcpStream::connect(local(port)).is_ok());
    let waiting = request(port);
    let second = world.serve("app", 0, &[&binary, &text]);
    assert_eq!(answer(waiting), world.pid(second));
    // It is known to do so, hence from now on a worker beside another gets its own socket.
    let third = world.serve("app", 0, &[&binary, &text]);
    world.signal(second, 15);
    world.until_exit(second);
    drop(no_forks());
    assert_eq!(ask_often(port, 20).keys().copied().collect::<Vec<_>>(), [world.pid(third)]);
}

#[test]
fn a_program_that_sets_reuse_port_itself_is_shared_as_any_other() {
    let (mut world, port) = (World::new(), free_port());
    let script = python("serve(tcp('0.0.0.0', port, socket.SO_REUSEPORT))");
    let text = port.to_string();
    let words = ["python3", "-c", &script, &text];
    let pids = start_all(&mut world, 2, &words);
    all_answer(port, &pids);
    world.kill(rpm_keeper::ChildId(0));
    let waiting: Vec<_> = (0..10).map(|_| request(port)).collect();
    world.serve("app", 0, &words);
    waiting.into_iter().for_each(|stream| assert!(answer(stream) > 0));
}

#[test]
fn one_program_may_have_two_sockets_with_reuse_port() {
    let (mut world, port) = (World::new(), free_port());
    let script = python(
        "a = tcp('0.0.0.0', port, socket.SO_REUSEPORT)\n\
         b = tcp('0.0.0.0', port, socket.SO_REUSEPORT)\n\
         import threading\n\
         threading.Thread(target=serve, args=(a,)).start()\n\
         print('both')\n\
         serve(b)",
    );
    let text = port.to_string();
    let words = ["python3", "-c", &script, &text];
    let child = world.serve("app", 0, &words);
    world.until_text(child, "both");
    assert_eq!(ask_often(port, 20).len(), 1);
    let child = world.restart(child, &words);
    world.until_text(child, "both");
    assert_eq!(ask_often(port, 20).keys().copied().collect::<Vec<_>>(), [world.pid(child)]);
}

#[test]
fn probing_binds_pass_as_go_and_bun_do_them() {
    let (mut world, port) = (World::new(), free_port());
    let script = python(
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).bind((0, 0))\n\
         for family, host in (socket.AF_INET6, '::1'), (socket.AF_INET, '127.0.0.1'):\n\
        \x20   s = socket.socket(family)\n\
        \x20   s.bind((host, 0))\n\
        \x20   s.listen()\n\
         u = socket.socket(socket.AF_UNIX)\n\
         u.bind('\\0rpm-probe-%d' % os.getpid())\n\
         u.listen()\n\
         socket.socket(socket.AF_INET, socket.SOCK_DGRAM).bind(('', 0))\n\
         serve(tcp('', port))",
    );
    let text = port.to_string();
    let pids = start_all(&mut world, 2, &["python3", "-c", &script, &text]);
    assert_eq!(world.events.len(), 2, "{:?}", world.events);
    all_answer(port, &pids);
}

#[test]
fn many_slots_that_start_together_all_get_their_place() {
    let (mut world, port) = (World::new(), free_port());
    let (_directory, binary) = compile(C_SERVER);
    let (text, binary) = (port.to_string(), binary.display().to_string());
    let pids = start_all(&mut world, 24, &[&binary, &text]);
    assert_eq!(world.events.len(), 24, "{:?}", world.events);
    all_answer(port, &pids);
}

#[test]
fn an_event_loop_is_reloaded_and_restarted() {
    let (mut world, port) = (World::new(), free_port());
    let text = port.to_string();
    let words = ["python3", "-c", ASYNCIO, &text];
    let mut old = world.serve("app", 0, &words);
    for _ in 0..3 {
        let new = world.serve("app", 0, &words);
        world.ports.relieve(old);
        assert_eq!(answering(port, 20), BTreeSet::from([world.pid(new)]));
        world.kill(old);
        old = new;
    }
    world.kill(old);
    let waiting = request(port);
    let last = world.serve("app", 0, &words);
    assert_eq!(answer(waiting), world.pid(last));
}

/// The daemon's socket for a slot.
fn asked(world: &mut World, slot: u32, port: u16) -> std::os::fd::OwnedFd {
    let owner = Owner { app: "app".to_owned(), slot };
    let address = Address::Tcp(([0, 0, 0, 0], port).into());
    match world.ports.listen(1, owner, address, false, 16) {
        Event::Listener { fd, .. } => fd,
        event => panic!("{event:?}"),
    }
}

#[test]
fn a_listen_on_an_inherited_socket_of_the_daemons_is_told() {
    let (mut world, port) = (World::new(), free_port());
    let socket = asked(&mut world, 0, port);
    let script = python("s = socket.socket(fileno=3)\ns.listen(5)\nserve(s)");
    let text = port.to_string();
    let words = ["python3", "-c", &script, &text];
    let child = world.start_with("app", 0, &words, &[(socket.as_fd(), 3)]);
    world.until_listening(child);
    assert_eq!(ask(port), world.pid(child));
}

#[test]
fn a_programs_own_socket_joins_those_that_root_made_for_the_app() {
    let (mut world, port) = (World::new(), free_port());
    drop(asked(&mut world, 0, port));
    if rpm_unix::process::effective_uid() == 0 {
        world.credentials = Some(NOBODY);
    }
    let text = port.to_string();
    let first = world.serve("app", 1, &http(&text));
    assert!(world.refused(first).is_empty());
    let second = world.serve("app", 0, &http(&text));
    all_answer(port, &BTreeSet::from([world.pid(first), world.pid(second)]));
}
