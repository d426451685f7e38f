//! Orphans: processes whose parents have ended, so that they fell to the keeper (the child
//! subreaper), and what tells whose they were (traps B11). Whose tree they belong to is asked in
//! `tree.rs`.

use crate::tree::{Leader, token_of};
use rpm_unix::procfs::{self, Process};
use std::{cell::RefCell, collections::BTreeMap};

/// An orphan, and what tells whose it was.
#[derive(Debug)]
pub(crate) struct Orphan {
    pub(crate) process: Process,
    /// `RPM_INSTANCE=…`, as in its environment.
    token: Option<Vec<u8>>,
    pipes: [u64; 2],
}

impl Orphan {
    pub(crate) fn look(pid: i32) -> Option<Self> {
        let process = procfs::process(pid).filter(|found| !found.zombie)?;
        let orphan = Self { process, token: token_of(pid), pipes: procfs::output_pipes(pid) };
        // What was read was that of this process only if it is there yet.
        process.again().map(|_| orphan)
    }

    /// Whether it was once a descendant of this leader: it is in its session, carries its token, or
    /// still writes to its pipes; and is in no other worker's group.
    pub(crate) fn is_of(&self, leader: &Leader) -> bool {
        let writes = self.pipes.iter().any(|pipe| *pipe != 0 && leader.pipes.contains(pipe));
        let ours = self.process.session == leader.pid
            || self.token.as_deref() == Some(leader.token.as_bytes())
            || writes;
        ours && !leader.group.excludes(self.process.pid)
    }

    /// As it is now. Its token and its pipes came with its birth and are not read again; without a
    /// token it may have been met in the middle of an exec(2), where nothing can be read.
    fn again(self) -> Option<Self> {
        self.token.as_ref()?;
        let process = self.process.again().filter(|now| !now.zombie)?;
        Some(Self { process, ..self })
    }
}

/// Those that were looked at before. While many workers are replaced at once, the keeper has
/// hundreds of children that are leaders of which it has not told yet, and each end of a worker
/// looks at all of them.
#[derive(Debug, Default)]
pub(crate) struct Orphans(RefCell<BTreeMap<i32, Orphan>>);

impl Orphans {
    /// Those of a leader among `pids`, which are all there are.
    pub(crate) fn of(&self, leader: &Leader, pids: &[i32]) -> Vec<Process> {
        let mut known = self.0.take();
        let mut look =
            |pid: i32| known.remove(&pid).and_then(Orphan::again).or_else(|| Orphan::look(pid));
        let now: BTreeMap<i32, Orphan> =
            pids.iter().filter_map(|pid| Some((*pid, look(*pid)?))).collect();
        let own = now.values().filter(|orphan| orphan.is_of(leader));
        let own = own.map(|orphan| orphan.process).collect();
        self.0.replace(now);
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::TOKEN;
    use rpm_unix::cgroup::Group;
    use std::{
        io::{Read, Write},
        process::{Child, Command, Stdio},
    };

    fn cat(token: Option<&str>) -> Child {
        let mut command = Command::new("cat");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.env_remove(TOKEN).envs(token.map(|token| (TOKEN, token)));
        let mut child = command.spawn().unwrap();
        // It runs when it answers; before, its environment may not be there yet.
        child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        child
    }

    fn leader(token: &str) -> Leader {
        let token = format!("{TOKEN}={token}");
        Leader { pid: 1, start_time: 0, token, pipes: [0; 2], group: Group::default() }
    }

    fn pids(found: &[Process]) -> Vec<i32> {
        found.iter().map(|process| process.pid).collect()
    }

    #[test]
    fn whose_they_were_is_known_at_each_look() {
        let orphans = Orphans::default();
        let mut all = [cat(Some("one")), cat(Some("two")), cat(None)];
        let every = all.each_ref().map(|child| child.id() as i32);
        for _ in 0..2 {
            assert_eq!(pids(&orphans.of(&leader("one"), &every)), [every[0]]);
            assert_eq!(pids(&orphans.of(&leader("two"), &every)), [every[1]]);
            assert_eq!(pids(&orphans.of(&leader("none"), &every)), [0; 0]);
        }
        // A zombie is none, though nobody has waited for it.
        all[0].kill().unwrap();
        while procfs::process(every[0]).is_some_and(|found| !found.zombie) {}
        assert_eq!(pids(&orphans.of(&leader("one"), &every)), [0; 0]);
        for mut child in all {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
        assert_eq!(pids(&orphans.of(&leader("two"), &every)), [0; 0]);
    }
}
