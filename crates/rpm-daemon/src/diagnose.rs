//! Failures in words: what happened, and what to do next.
//!
//! The one guess in here: a program that dies complaining about its port gets the holder of that
//! port looked up, because that is the next thing a person would do.

use crate::listeners;
use rpm_config::{AppName, AppSpec, Ready};
use rpm_keeper::{Address, Owner, SpawnStage};
use rpm_protocol::FailureView;
use rpm_supervisor::{Cause, Exit, Failure, Instance, InstanceId, WorkerId};
use rpm_unix::{
    procfd::{Holder, listener_holder},
    socket::Endpoint,
};
use std::{collections::BTreeMap, io, time::Duration};

/// Linux's numbers of EADDRINUSE and EACCES.
pub(crate) const EADDRINUSE: i32 = 98;
const EACCES: i32 = 13;
/// The first port that is everybody's, unless the system says otherwise.
const PRIVILEGED: u16 = 1024;

/// How many refused addresses are remembered: a request may settle long after a worker has gone.
const MAX_TROUBLES: usize = 256;

/// The last address each of the latest workers was refused, in words.
#[derive(Debug, Default)]
pub(crate) struct Troubles(BTreeMap<WorkerId, String>);

impl Troubles {
    /// Remembers one.
    pub(crate) fn note(&mut self, worker: WorkerId, trouble: String) {
        self.0.insert(worker, trouble);
        if self.0.len() > MAX_TROUBLES {
            self.0.pop_first();
        }
    }

    /// That of a worker.
    pub(crate) fn of(&self, worker: WorkerId) -> Option<String> {
        self.0.get(&worker).cloned()
    }
}

/// Why a program could not be executed.
pub(crate) fn spawn_failure(spec: &AppSpec, stage: SpawnStage, errno: i32) -> String {
    let error = io::Error::from_raw_os_error(errno);
    let launch = &spec.launch;
    let program = match &launch.interpreter {
        Some(interpreter) => interpreter.clone(),
        None => launch.script.display().to_string(),
    };
    match stage {
        SpawnStage::Spec => format!("its arguments or environment are too large: {error}"),
        SpawnStage::Descriptors => format!("no pipes for its output could be made: {error}"),
        SpawnStage::Fork => format!("no process could be made: {error}"),
        SpawnStage::Directory => {
            format!("its working directory {} cannot be entered: {error}", spec.cwd.display())
        }
        SpawnStage::Credentials => format!("its user could not be taken: {error}"),
        SpawnStage::Limits => format!("its limits could not be set: {error}"),
        SpawnStage::Filter => format!("its ports cannot be shared on this machine: {error}"),
        SpawnStage::Listen => format!("an address of its `listen` cannot be bound: {error}"),
        SpawnStage::Exec => format!("{program} cannot be executed: {error}"),
    }
}

/// A failed request, with the last lines its worker wrote and the address it was refused, if any.
pub(crate) fn failure(
    app: &AppName,
    failure: &Failure,
    (stderr, refused): (Vec<String>, Option<String>),
    ready: &Ready,
) -> FailureView {
    let (reason, hint) = match &failure.cause {
        Cause::NotSpawned(reason) => (reason.clone(), None),
        Cause::Exited(exit) => {
            let hint = refused.or_else(|| port_hint(&stderr));
            (format!("{} before it was ready", ended(*exit)), hint)
        }
        Cause::NotReady(after) => {
            let hint = refused.unwrap_or_else(|| unproven(ready).to_owned());
            (format!("not ready in {}", seconds(*after)), Some(hint))
        }
        Cause::Awaits { app, exists: true } => {
            let hint = format!("rpm logs {app} shows why; it starts when {app} is up");
            (format!("waits for {app}, which does not run"), Some(hint))
        }
        Cause::Awaits { app, exists: false } => {
            let hint = format!("start {app} too, or take it out of `depends_on`");
            (format!("waits for {app}, which is not there"), Some(hint))
        }
        Cause::Superseded => ("another command took it away".to_owned(), None),
    };
    FailureView { app: app.clone(), instance: failure.instance.0, reason, hint, stderr }
}

/// What a worker must do to count as ready.
fn unproven(ready: &Ready) -> &'static str {
    match ready {
        Ready::Listening => "it must listen on a port, or raise listen_timeout",
        Ready::Message => "it must send 'ready', or raise listen_timeout",
        Ready::Notify => "it must send READY=1 to NOTIFY_SOCKET, or raise listen_timeout",
        Ready::Probe(_) => "its probe was never answered; correct it, or raise listen_timeout",
    }
}

/// An error number in words.
pub(crate) fn system(errno: i32) -> String {
    io::Error::from_raw_os_error(errno).to_string()
}

/// The kernel or container has no filter for binds: what is shared all the same, and the way out.
pub(crate) fn unfiltered(errno: i32) -> String {
    format!(
        "rpm cannot answer its binds here ({}), so only Node's own servers share their port; give \
         other programs their sockets with `listen`, or a port each with `increment_var`",
        system(errno)
    )
}

/// A worker found its port held by another of its app, whose bind nobody saw: what binds so, and
/// the way out.
pub(crate) fn unseen(port: u16, holder: (i32, String), instance: InstanceId) -> String {
    let (pid, command) = holder;
    format!(
        "port {port} is held by instance {instance} of the same app ({command}, pid {pid}), whose \
         bind rpm did not see, as of 32-bit programs, io_uring, and where a sandbox forbids it \
         (rpm doctor); give the app its socket with `listen`, or in fork mode a port each with \
         `increment_var`"
    )
}

/// An address that was refused.
pub(crate) fn refused(address: &Address, errno: i32, holder: Option<&Owner>) -> String {
    let place = listeners::text(address);
    if let Some(owner) = holder {
        return format!("{place} is in use by the app {}", owner.app);
    }
    let (endpoint, port) = match address {
        Address::Tcp(socket) => (Endpoint::Tcp(*socket), socket.port()),
        Address::Udp(socket) => (Endpoint::Udp(*socket), socket.port()),
        Address::Unix(path) => (Endpoint::Unix(path.clone()), 0),
    };
    let holder = (errno == EADDRINUSE).then(|| listener_holder(&endpoint)).flatten();
    match (holder, address) {
        (Some(Holder { pid, command }), Address::Tcp(_)) => {
            format!("port {port} is in use by {command} (pid {pid})")
        }
        (Some(Holder { pid, command }), Address::Udp(_) | Address::Unix(_)) => {
            format!("{place} is in use by {command} (pid {pid})")
        }
        (None, _) if errno == EACCES && (1..PRIVILEGED).contains(&port) => format!(
            "{place}: ports below {PRIVILEGED} are root's (sysctl \
             net.ipv4.ip_unprivileged_port_start); a root's rpm binds what the app's `listen` names"
        ),
        (None, _) => format!("{place}: {}", system(errno)),
    }
}

/// `--wait` ran out.
pub(crate) fn not_ready(app: &AppName, instance: InstanceId, after: Duration) -> FailureView {
    FailureView {
        app: app.clone(),
        instance: instance.0,
        reason: format!("not ready in {}", seconds(after)),
        hint: None,
        stderr: Vec::new(),
    }
}

/// `--wait` found it settled, but not online.
pub(crate) fn not_online(app: &AppName, instance: &Instance) -> FailureView {
    let ended = instance.last_exit.map(|(exit, _)| ended(exit));
    FailureView {
        app: app.clone(),
        instance: instance.id.0,
        reason: ended.unwrap_or_else(|| format!("it is {}", instance.status())),
        hint: None,
        stderr: Vec::new(),
    }
}

/// How a process ended, as a phrase.
pub(crate) fn ended(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exited with code {code}"),
        Exit::Signal(signal) => format!("was ended by {}", signal_name(signal)),
        Exit::Unknown => "ended in an unknown way".to_owned(),
    }
}

/// The name of a signal, or its number.
pub(crate) fn signal_name(signal: i32) -> String {
    rpm_unix::signal::name(signal).map_or_else(|| format!("signal {signal}"), str::to_owned)
}

fn seconds(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis.is_multiple_of(1000) {
        format!("{} s", millis / 1000)
    } else {
        format!("{millis} ms")
    }
}

/// `port 3000 is in use by nginx (pid 123)`, where a dying program complained about its port.
fn port_hint(stderr: &[String]) -> Option<String> {
    if !complains(stderr) {
        return None;
    }
    let Some(port) = stderr.iter().find_map(|line| port_in(line)) else {
        return Some("its port is in use by another program".to_owned());
    };
    let holder = rpm_unix::procfd::port_holder(port);
    Some(match holder {
        Some((pid, name)) => format!("port {port} is in use by {name} (pid {pid})"),
        None => format!("port {port} is in use by another program"),
    })
}

/// The port that a dying program says is in use.
pub(crate) fn port_complained_of(stderr: &[String]) -> Option<u16> {
    if complains(stderr) { stderr.iter().find_map(|line| port_in(line)) } else { None }
}

fn complains(stderr: &[String]) -> bool {
    const COMPLAINTS: [&str; 3] =
        ["EADDRINUSE", "Address already in use", "address already in use"];
    stderr.iter().any(|line| COMPLAINTS.iter().any(|words| line.contains(words)))
}

/// The number after a line's last colon, as Node and others print ports.
fn port_in(line: &str) -> Option<u16> {
    let after_colon = line.rsplit(':').find_map(|part| {
        let digits: String = part.trim_start().chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok().filter(|port| *port > 0)
    });
    after_colon.filter(|_| line.contains("EADDRINUSE") || line.contains("port"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_in_complaints() {
        let node = "Error: listen EADDRINUSE: address already in use :::3000";
        assert_eq!(port_in(node), Some(3000));
        assert_eq!(port_in("  port: 8080"), Some(8080));
        assert_eq!(port_in("    at Server.setupListenHandle (node:net:1908:16)"), None);
        assert_eq!(port_in("OSError: [Errno 98] Address already in use"), None);
    }

    #[test]
    fn a_refused_address_is_told_with_its_reason() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let _unix = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let me = std::process::id();
        let unix = refused(&Address::Unix(path.clone()), EADDRINUSE, None);
        assert!(unix.starts_with(&format!("unix:{} is in use by ", path.display())), "{unix}");
        assert!(unix.ends_with(&format!(" (pid {me})")), "{unix}");
        let gone = format!("udp:{udp}: Address already in use (os error 98)");
        assert_eq!(refused(&Address::Udp(udp), EADDRINUSE, None), gone);
        let tcp = |port: u16| Address::Tcp(([127, 0, 0, 1], port).into());
        let low = "127.0.0.1:1023: ports below 1024 are root's (sysctl \
                   net.ipv4.ip_unprivileged_port_start); a root's rpm binds what the app's \
                   `listen` names";
        assert_eq!(refused(&tcp(1023), EACCES, None), low);
        let high = "127.0.0.1:1024: Permission denied (os error 13)";
        assert_eq!(refused(&tcp(1024), EACCES, None), high);
        let owner = Owner { app: "api".to_owned(), slot: 0 };
        let app = "127.0.0.1:80 is in use by the app api";
        assert_eq!(refused(&tcp(80), EADDRINUSE, Some(&owner)), app);
    }

    #[test]
    fn ends_in_words() {
        assert_eq!(ended(Exit::Code(3)), "exited with code 3");
        assert_eq!(ended(Exit::Signal(9)), "was ended by SIGKILL");
        assert_eq!(ended(Exit::Unknown), "ended in an unknown way");
    }

    #[test]
    fn whole_seconds_read_as_seconds() {
        assert_eq!(seconds(Duration::from_millis(3000)), "3 s");
        assert_eq!(seconds(Duration::from_millis(1600)), "1600 ms");
    }
}
