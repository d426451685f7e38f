//! Whatever a daemon sends, the keeper answers and goes on.

use crate::{
    Test,
    fixture::{Keeper, program},
};
use rpm_keeper::{Event, Request, VERSION};
use rpm_unix::fdpass;

pub(crate) const TESTS: &[Test] = &[
    ("garbage_is_answered_by_an_error", garbage_is_answered_by_an_error),
    ("another_version_is_told_and_welcomed", another_version_is_told_and_welcomed),
    ("requests_about_nothing_do_nothing", requests_about_nothing_do_nothing),
];

fn garbage_is_answered_by_an_error() {
    let (_keeper, daemon) = Keeper::with_daemon();
    let long = vec![1; 5000];
    let table: [(&[u8], &str); 6] = [
        (b"x", "message format 120 is not known"),
        (b"\x01", "message ends too early"),
        (b"\x01\xff", "request 255 is not known"),
        (b"\x01\x03\x00", "message ends too early"),
        (b"\x01\x09\x00", "message has bytes left over"),
        (&long, "message or descriptors cut short"),
    ];
    for (bytes, expected) in table {
        fdpass::send(&daemon.link, bytes, &[]).unwrap();
        match daemon.event() {
            Event::Error { text } => assert_eq!(text, expected),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(daemon.output(1, &program(&["echo", "alive"])), "alive\n");
}

fn another_version_is_told_and_welcomed() {
    let (_keeper, daemon) = Keeper::with_daemon();
    daemon.send(&Request::Hello { version: VERSION + 1 });
    let Event::Error { text } = daemon.event() else { panic!() };
    assert_eq!(text, "the keeper speaks version 1, the daemon 2");
    let Event::Welcome { version: VERSION, deaths: 0, .. } = daemon.event() else { panic!() };
}

fn requests_about_nothing_do_nothing() {
    let (_keeper, daemon) = Keeper::with_daemon();
    let child = rpm_keeper::ChildId(77);
    let owner = rpm_keeper::Owner { app: "nobody".to_owned(), slot: 9 };
    daemon.send(&Request::Acknowledge { child });
    daemon.send(&Request::Settled { child });
    daemon.send(&Request::Release { owner });
    assert!(matches!(daemon.event(), Event::Released));
    daemon.send(&Request::Drop { name: "nothing".to_owned() });
    let inventory = daemon.inventory();
    assert!(inventory.known.is_empty() && inventory.held.is_empty());
}
