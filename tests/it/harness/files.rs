//! Waiting for what a file says, by inotify.

use super::LIMIT;
use super::process::is_readable;
use rustix::fs::inotify;
use std::fs;
use std::mem::MaybeUninit;
use std::path::Path;
use std::time::Instant;

/// The text of a file; empty where there is none.
pub(crate) fn text(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// Waits until the text of `path` is as `wanted`. Its folder must exist.
pub(crate) fn wait_for(path: &Path, what: &str, wanted: impl Fn(&str) -> bool) -> String {
    let deadline = Instant::now() + LIMIT;
    let folder = path.parent().expect("a folder");
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC).expect("inotify");
    let changes = inotify::WatchFlags::CREATE
        | inotify::WatchFlags::MODIFY
        | inotify::WatchFlags::MOVED_TO
        | inotify::WatchFlags::DELETE;
    inotify::add_watch(&watch, folder, changes)
        .unwrap_or_else(|error| panic!("cannot watch {}: {error}", folder.display()));
    loop {
        let found = text(path);
        if wanted(&found) {
            return found;
        }
        let name = path.display();
        assert!(is_readable(&watch, deadline), "{name} never had {what}; it has: {found}");
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        // One event at least is there; the rest of the buffer's worth is told again by the text.
        inotify::Reader::new(&watch, &mut buffer).next().expect("an event");
    }
}
