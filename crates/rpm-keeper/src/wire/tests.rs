//! Every message survives the way, and no bytes can panic the readers.

use super::{event::MAX_TEXT, *};
use crate::balance::{Balance, Fallback, Slot, Standing};
use crate::message::{
    Address, Child, ChildId, Event, ExitStatus, MAX_LABEL, MAX_NAME, Owner, Request, Share,
    SpawnStage,
};
use proptest::prelude::*;
use rpm_unix::memfd;
use std::{net::SocketAddr, os::fd::AsFd, path::PathBuf};

/// A descriptor that can be told from others by what is in it.
fn file(mark: u8) -> OwnedFd {
    memfd::seal(&[mark]).unwrap()
}

fn marks(fds: &[BorrowedFd<'_>]) -> Vec<u8> {
    fds.iter().map(|fd| memfd::read(fd, 1).unwrap()[0]).collect()
}

fn duplicates(fds: &[BorrowedFd<'_>]) -> Vec<OwnedFd> {
    fds.iter().map(|fd| fd.try_clone_to_owned().unwrap()).collect()
}

fn name() -> impl Strategy<Value = String> {
    ".{0,20}"
}

fn owner() -> impl Strategy<Value = Owner> {
    (name(), any::<u32>()).prop_map(|(app, slot)| Owner { app, slot })
}

fn socket() -> impl Strategy<Value = SocketAddr> {
    (any::<std::net::IpAddr>(), 1_u16..).prop_map(SocketAddr::from)
}

fn address() -> impl Strategy<Value = Address> {
    prop_oneof![
        socket().prop_map(Address::Tcp),
        socket().prop_map(Address::Udp),
        name().prop_map(|path| Address::Unix(PathBuf::from(path))),
    ]
}

fn balance() -> impl Strategy<Value = Balance> {
    let all = [
        Balance::Even,
        Balance::Shared,
        Balance::Random,
        Balance::IpHash,
        Balance::RoundRobin,
        Balance::Private,
    ];
    prop::sample::select(all.to_vec())
}

fn fallback() -> impl Strategy<Value = Fallback> {
    (balance(), any::<i32>()).prop_map(|(balance, errno)| Fallback { balance, errno })
}

fn slots() -> impl Strategy<Value = Vec<Slot>> {
    let all = [Standing::Serving, Standing::Unserved, Standing::Blocked, Standing::Retiring];
    let one = (any::<u32>(), any::<u32>(), prop::sample::select(all.to_vec()));
    let one = one.prop_map(|(slot, waiting, standing)| Slot { slot, waiting, standing });
    prop::collection::vec(one, 0..5)
}

fn status() -> impl Strategy<Value = ExitStatus> {
    prop_oneof![
        any::<i32>().prop_map(ExitStatus::Code),
        any::<i32>().prop_map(ExitStatus::Signal),
        Just(ExitStatus::Unknown),
    ]
}

fn id() -> impl Strategy<Value = ChildId> {
    any::<u64>().prop_map(ChildId)
}

fn label() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..20)
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        any::<u16>().prop_map(|version| Request::Hello { version }),
        (id(), label()).prop_map(|(child, label)| Request::Spawn { child, label, spec: file(1) }),
        id().prop_map(|child| Request::Acknowledge { child }),
        id().prop_map(|child| Request::Settled { child }),
        (any::<u64>(), owner(), address(), any::<bool>(), any::<i32>(), balance()).prop_map(
            |(request, owner, address, only_v6, backlog, balance)| Request::Listen {
                request,
                owner,
                address,
                only_v6,
                backlog,
                balance
            }
        ),
        (owner(), address()).prop_map(|(owner, address)| Request::Close { owner, address }),
        owner().prop_map(|owner| Request::Release { owner }),
        owner().prop_map(|owner| Request::Retire { owner }),
        id().prop_map(|child| Request::Relieve { child }),
        any::<u64>().prop_map(|request| Request::Slots { request }),
        name().prop_map(|name| Request::Hold { name, fd: file(2) }),
        name().prop_map(|name| Request::Drop { name }),
        Just(()).prop_map(|()| Request::Inventory),
        Just(()).prop_map(|()| Request::Shutdown),
        adoption(),
    ]
}

fn adoption() -> impl Strategy<Value = Request> {
    prop_oneof![
        (child(), label(), prop::option::of(status()), any::<bool>()).prop_map(
            |(child, label, status, listening)| Request::Adopt { child, label, status, listening }
        ),
        (id(), address()).prop_map(|(child, address)| Request::Listened { child, address }),
        label().prop_map(|record| Request::AdoptSocket { record, socket: file(8) }),
        Just(()).prop_map(|()| Request::Adopted),
        Just(()).prop_map(|()| Request::Snapshot),
        Just(()).prop_map(|()| Request::Upgrade { program: file(9) }),
    ]
}

fn child() -> impl Strategy<Value = Child> {
    let numbers = (id(), any::<i32>(), any::<u64>());
    (numbers, any::<bool>(), prop::option::of(share())).prop_map(
        |((child, pid, start_time), node, share)| Child {
            child,
            pid,
            start_time,
            pidfd: file(3),
            stdout: file(4),
            stderr: file(5),
            channel: node.then(|| file(6)),
            share,
        },
    )
}

fn share() -> impl Strategy<Value = Share> {
    (owner(), balance(), any::<bool>()).prop_map(|(owner, balance, filtered)| Share {
        owner,
        balance,
        filter: filtered.then(|| file(7)),
    })
}

fn event() -> impl Strategy<Value = Event> {
    let stages = [
        SpawnStage::Spec,
        SpawnStage::Descriptors,
        SpawnStage::Fork,
        SpawnStage::Directory,
        SpawnStage::Credentials,
        SpawnStage::Limits,
        SpawnStage::Filter,
        SpawnStage::Exec,
    ];
    prop_oneof![
        (any::<u16>(), any::<u32>(), any::<u32>(), any::<i32>()).prop_map(
            |(version, deaths, crashes, keeper)| Event::Welcome {
                version,
                deaths,
                crashes,
                keeper
            }
        ),
        child().prop_map(Event::Spawned),
        (id(), prop::sample::select(stages.to_vec()), any::<i32>())
            .prop_map(|(child, stage, errno)| Event::SpawnFailed { child, stage, errno }),
        (id(), any::<i32>()).prop_map(|(child, errno)| Event::Unfiltered { child, errno }),
        (id(), status()).prop_map(|(child, status)| Event::Exited { child, status }),
        (id(), address()).prop_map(|(child, address)| Event::Listening { child, address }),
        (id(), address(), any::<i32>(), prop::option::of(owner())).prop_map(
            |(child, address, errno, holder)| Event::Refused { child, address, errno, holder }
        ),
        Just(()).prop_map(|()| Event::Released),
        any::<u64>().prop_map(|request| Event::Listener { request, fd: file(7) }),
        (any::<u64>(), any::<i32>(), prop::option::of(owner()))
            .prop_map(|(request, errno, holder)| Event::ListenFailed { request, errno, holder }),
        (child(), label(), prop::option::of(status()), any::<bool>()).prop_map(
            |(child, label, status, listening)| Event::Known { child, label, status, listening }
        ),
        name().prop_map(|name| Event::Held { name, fd: file(8) }),
        sharing_event(),
        Just(()).prop_map(|()| Event::InventoryEnd),
        name().prop_map(|text| Event::Error { text }),
    ]
}

fn sharing_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        owner().prop_map(|owner| Event::Retired { owner }),
        id().prop_map(|child| Event::Relieved { child }),
        (owner(), any::<bool>(), any::<u32>())
            .prop_map(|(owner, blocked, waiting)| Event::Blocked { owner, blocked, waiting }),
        (name(), fallback()).prop_map(|(app, fallback)| Event::Unbalanced { app, fallback }),
        (any::<u64>(), name(), prop::option::of(fallback()), slots()).prop_map(
            |(request, app, fallback, slots)| Event::Slots { request, app, fallback, slots }
        ),
        any::<u64>().prop_map(|request| Event::SlotsEnd { request }),
        (any::<u64>(), label()).prop_map(|(hold, record)| Event::Shared {
            hold,
            record,
            socket: file(8)
        }),
        any::<u64>().prop_map(|hold| Event::Unshared { hold }),
        Just(()).prop_map(|()| Event::Snapshot { file: file(9) }),
        any::<i32>().prop_map(|errno| Event::NotUpgraded { errno }),
    ]
}

/// A value with the numbers of its descriptors, which differ after the way, left out.
fn shape(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    let mut parts = text.split("OwnedFd { fd: ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |shape, part| {
        shape + "OwnedFd" + part.trim_start_matches(|digit: char| digit.is_ascii_digit())
    })
}

proptest! {
    #[test]
    fn every_request_comes_back(request in request()) {
        let packet = encode_request(&request).unwrap();
        let received = decode_request(&packet.bytes, duplicates(&packet.fds)).unwrap();
        prop_assert_eq!(shape(&received), shape(&request));
        prop_assert_eq!(marks(&encode_request(&received).unwrap().fds), marks(&packet.fds));
    }

    #[test]
    fn every_event_comes_back(event in event()) {
        let packet = encode_event(&event).unwrap();
        let received = decode_event(&packet.bytes, duplicates(&packet.fds)).unwrap();
        prop_assert_eq!(shape(&received), shape(&event));
        prop_assert_eq!(marks(&encode_event(&received).unwrap().fds), marks(&packet.fds));
    }

    #[test]
    fn no_part_of_a_request_is_one(request in request(), cut in any::<prop::sample::Index>()) {
        let packet = encode_request(&request).unwrap();
        let part = &packet.bytes[..cut.index(packet.bytes.len())];
        prop_assert!(decode_request(part, duplicates(&packet.fds)).is_err());
    }

    #[test]
    fn too_few_or_too_many_descriptors_are_refused(event in event()) {
        let packet = encode_event(&event).unwrap();
        let mut fds = duplicates(&packet.fds);
        fds.push(file(9));
        prop_assert_eq!(decode_event(&packet.bytes, fds).unwrap_err(), WireError::Descriptors);
        if !packet.fds.is_empty() {
            let fds = duplicates(&packet.fds[1..]);
            prop_assert_eq!(decode_event(&packet.bytes, fds).unwrap_err(), WireError::Descriptors);
        }
    }

    #[test]
    fn no_changed_message_panics_the_readers(
        request in request(),
        event in event(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let change = |mut bytes: Vec<u8>| {
            changes.iter().for_each(|(at, byte)| {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            });
            bytes
        };
        let packet = encode_request(&request).unwrap();
        let _read = decode_request(&change(packet.bytes.clone()), duplicates(&packet.fds));
        let packet = encode_event(&event).unwrap();
        let _read = decode_event(&change(packet.bytes.clone()), duplicates(&packet.fds));
    }

    #[test]
    fn no_bytes_panic_the_readers(
        tag in 0_u8..30,
        rest in prop::collection::vec(any::<u8>(), 0..99),
    ) {
        let bytes = [&[FORMAT, tag], &rest[..]].concat();
        let _read = decode_request(&bytes, vec![file(0)]);
        let _read = decode_event(&bytes, vec![file(0)]);
        let _read = decode_event(&rest, Vec::new());
    }
}

#[test]
fn the_longest_values_fit_into_a_message() {
    let owner = || Owner { app: "a".repeat(MAX_NAME), slot: 1 };
    let address = || Address::Unix(PathBuf::from("p".repeat(1024)));
    let refused =
        Event::Refused { child: ChildId(1), address: address(), errno: 1, holder: Some(owner()) };
    encode_event(&refused).unwrap();
    let slot = Slot { slot: 1, waiting: 1, standing: Standing::Serving };
    let slots = Event::Slots {
        request: 1,
        app: "a".repeat(MAX_NAME),
        fallback: Some(Fallback { balance: Balance::Even, errno: 1 }),
        slots: vec![slot; crate::message::MAX_SLOTS],
    };
    encode_event(&slots).unwrap();
    let spawn =
        |length| Request::Spawn { child: ChildId(1), label: vec![0; length], spec: file(0) };
    encode_request(&spawn(MAX_LABEL)).unwrap();
    let error = encode_request(&spawn(MAX_LABEL + 1)).unwrap_err();
    assert_eq!(error, WireError::TooLong { what: "label", max: MAX_LABEL });
}

#[test]
fn a_long_error_text_is_cut_between_characters() {
    let event = Event::Error { text: format!("{}ü", "x".repeat(MAX_TEXT - 1)) };
    let packet = encode_event(&event).unwrap();
    let Event::Error { text } = decode_event(&packet.bytes, Vec::new()).unwrap() else { panic!() };
    assert_eq!(text, "x".repeat(MAX_TEXT - 1));
}

#[test]
fn other_formats_and_tags_are_named() {
    let error = |bytes: &[u8]| decode_request(bytes, Vec::new()).unwrap_err();
    assert_eq!(error(&[]), WireError::Short);
    assert_eq!(error(&[FORMAT]), WireError::Short);
    assert_eq!(error(&[FORMAT + 1, 1]), WireError::Version(FORMAT + 1));
    assert_eq!(error(&[FORMAT, 0]), WireError::Unknown { what: "request", value: 0 });
    let inventory = encode_request(&Request::Inventory).unwrap().bytes;
    assert_eq!(error(&[&inventory[..], b"x"].concat()), WireError::Trailing);
}

#[test]
fn a_port_of_zero_is_no_address() {
    let address = Address::Tcp("127.0.0.1:0".parse().unwrap());
    let close = Request::Close { owner: Owner { app: String::new(), slot: 0 }, address };
    assert_eq!(encode_request(&close).unwrap_err(), WireError::Zero { what: "port" });
}

/// Kept sample of format 1: a later reader must still understand it.
#[test]
fn a_sample_of_this_format_is_read() {
    let bytes = b"\x01\x07\x04\0\0\0name";
    let request = decode_request(bytes, vec![file(2)]).unwrap();
    let Request::Hold { name, fd } = request else { panic!() };
    assert_eq!((name.as_str(), marks(&[fd.as_fd()])), ("name", vec![2]));
}
