//! Sockets without a TCP port.

use crate::{
    clients::{answer, free_port, local},
    programs::python,
    world::World,
};
use rpm_keeper::Address;
use std::{
    collections::BTreeSet, io::Write, net::UdpSocket, os::unix::net::UnixStream, time::Duration,
};

fn ask(path: &std::path::Path) -> UnixStream {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    stream
}

#[test]
fn slots_share_the_one_socket_of_a_path() {
    let mut world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.sock");
    let script = python(
        "os.chdir(sys.argv[2])\n\
         s = socket.socket(socket.AF_UNIX)\n\
         s.bind('a.sock')\n\
         s.listen(64)\n\
         serve(s)",
    );
    let text = directory.path().display().to_string();
    let words = ["python3", "-c", &script, "0", &text];
    let children: Vec<_> = (0..3).map(|slot| world.start("app", slot, &words)).collect();
    for child in &children {
        world.until_listening(*child);
        assert_eq!(world.listening(*child), [Address::Unix(path.clone())]);
    }
    let pids: BTreeSet<_> = children.iter().map(|child| world.pid(*child)).collect();
    assert!((0..20).all(|_| pids.contains(&answer(ask(&path)))));
    children.iter().for_each(|child| world.kill(*child));
    let waiting = ask(&path);
    let child = world.serve("app", 0, &words);
    assert_eq!(answer(waiting), world.pid(child));
}

#[test]
fn a_program_that_unlinks_its_path_first_gets_its_own_socket() {
    let mut world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.sock");
    let script = python(
        "if os.path.exists(sys.argv[2]): os.unlink(sys.argv[2])\n\
         s = socket.socket(socket.AF_UNIX)\n\
         s.bind(sys.argv[2])\n\
         s.listen(64)\n\
         serve(s)",
    );
    let text = path.display().to_string();
    let words = ["python3", "-c", &script, "0", &text];
    for _ in 0..2 {
        let child = world.serve("app", 0, &words);
        assert_eq!(answer(ask(&path)), world.pid(child));
        world.kill(child);
    }
}

#[test]
fn datagrams_that_nobody_read_wait_for_the_next_worker() {
    let (mut world, port) = (World::new(), free_port());
    let script = python(
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
         s.bind(('127.0.0.1', port))\n\
         while True:\n\
        \x20   _, who = s.recvfrom(100)\n\
        \x20   s.sendto(str(os.getpid()).encode(), who)",
    );
    let text = port.to_string();
    let words = ["python3", "-c", &script, &text];
    let child = world.serve("app", 0, &words);
    assert_eq!(world.listening(child), [Address::Udp(local(port))]);
    world.kill(child);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    client.connect(local(port)).unwrap();
    client.send(b"x").unwrap();
    let next = world.serve("app", 0, &words);
    let mut bytes = [0; 100];
    let count = client.recv(&mut bytes).unwrap();
    let expected = world.pid(next).to_string();
    assert_eq!(std::str::from_utf8(&bytes[..count]).unwrap(), expected);
    let second = world.serve("app", 1, &words);
    assert_ne!(world.pid(second), world.pid(next));
}

#[test]
fn a_udp_port_that_a_program_binds_again_is_a_new_socket() {
    let (mut world, port) = (World::new(), free_port());
    let script = python(
        "def udp(port):\n\
        \x20   s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
        \x20   s.bind(('127.0.0.1', port))\n\
        \x20   return s\n\
         other = udp(int(sys.argv[2]))\n\
         s = udp(port)\n\
         s.connect(('127.0.0.1', int(sys.argv[2])))\n\
         s.close()\n\
         s = udp(port)\n\
         try: s.getpeername()\n\
         except OSError: print('no peer')",
    );
    let (text, other) = (port.to_string(), free_port().to_string());
    let child = world.start("app", 0, &["python3", "-c", &script, &text, &other]);
    assert_eq!(world.until_exit(child), (0, "no peer\n".to_owned()));
}
