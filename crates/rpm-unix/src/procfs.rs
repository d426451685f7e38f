//! Other processes, from /proc. A process may end at any moment, so whatever cannot be read is left
//! out; everything read has a bound.

use nix::unistd::{SysconfVar, sysconf};
use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
    time::Duration,
};

/// How many processes are looked at; the kernel's own default limit (pid_max) is 4 Mi.
const MAX_PROCESSES: usize = 1 << 22;
/// How many threads of one process are asked for children.
const MAX_THREADS: usize = 1 << 16;
/// Room for `stat` and `statm`: lines of numbers, 300 bytes at most with a name of at most 64.
const LINE_ROOM: usize = 1024;
/// `status` has some sixty short lines; the longest lists CPUs.
const MAX_STATUS: u64 = 64 << 10;
/// An environment is at most a quarter of the stack limit, 2 MiB by default.
const MAX_ENVIRONMENT: u64 = 4 << 20;
/// A children file lists pids of at most 8 bytes.
const MAX_CHILDREN: u64 = 1 << 20;

/// What the first fields of `/proc/PID/stat` tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: i32,
    /// Its parent.
    pub ppid: i32,
    /// Its session: the pid of the session's leader.
    pub session: i32,
    /// Field 22, in clock ticks since boot: with the pid it names a process for ever.
    pub start_time: u64,
    /// It is dead and waits for its parent.
    pub zombie: bool,
    /// Its threads.
    pub threads: u32,
    /// Fields 14 and 15: CPU time of all its threads since it began, in clock ticks of 10 ms.
    pub cpu_time: Duration,
}

impl Process {
    /// The same process as it is now; `None`: it is gone, though its id may be a stranger's.
    pub fn again(&self) -> Option<Self> {
        process(self.pid).filter(|now| now.start_time == self.start_time)
    }
}

/// All processes there are.
pub fn processes() -> io::Result<Vec<Process>> {
    Ok(numbers_in(Path::new("/proc"), MAX_PROCESSES)?.filter_map(process).collect())
}

/// One process; `None` if there is none of this id.
pub fn process(pid: i32) -> Option<Process> {
    let mut room = [0; LINE_ROOM];
    parse_stat(read_line(&format!("/proc/{pid}/stat"), &mut room)?)
}

/// Resident bytes of a process; 0 where there is none. From `statm`, because the number in `stat`
/// is a rough one (proc_pid_stat(5)): it may lack what other processors have counted.
pub fn resident(pid: i32) -> u64 {
    let mut room = [0; LINE_ROOM];
    let line = read_line(&format!("/proc/{pid}/statm"), &mut room);
    let pages: Option<u64> = line.and_then(|line| {
        std::str::from_utf8(line).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
    });
    pages.unwrap_or(0).saturating_mul(system_number(SysconfVar::PAGE_SIZE))
}

/// The direct children of a process that was just looked at, zombies included.
pub fn children(process: &Process) -> Vec<i32> {
    match process {
        // The usual one has no other thread that could have any.
        Process { threads: 1, pid, .. } => {
            children_of_thread(&format!("/proc/{pid}/task/{pid}/children"))
        }
        _ => children_of(process.pid),
    }
}

/// The direct children of a process, zombies included.
pub fn children_of(pid: i32) -> Vec<i32> {
    let tasks = format!("/proc/{pid}/task");
    let Ok(threads) = numbers_in(Path::new(&tasks), MAX_THREADS) else { return Vec::new() };
    threads.flat_map(|thread| children_of_thread(&format!("{tasks}/{thread}/children"))).collect()
}

/// Whether a process is under a seccomp filter (proc_pid_status(5)); false where that cannot be
/// read.
pub fn is_filtered(pid: i32) -> bool {
    let status = read_bounded(&format!("/proc/{pid}/status"), MAX_STATUS);
    let text = String::from_utf8_lossy(&status.unwrap_or_default()).into_owned();
    text.lines().any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2"))
}

/// The words a process was started with, as the kernel has them: each with a NUL behind it. Between
/// fork and exec they are its parent's. Empty where there is none, or it is a zombie.
pub fn arguments(pid: i32) -> Vec<u8> {
    read_bounded(&format!("/proc/{pid}/cmdline"), MAX_ENVIRONMENT).unwrap_or_default()
}

/// What a variable was in the environment a process was started with; `None` where it was not
/// there, or may not be read.
pub fn environment_value(pid: i32, key: &[u8]) -> Option<Vec<u8>> {
    let bytes = read_bounded(&format!("/proc/{pid}/environ"), MAX_ENVIRONMENT).ok()?;
    let mut entries = bytes.split(|byte| *byte == 0);
    entries.find_map(|entry| Some(entry.strip_prefix(key)?.strip_prefix(b"=")?.to_vec()))
}

/// The inodes of the pipes that standard output and error of a process are; 0 is none.
pub fn output_pipes(pid: i32) -> [u64; 2] {
    [1, 2].map(|number| {
        let link = fs::read_link(format!("/proc/{pid}/fd/{number}")).unwrap_or_default();
        let inode = link.to_str().and_then(|link| link.strip_prefix("pipe:[")?.strip_suffix(']'));
        inode.and_then(|inode| inode.parse().ok()).unwrap_or(0)
    })
}

fn children_of_thread(path: &str) -> Vec<i32> {
    let text = read_bounded(path, MAX_CHILDREN).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn numbers_in(directory: &Path, max: usize) -> io::Result<impl Iterator<Item = i32>> {
    let entries = fs::read_dir(directory)?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter_map(|name| name.parse().ok()).take(max))
}

/// A file of one line, which the kernel gives whole to who has room for it.
fn read_line<'a>(path: &str, room: &'a mut [u8]) -> Option<&'a [u8]> {
    let length = File::open(path).ok()?.read(room).ok()?;
    room.get(..length)
}

/// Clock ticks a second, bytes of a page; 0 where the system does not say.
fn system_number(of: SysconfVar) -> u64 {
    sysconf(of).ok().flatten().and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
}

fn read_bounded(path: &str, max: u64) -> io::Result<Vec<u8>> {
    // A page holds most of these files whole, so that one call reads them.
    let mut bytes = Vec::with_capacity(4096);
    File::open(path)?.take(max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The name stands in brackets and may itself have brackets and blanks, so fields are counted from
/// the last closing one.
fn parse_stat(stat: &[u8]) -> Option<Process> {
    let open = stat.iter().position(|byte| *byte == b'(')?;
    let close = stat.iter().rposition(|byte| *byte == b')')?;
    let pid = std::str::from_utf8(stat.get(..open)?).ok()?.trim().parse().ok()?;
    let rest = std::str::from_utf8(stat.get(close + 1..)?).ok()?;
    // The first of these is field 3 of proc_pid_stat(5).
    let fields: Vec<&str> = rest.split_ascii_whitespace().take(20).collect();
    let field = |number: usize| fields.get(number - 3).copied();
    let ticks = |number| field(number)?.parse::<u64>().ok();
    Some(Process {
        pid,
        ppid: field(4)?.parse().ok()?,
        session: field(6)?.parse().ok()?,
        start_time: field(22)?.parse().ok()?,
        zombie: matches!(field(3)?, "Z" | "X"),
        threads: field(20)?.parse().ok()?,
        cpu_time: time_of(ticks(14)?.saturating_add(ticks(15)?)),
    })
}

fn time_of(ticks: u64) -> Duration {
    let each = 1000_u64.checked_div(system_number(SysconfVar::CLK_TCK)).unwrap_or(0);
    Duration::from_millis(ticks.saturating_mul(each))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_stat_line_is_read_whatever_the_name() {
        let line = b"42 (a) b (c)) S 7 42 40 0 -1 0 0 0 0 0 12 34 0 0 20 0 3 0 98765 0 0\n";
        let expected = Process {
            pid: 42,
            ppid: 7,
            session: 40,
            start_time: 98765,
            zombie: false,
            threads: 3,
            cpu_time: Duration::from_millis(460),
        };
        assert_eq!(parse_stat(line), Some(expected));
        for broken in [&b""[..], b"42", b"42 (a", b"42 (a) S 7", b"x (a) S 1 2 3", b")(", b"\xff()"]
        {
            assert_eq!(parse_stat(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn a_child_is_found_from_its_parent_and_by_its_environment() {
        let mut child = Command::new("cat")
            .env_clear()
            .env("RPM_PROBE", "17")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let (us, pid) = (std::process::id() as i32, child.id() as i32);
        assert!(children_of(us).contains(&pid));
        let found = processes().unwrap().into_iter().find(|process| process.pid == pid).unwrap();
        assert_eq!((found.ppid, found.zombie), (us, false));
        assert_eq!(process(pid).unwrap().start_time, found.start_time);
        assert_eq!((found.threads, children(&found)), (1, vec![]));
        assert!((4096..1 << 30).contains(&resident(pid)), "{}", resident(pid));
        let value = |key: &str| environment_value(pid, key.as_bytes());
        assert_eq!(value("RPM_PROBE").as_deref(), Some(&b"17"[..]));
        assert_eq!(["RPM_PROB", "PROBE", ""].map(value), [None, None, None]);
        assert_eq!(arguments(pid), b"cat\0");
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(process(pid), None);
    }

    #[test]
    fn who_writes_to_a_pipe_is_found_by_it() {
        use std::os::unix::fs::MetadataExt;
        let mut command = Command::new("cat");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let pid = child.id() as i32;
        let inode = fs::metadata(format!("/proc/{pid}/fd/1")).unwrap().ino();
        assert_eq!(output_pipes(pid)[0], inode);
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(output_pipes(pid), [0, 0]);
    }

    #[test]
    fn nobody_has_neither_children_nor_environment() {
        assert_eq!(process(-1), None);
        assert_eq!(resident(-1), 0);
        assert_eq!(children_of(-1), Vec::<i32>::new());
        assert_eq!((environment_value(-1, b""), arguments(-1)), (None, Vec::new()));
    }
}
