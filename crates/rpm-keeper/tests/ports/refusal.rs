//! Addresses that somebody else has.

use crate::{
    clients::{ask_often, free_port, no_forks},
    programs::{HTTP, python},
    world::World,
};
use rpm_keeper::{Address, Owner};
use rpm_unix::{procfd::listener_holder, socket::Endpoint};
use std::net::TcpListener;

const ADDRESS_IN_USE: i32 = 98;

fn anywhere(port: u16) -> Address {
    Address::Tcp(([0, 0, 0, 0], port).into())
}

#[test]
fn a_second_app_on_the_port_is_refused_and_told_who_has_it() {
    let (mut world, port) = (World::new(), free_port());
    let text = port.to_string();
    let script = python(
        "try: tcp(sys.argv[2], port, socket.SO_REUSEPORT)\n\
         except OSError as e: print('errno', e.errno)",
    );
    world.serve("first", 0, &["python3", "-c", HTTP, "0.0.0.0", &text]);
    world.serve("first", 1, &["python3", "-c", HTTP, "0.0.0.0", &text]);
    let holder = Some(Owner { app: "first".to_owned(), slot: 0 });
    for host in ["0.0.0.0", "127.0.0.1"] {
        let second = world.start("second", 0, &["python3", "-c", &script, &text, host]);
        assert_eq!(world.until_exit(second), (0, "errno 98\n".to_owned()));
        let address = Address::Tcp((host.parse::<std::net::IpAddr>().unwrap(), port).into());
        assert_eq!(world.refused(second), [(address, ADDRESS_IN_USE, holder.clone())]);
    }
    assert_eq!(ask_often(port, 100).len(), 2);
}

#[test]
fn a_stranger_on_the_port_is_an_honest_refusal() {
    let (mut world, port) = (World::new(), free_port());
    let stranger = TcpListener::bind(("127.0.0.1", port)).unwrap();
    // Even one that would share.
    rpm_unix::socket::set_reuse_port(&stranger, true).unwrap();
    let script = python("tcp('0.0.0.0', port, socket.SO_REUSEPORT)");
    let text = port.to_string();
    for slot in 0..3 {
        let child = world.start("app", slot, &["python3", "-c", &script, &text]);
        let (status, said) = world.until_exit(child);
        assert_eq!(status, 1);
        assert!(said.contains("Address already in use"), "{said}");
        assert_eq!(world.refused(child), [(anywhere(port), ADDRESS_IN_USE, None)]);
    }
    let _guard = no_forks();
    let holder = listener_holder(&Endpoint::Tcp(([0, 0, 0, 0], port).into())).unwrap();
    assert_eq!(holder.pid, std::process::id() as i32);
}

#[test]
fn a_program_that_takes_the_next_port_instead_is_told_of_and_served_there() {
    let (mut world, port) = (World::new(), free_port());
    let _stranger = TcpListener::bind(("0.0.0.0", port)).unwrap();
    let next = free_port();
    let script = python(
        "try: s = tcp('0.0.0.0', port)\n\
         except OSError: s = tcp('0.0.0.0', int(sys.argv[2]))\n\
         serve(s)",
    );
    let (text, next_text) = (port.to_string(), next.to_string());
    let child = world.serve("app", 0, &["python3", "-c", &script, &text, &next_text]);
    assert_eq!(world.refused(child), [(anywhere(port), ADDRESS_IN_USE, None)]);
    assert_eq!(world.listening(child), [anywhere(next)]);
}

#[test]
fn a_program_that_binds_its_own_port_twice_is_refused_by_the_kernel() {
    let (mut world, port) = (World::new(), free_port());
    let script = python(
        "s = tcp('0.0.0.0', port)\n\
         for host in '0.0.0.0', '127.0.0.1':\n\
        \x20   try: tcp(host, port); print('bound')\n\
        \x20   except OSError as e: print('errno', e.errno)\n\
         print('done')\n\
         serve(s)",
    );
    let text = port.to_string();
    let words = ["python3", "-c", &script, &text];
    for slot in [0, 1, 1] {
        let child = world.start("app", slot, &words);
        world.until_text(child, "done\n");
        world.kill(child);
        let said = world.until_exit(child).1;
        assert_eq!(said, "errno 98\nerrno 98\ndone\n", "slot {slot}");
    }
}

#[test]
fn a_port_below_1024_is_refused_to_an_unprivileged_program() {
    if rpm_unix::process::effective_uid() != 0 {
        return;
    }
    let mut world = World::new();
    world.credentials = Some(crate::world::NOBODY);
    let port = (600..1000).find(|port| TcpListener::bind(("0.0.0.0", *port)).is_ok()).unwrap();
    let text = u16::to_string(&port);
    let script = python(
        "try: tcp('0.0.0.0', port)\n\
         except OSError as e: print('errno', e.errno)",
    );
    let child = world.start("app", 0, &["python3", "-c", &script, &text]);
    assert_eq!(world.until_exit(child), (0, "errno 13\n".to_owned()));
    assert_eq!(world.refused(child), [(anywhere(port), 13, None)]);
}
