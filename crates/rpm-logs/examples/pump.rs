//! The daemon's part of the kill tests: moves the pipes whose descriptors it inherited into files.
//!
//! `pump MODE DIRECTORY PIPE SPOOL [PIPE SPOOL]`: descriptors by number. `raw` writes the pipe into
//! `out.log`, `flood` does so by way of a transit, which it gets in place of a spool; `json` and
//! `stamped` go by way of the spool; `merged` writes both streams into files of their own and into
//! `both.log`.

use rpm_logs::{
    WhenFull,
    date_format::DateFormat,
    frame::{Frame, Source},
    lane::{Lanes, Stream},
    open::Access,
    rotate::{plan::Plan, total::Totals},
    ship::Origin,
    sink::Rules,
};
use rpm_unix::fd::duplicate;
use std::{os::fd::OwnedFd, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    match (runtime, words.as_slice()) {
        (Ok(runtime), [mode, directory, numbers @ ..]) => {
            runtime.block_on(pump(mode, directory, numbers));
            ExitCode::SUCCESS
        }
        _ => ExitCode::FAILURE,
    }
}

async fn pump(mode: &str, directory: &str, numbers: &[String]) {
    let mut lanes = Lanes::holding(Totals::default());
    let mut handles = Vec::new();
    for (number, pair) in numbers.chunks(2).enumerate() {
        let fd = |text: &String| duplicate(text.parse().unwrap_or(-1)).ok();
        let [pipe, spool] = pair else { return };
        let (Some(pipe), Some(spool)) = (fd(pipe), fd(spool)) else { return };
        let stream = stream(mode, Path::new(directory), number, (pipe, spool));
        handles.extend(lanes.start(stream));
    }
    let failed = lanes.begin();
    assert!(failed.is_empty(), "{failed:?}");
    // Until it is killed, or its standard input ends: then all is written first.
    let mut line = String::new();
    let _ended = std::io::stdin().read_line(&mut line);
    for handle in handles {
        handle.finish().await;
    }
}

fn stream(mode: &str, directory: &Path, number: usize, fds: (OwnedFd, OwnedFd)) -> Stream {
    let (pipe, held) = fds;
    let (spool, transit) = match mode {
        "raw" => (None, None),
        "flood" => (None, Some(held)),
        _ => (Some(held), None),
    };
    let rotate = (mode != "merged").then_some(Plan {
        max_size: Some(2 << 20),
        keep: 1000,
        max_total: None,
        compress: mode == "json",
        interval: None,
    });
    let rules = Rules { access: Access::default(), rotate };
    let own = (directory.join(["out.log", "error.log"][number]), rules.clone());
    let both = (mode == "merged").then(|| (directory.join("both.log"), rules));
    let source = Source { app: "app".into(), id: 0, stream: "out", stamp: None };
    Stream {
        pipe,
        files: std::iter::once(own).chain(both).collect(),
        spool,
        transit,
        flood: None,
        frame: match mode {
            "json" => Frame::Json(source),
            "stamped" => Frame::Stamped(DateFormat::new("YYYY")),
            _ => Frame::Raw,
        },
        when_full: WhenFull::Drop,
        ship: Vec::new(),
        origin: Origin { app: "app".into(), id: 0, is_error: number == 1 },
        alarm: Box::new(|_| ()),
    }
}
