//! Taking over what a former keeper kept: its children, their calls and their sockets.
//!
//! The daemon hands it over when that keeper died; or this very process does, to itself, when it
//! executes another binary.

use crate::{
    children::Entry,
    keeper::Keeper,
    log::note,
    message::{Child, ChildId, Event, ExitStatus, Share},
};
use rpm_unix::{process, procfs};
use std::os::fd::OwnedFd;

/// "Function not implemented": what a bind fails with once nobody answers it any more.
const ENOSYS: i32 = 38;

impl Keeper {
    /// Keeps a child that runs, or has ended, and answers its calls once all is handed over.
    pub(crate) fn adopt(&mut self, child: Child, label: Vec<u8>, status: Option<ExitStatus>) {
        if let Some(share) = &child.share {
            self.share_again(&child, share);
        }
        let (foster, listening) = (!is_ours(&child), Vec::new());
        self.children.adopt(Entry { child, label, status, listening, foster });
    }

    fn share_again(&mut self, child: &Child, share: &Share) {
        let (id, owner) = (child.child, share.owner.clone());
        let events = self.ports.share_by(&owner, share.balance);
        self.tell_all(events);
        let filter = share.filter.as_ref().map(OwnedFd::try_clone).transpose();
        let added = filter.and_then(|filter| self.ports.adopt_child(id, owner, child.pid, filter));
        let errno = match added {
            Ok(()) if share.filter.is_some() => return,
            Ok(()) => ENOSYS,
            Err(error) => error.raw_os_error().unwrap_or(ENOSYS),
        };
        self.tell(Event::Unfiltered { child: id, errno });
    }

    /// Holds a socket as its former keeper did.
    pub(crate) fn adopt_socket(&mut self, record: &[u8], socket: OwnedFd) {
        if let Err(error) = self.ports.adopt_socket(record, socket) {
            note(format_args!("a held socket is lost: {error}"));
        }
    }

    /// All is handed over.
    pub(crate) fn adopted(&mut self) {
        let children = &self.children;
        let by_channel =
            |child: ChildId| children.get(child).is_some_and(|entry| entry.child.channel.is_some());
        let events = self.ports.adopted(by_channel);
        self.tell_all(events);
        let children = &self.children;
        self.groups.adopted(|child| children.get(child).is_some());
    }

    /// A child of a former keeper has ended.
    pub(crate) fn foster_ended(&mut self, child: ChildId) {
        let events = self.ports.exited(child);
        self.tell_all(events);
        self.children.foster_ended(child);
        if self.link.is_some() {
            self.outbox.exited(child);
        }
    }
}

/// Whether a process is a child of this one, so that its exit code comes to us.
fn is_ours(child: &Child) -> bool {
    let found = procfs::process(child.pid).filter(|found| found.start_time == child.start_time);
    found.is_some_and(|found| found.ppid == process::own())
}
