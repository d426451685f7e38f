//! Holds end when nobody is interested in them any more, and not before.

use crate::{
    clients::{answer, ask, ask_often, free_port, is_refused, local, no_forks, request},
    programs::{HTTP, python},
    world::World,
};
use rpm_keeper::{Address, Event, Owner};
use std::{
    io::Read,
    net::{TcpListener, TcpStream},
};

#[test]
fn a_probe_of_the_port_does_not_take_the_clients() {
    let (mut world, port) = (World::new(), free_port());
    // The probe is used once, so that its socket surely listens before it is closed.
    let script = python(
        "probe = tcp('127.0.0.1', port)\n\
         client = socket.create_connection(('127.0.0.1', port))\n\
         probe.accept()\n\
         probe.close()\n\
         serve(tcp('0.0.0.0', port))",
    );
    let text = port.to_string();
    let words = ["python3", "-c", &script, &text];
    let start = |world: &mut World, slot| {
        let child = world.start("app", slot, &words);
        let address = Address::Tcp(([0, 0, 0, 0], port).into());
        world.until("served", |world| world.listening(child).contains(&address));
        child
    };
    let first = start(&mut world, 0);
    assert_eq!(ask_often(port, 10).len(), 1);
    start(&mut world, 1);
    assert_eq!(ask_often(port, 200).len(), 2);
    world.kill(first);
    let waiting = request(port);
    start(&mut world, 0);
    assert!(answer(waiting) > 0);
    assert_eq!(ask_often(port, 200).len(), 2);
}

#[test]
fn a_port_that_the_new_version_does_not_serve_is_released_when_it_has_settled() {
    let (mut world, old, new) = (World::new(), free_port(), free_port());
    let (old_text, new_text) = (old.to_string(), new.to_string());
    let first = world.serve("app", 0, &["python3", "-c", HTTP, "0.0.0.0", &old_text]);
    let second = world.serve("app", 0, &["python3", "-c", HTTP, "0.0.0.0", &new_text]);
    world.settled(first);
    world.settled(second);
    assert_eq!(ask_often(old, 1).len(), 1);
    world.kill(first);
    world.until("release", |_| is_refused(old));
    assert_eq!(ask_often(new, 1).len(), 1);
}

#[test]
fn an_unserved_port_waits_for_the_slots_next_worker_until_that_has_settled() {
    let (mut world, old, new) = (World::new(), free_port(), free_port());
    let (old_text, new_text) = (old.to_string(), new.to_string());
    let first = world.serve("app", 0, &["python3", "-c", HTTP, "0.0.0.0", &old_text]);
    world.settled(first);
    world.kill(first);
    let second = world.serve("app", 0, &["python3", "-c", HTTP, "0.0.0.0", &new_text]);
    assert!(!is_refused(old));
    world.settled(second);
    assert!(is_refused(old) && !is_refused(new));
}

#[test]
fn a_released_socket_stays_with_who_left_the_tree_with_it() {
    let (mut world, port, other) = (World::new(), free_port(), free_port());
    let script = python(
        "server = tcp('0.0.0.0', port)\n\
         if os.fork() == 0:\n\
         \x20   os.setsid()\n\
         \x20   if os.fork() == 0:\n\
         \x20       server.settimeout(20)\n\
         \x20       c, _ = server.accept()\n\
         \x20       c.recv(4096)\n\
         \x20       c.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\n' + str(os.getpid()).encode())\n\
         \x20   os._exit(0)\n\
         os.wait()\n\
         server.close()\n\
         serve(tcp('0.0.0.0', int(sys.argv[2])))",
    );
    let (text, other_text) = (port.to_string(), other.to_string());
    let child = world.start("app", 0, &["python3", "-c", &script, &text, &other_text]);
    let address = Address::Tcp(([0, 0, 0, 0], other).into());
    world.until("served", |world| world.listening(child).contains(&address));
    assert_ne!(ask(port), world.pid(child));
}

/// The daemon has duplicates of all sockets, and closes each somewhat later than the keeper.
#[test]
fn a_released_socket_gets_nothing_more_though_somebody_has_a_duplicate() {
    let (mut world, port) = (World::new(), free_port());
    let address = Address::Tcp(([127, 0, 0, 1], port).into());
    let owner = |slot| Owner { app: "app".to_owned(), slot };
    let mut held = |slot| {
        let event = world.ports.listen(0, owner(slot), address.clone(), false, 0);
        let Event::Listener { fd, .. } = event else { panic!("{event:?}") };
        TcpListener::from(fd)
    };
    let [first, _second] = [held(0), held(1)];
    world.ports.release(&owner(0));
    for _ in 0..50 {
        drop(TcpStream::connect(local(port)).expect("the other slot's queue"));
    }
    first.set_nonblocking(true).expect("a socket");
    assert!(first.accept().is_err(), "a client waits where nobody serves");
    world.ports.release(&owner(1));
    TcpListener::bind(local(port)).expect("the address is free");
}

#[test]
fn a_released_slot_refuses_and_another_slot_does_not() {
    let (mut world, port) = (World::new(), free_port());
    let text = port.to_string();
    let words = ["python3", "-c", HTTP, "0.0.0.0", &text];
    let children = [world.serve("app", 0, &words), world.serve("app", 1, &words)];
    world.kill(children[0]);
    world.ports.release(&Owner { app: "app".to_owned(), slot: 0 });
    drop(no_forks());
    assert_eq!(ask_often(port, 30).keys().copied().collect::<Vec<_>>(), [world.pid(children[1])]);
    world.kill(children[1]);
    world.ports.release(&Owner { app: "app".to_owned(), slot: 1 });
    assert!(is_refused(port));
}

#[test]
fn a_client_that_binds_its_own_port_is_not_kept_open() {
    let (mut world, port) = (World::new(), free_port());
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let script = python(
        "s = socket.socket()\n\
         s.bind(('127.0.0.1', port))\n\
         s.connect(('127.0.0.1', int(sys.argv[2])))\n\
         s.close()\n\
         print('closed')\n\
         sys.stdin.read()",
    );
    let (text, to) = (port.to_string(), server.local_addr().unwrap().port().to_string());
    let child = world.start("app", 0, &["python3", "-c", &script, &text, &to]);
    world.until_text(child, "closed");
    let (mut stream, from) = server.accept().unwrap();
    assert_eq!(from.port(), port);
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    assert_eq!(world.listening(child), []);
}

#[test]
fn sockets_made_for_the_daemon_are_kept_until_it_closes_them() {
    let (mut world, port) = (World::new(), free_port());
    let owner = |slot| Owner { app: "app".to_owned(), slot };
    let address = Address::Tcp(([0, 0, 0, 0], port).into());
    for slot in [0, 1, 0] {
        let event = world.ports.listen(7, owner(slot), address.clone(), false, 5);
        let Event::Listener { request: 7, fd } = event else { panic!("{event:?}") };
        assert_eq!(rpm_unix::socket::accept_queue(&fd).unwrap().limit, 5);
    }
    let other = Owner { app: "other".to_owned(), slot: 0 };
    let event = world.ports.listen(8, other, address.clone(), false, 5);
    let Event::ListenFailed { request: 8, errno: 98, holder } = event else { panic!("{event:?}") };
    assert_eq!(holder, Some(owner(0)));
    assert!(!is_refused(port));
    world.ports.close(&owner(0), &address);
    assert!(!is_refused(port));
    world.ports.release(&owner(1));
    assert!(is_refused(port));
}

#[test]
fn a_path_made_for_the_daemon_goes_with_its_last_socket() {
    let mut world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.sock");
    let owner = |slot| Owner { app: "app".to_owned(), slot };
    let address = Address::Unix(path.clone());
    // What a killed server left.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    for slot in [0, 1] {
        let event = world.ports.listen(1, owner(slot), address.clone(), false, 0);
        assert!(matches!(event, Event::Listener { .. }), "{event:?}");
    }
    world.ports.close(&owner(0), &address);
    std::os::unix::net::UnixStream::connect(&path).unwrap();
    world.ports.close(&owner(1), &address);
    assert!(!path.exists());
}
