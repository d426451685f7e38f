//! The load generator is a judge: it must see what goes wrong, and only that.

use crate::harness::{Load, port};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// What the server does after an answer on a kept connection.
#[derive(Clone, Copy)]
enum Manners {
    /// Goes on.
    Keep,
    /// Says `Connection: close` and closes.
    SayAndClose,
    /// Just closes: a reload that cuts idle connections.
    Cut,
}

/// Serves on a port of its own until the test's process ends.
fn server(manners: Manners) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || serve(stream.unwrap(), manners));
        }
    });
    port
}

fn serve(stream: TcpStream, manners: Manners) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|count| count > 0) {
        if line == "\r\n" {
            let close = match manners {
                Manners::SayAndClose => "Connection: close\r\n",
                Manners::Keep | Manners::Cut => "",
            };
            let body = "{\"pid\":7,\"instance\":\"0\",\"port\":1}";
            let head = format!("HTTP/1.1 200 OK\r\n{close}Content-Length: {}\r\n\r\n", body.len());
            reader.get_mut().write_all(format!("{head}{body}").as_bytes()).unwrap();
            if !matches!(manners, Manners::Keep) {
                return;
            }
        }
        line.clear();
    }
}

#[test]
fn good_manners_are_clean() {
    for manners in [Manners::Keep, Manners::SayAndClose] {
        let load = Load::on(server(manners)).fresh(2).keep_alive(2).slow(1);
        load.more(100);
        let report = load.stop();
        report.is_clean(100);
        assert_eq!(report.pids.into_keys().collect::<Vec<_>>(), [7]);
    }
}

#[test]
fn a_cut_of_an_idle_connection_counts() {
    let load = Load::on(server(Manners::Cut)).keep_alive(2);
    load.more(50);
    let report = load.stop();
    // Every second request of a client meets the closed connection.
    assert!(report.failures * 3 >= report.requests, "{report:#?}");
    assert!(report.errors[0].contains("reused: true"), "{report:#?}");
    let fresh = Load::on(server(Manners::Cut)).fresh(2);
    fresh.more(50);
    fresh.stop().is_clean(50);
}

#[test]
fn nobody_listening_counts_as_refused() {
    let load = Load::on(port()).fresh(1);
    load.more(5);
    let report = load.stop();
    assert_eq!(report.failures, report.requests);
    assert!(report.refused > 0, "{report:#?}");
}
