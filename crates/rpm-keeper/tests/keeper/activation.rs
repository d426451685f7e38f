//! Sockets that programs inherit: there before the program, the same for all programs of a slot.

use crate::{
    Test,
    fixture::{Daemon, Keeper, program, shell},
};
use rpm_keeper::{Activation, Address, ChildId, Event, Owner, Request, SpawnSpec, SpawnStage};
use rpm_unix::spawn::Credentials;
use std::{
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
};

pub(crate) const TESTS: &[Test] = &[
    ("a_program_finds_its_sockets_as_systemd_would_give_them", as_systemd_would_give_them),
    ("a_channel_comes_behind_the_sockets", a_channel_comes_behind_the_sockets),
    ("a_slot_keeps_its_socket_and_each_has_its_own", a_slot_keeps_its_socket_and_each_has_its_own),
    ("what_waits_meets_the_next_program", what_waits_meets_the_next_program),
    ("a_refused_address_is_named_and_nothing_runs", a_refused_address_is_named_and_nothing_runs),
    ("a_port_of_roots_is_another_users_to_serve", a_port_of_roots_is_another_users_to_serve),
];

const EADDRINUSE: i32 = 98;
/// Kinds, places and states of descriptors 3 up to `LISTEN_FDS`.
const PRINT: &str = "
import os, socket
assert int(os.environ['LISTEN_PID']) == os.getpid(), os.environ['LISTEN_PID']
for fd in range(3, 3 + int(os.environ['LISTEN_FDS'])):
    one = socket.socket(fileno=fd)
    accepts = one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    kept = os.get_inheritable(fd), os.get_blocking(fd)
    print(one.family.name, one.type.name, one.getsockname(), accepts, *kept)
";

/// Nobody listens there now, and no other test will, nor has a client that port.
fn free_port() -> SocketAddr {
    ([127, 0, 0, 1], crate::port::port()).into()
}

fn owner(slot: u32) -> Owner {
    Owner { app: "web".to_owned(), slot }
}

/// The same program with these sockets.
fn with(mut spec: SpawnSpec, slot: u32, addresses: &[Address]) -> SpawnSpec {
    let count = format!("LISTEN_FDS={}", addresses.len());
    spec.program.environment.push(std::ffi::CString::new(count).unwrap());
    spec.activation = Some(Activation { owner: owner(slot), addresses: addresses.to_vec() });
    spec
}

fn python(script: &str) -> SpawnSpec {
    program(&["/usr/bin/python3", "-c", script])
}

/// The socket behind descriptor 3.
fn inode(daemon: &Daemon, id: u64, slot: u32, address: &Address) -> String {
    let spec = program(&["readlink", "/proc/self/fd/3"]);
    daemon.output(id, &with(spec, slot, std::slice::from_ref(address)))
}

fn as_systemd_would_give_them() {
    let (keeper, daemon) = Keeper::with_daemon();
    let (tcp, path) = (free_port(), keeper.home.root().join("a.sock"));
    let udp = free_port();
    let all = [Address::Tcp(tcp), Address::Unix(path.clone()), Address::Udp(udp)];
    let want = format!(
        "AF_INET SOCK_STREAM ('127.0.0.1', {}) 1 True True\n\
         AF_UNIX SOCK_STREAM {} 1 True True\n\
         AF_INET SOCK_DGRAM ('127.0.0.1', {}) 0 True True\n",
        tcp.port(),
        path.display(),
        udp.port()
    );
    assert_eq!(daemon.output(1, &with(python(PRINT), 0, &all)), want);
    daemon.send(&Request::Release { owner: owner(0) });
    assert!(matches!(daemon.event(), Event::Released));
    TcpListener::bind(tcp).unwrap();
    assert!(!path.exists());
}

fn a_channel_comes_behind_the_sockets() {
    let (_keeper, daemon) = Keeper::with_daemon();
    let mut spec = shell("echo $NODE_CHANNEL_FD; readlink /proc/$$/fd/3 /proc/$$/fd/4 | wc -l");
    spec.channel = true;
    let spec = with(spec, 0, &[Address::Tcp(free_port())]);
    assert_eq!(daemon.output(1, &spec), "4\n2\n");
}

fn a_slot_keeps_its_socket_and_each_has_its_own() {
    let (_keeper, daemon) = Keeper::with_daemon();
    let address = Address::Tcp(free_port());
    let first = inode(&daemon, 1, 0, &address);
    let other = inode(&daemon, 2, 1, &address);
    assert_eq!(inode(&daemon, 3, 0, &address), first);
    assert_eq!(inode(&daemon, 4, 1, &address), other);
    assert_ne!(first, other);
}

fn what_waits_meets_the_next_program() {
    let (keeper, daemon) = Keeper::with_daemon();
    let path = keeper.home.root().join("a.sock");
    let address = Address::Unix(path.clone());
    daemon.output(1, &with(program(&["true"]), 0, std::slice::from_ref(&address)));
    // Nobody runs, and the client is not refused.
    let mut client = UnixStream::connect(&path).unwrap();
    client.write_all(b"hello\n").unwrap();
    let script = "import socket; print(socket.socket(fileno=3).accept()[0].recv(6))";
    // A path has one socket, whichever slot.
    assert_eq!(daemon.output(2, &with(python(script), 1, &[address])), "b'hello\\n'\n");
}

fn a_refused_address_is_named_and_nothing_runs() {
    let (keeper, daemon) = Keeper::with_daemon();
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = Address::Tcp(stranger.local_addr().unwrap());
    let mark = keeper.home.root().join("ran");
    let touch = || program(&["touch", mark.to_str().unwrap()]);
    daemon.ask(1, &with(touch(), 0, &[Address::Tcp(free_port()), taken.clone()]));
    let (child, errno, holder) = refused(&daemon, &taken);
    assert_eq!((child, errno, holder), (1, EADDRINUSE, None));
    drop(stranger);
    daemon.output(2, &with(program(&["true"]), 0, std::slice::from_ref(&taken)));
    let mut theirs = with(touch(), 0, std::slice::from_ref(&taken));
    theirs.activation.as_mut().unwrap().owner.app = "other".to_owned();
    daemon.ask(3, &theirs);
    assert_eq!(refused(&daemon, &taken), (3, EADDRINUSE, Some(owner(0))));
    assert!(!mark.exists());
}

/// The refusal and the failure that must come next.
fn refused(daemon: &Daemon, wanted: &Address) -> (u64, i32, Option<Owner>) {
    let Event::Refused { child: ChildId(child), address, errno, holder } = daemon.event() else {
        panic!("not refused")
    };
    assert_eq!(address, *wanted);
    match daemon.event() {
        Event::SpawnFailed { child: failed, stage: SpawnStage::Listen, errno: number } => {
            assert_eq!((failed, number), (ChildId(child), errno));
        }
        other => panic!("{other:?}"),
    }
    (child, errno, holder)
}

fn a_port_of_roots_is_another_users_to_serve() {
    if rpm_unix::process::effective_uid() != 0 {
        return;
    }
    let (_keeper, daemon) = Keeper::with_daemon();
    let low = (1..1024).rev().map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let low = low.into_iter().find(|at| TcpListener::bind(at).is_ok()).unwrap();
    let script = "id -u; stat -L -c %u /proc/self/fd/3";
    let mut spec = with(shell(script), 0, &[Address::Tcp(low)]);
    spec.program.credentials = Some(Credentials { uid: 65_534, gid: 65_534, groups: Vec::new() });
    // The second joins the group of the first, which only sockets of one user can.
    for (id, slot) in [(1, 0), (2, 1)] {
        spec.activation.as_mut().unwrap().owner.slot = slot;
        assert_eq!(daemon.output(id, &spec), "65534\n65534\n");
    }
    TcpStream::connect(low).unwrap();
}
