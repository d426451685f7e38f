//! Finds the daemon of a home, or starts keeper and daemon where none runs.
//!
//! The socket's listener lives in the keeper: while a daemon is replaced a command waits in its
//! queue, and nobody starts a second one.

use crate::{error::CliError, render::style::Paint, role, session::Session};
use rpm_protocol::{Client, ClientError, Welcome};
use rpm_unix::{fd, home::Home, lock};
use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt},
    process::{Command, Stdio},
    time::Duration,
};
use tokio::time::timeout;

/// What the keeper writes when the daemon can be connected to; anything else is why not.
const READY: &str = "ok";
/// The longest line the keeper may write.
const MAX_READY_LINE: u64 = 4096;
/// A person who waits this long is told why.
const NOTICE: Duration = Duration::from_secs(2);
/// How long a daemon may take to greet, and a keeper to be ready, until it is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a daemon that goes away while it is greeted is looked for again: `kill` and a start
/// may cross.
const ATTEMPTS: usize = 3;

/// A connection to the daemon, which is started if none runs.
pub(crate) async fn daemon(session: &Session) -> Result<Client, CliError> {
    for _ in 0..ATTEMPTS {
        let client = match running(session).await? {
            Some(client) => client,
            None => start(session).await?,
        };
        match greeted(session, client).await {
            Err(CliError::Client(ClientError::Closed)) => {}
            result => return result,
        }
    }
    Err(launch_failed(session, "the daemon goes away whenever it is asked".into()))
}

/// A connection to the daemon if one runs; not greeted yet.
async fn running(session: &Session) -> Result<Option<Client>, CliError> {
    match Client::connect(&session.home.socket()).await {
        Ok(client) => Ok(Some(client)),
        Err(ClientError::NobodyListens) => Ok(None),
        Err(error) => {
            // What is wrong with the home says more than what is wrong with a socket in it.
            session.home.create().map_err(CliError::Home)?;
            let socket = session.home.socket();
            Err(launch_failed(session, format!("{}: {error}", socket.display())))
        }
    }
}

/// A connection to the daemon if one runs, ready to be asked.
pub(crate) async fn greeted_if_running(session: &Session) -> Result<Option<Client>, CliError> {
    match running(session).await? {
        Some(client) => greeted(session, client).await.map(Some),
        None => Ok(None),
    }
}

/// Waits until the daemon takes the connection, and checks its version.
async fn greeted(session: &Session, mut client: Client) -> Result<Client, CliError> {
    let greeting = async move { client.hello().await.map(|welcome| (client, welcome)) };
    tokio::pin!(greeting);
    if let Some(answer) = rpm_protocol::within(NOTICE, greeting.as_mut()).await {
        return Ok(noticed(session, answer?));
    }
    session.insist(&format!("waiting for the daemon: {}", what_it_does(&session.home)));
    match timeout(PATIENCE, greeting).await {
        Ok(answer) => Ok(noticed(session, answer?)),
        Err(_) => Err(unresponsive(session)),
    }
}

/// Passes on what everybody should know.
fn noticed(session: &Session, (client, welcome): (Client, Welcome)) -> Client {
    if let Some(notice) = welcome.notice {
        session.insist(&format!("{} {notice}", session.err.paint(Paint::Busy, "warning:")));
    }
    client
}

fn unresponsive(session: &Session) -> CliError {
    let seconds = PATIENCE.as_secs();
    let state = what_it_does(&session.home);
    launch_failed(session, format!("the daemon has not answered for {seconds} s: {state}"))
}

fn launch_failed(session: &Session, reason: String) -> CliError {
    let log = session.home.daemon_log();
    CliError::Launch { reason, hint: Some(format!("{} says more", log.display())) }
}

/// Why the daemon may be slow, from its entry in /proc.
fn what_it_does(home: &Home) -> String {
    let pid = fs::read_to_string(home.pid_file()).ok().and_then(|text| text.trim().parse().ok());
    let Some(pid) = pid else { return "it is being started".into() };
    match state(pid) {
        Some(letter @ ('T' | 't')) => {
            format!("pid {pid} is stopped (state {letter}); kill -CONT {pid} lets it go on")
        }
        Some(letter) => format!("pid {pid} is busy (state {letter})"),
        None => match last_word(home) {
            Some(line) => format!("it is being restarted; its log ends with: {line}"),
            None => "it is being restarted".into(),
        },
    }
}

/// The last line of the daemon's log.
fn last_word(home: &Home) -> Option<String> {
    let mut log = File::open(home.daemon_log()).ok()?;
    let length = log.metadata().ok()?.len();
    log.seek(SeekFrom::Start(length.saturating_sub(MAX_READY_LINE))).ok()?;
    let mut bytes = Vec::new();
    log.take(MAX_READY_LINE).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    text.lines().rfind(|line| !line.trim().is_empty()).map(str::to_owned)
}

/// The state letter of a process, as ps shows it.
fn state(pid: u32) -> Option<char> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("State:"))?;
    line.trim().chars().next()
}

/// Starts keeper and daemon, or waits for the one who is doing so.
async fn start(session: &Session) -> Result<Client, CliError> {
    session.home.create().map_err(CliError::Home)?;
    let path = session.home.start_lock();
    let _lock = lock::lock(&path)
        .map_err(|error| launch_failed(session, format!("{}: {error}", path.display())))?;
    if let Some(client) = running(session).await? {
        return Ok(client);
    }
    session.mention(&format!("starting the daemon, home {}", session.home.root().display()));
    let ready = spawn_keeper(&session.home).map_err(|error| {
        launch_failed(session, format!("the keeper cannot be started: {error}"))
    })?;
    let line = timeout(PATIENCE, tokio::task::spawn_blocking(move || first_line(ready))).await;
    match line {
        Ok(Ok(Ok(line))) if line == READY => {}
        Ok(Ok(Ok(line))) if line.is_empty() => {
            return Err(launch_failed(session, "the keeper ended before it was ready".into()));
        }
        Ok(Ok(Ok(reason))) => return Err(launch_failed(session, reason)),
        Ok(Ok(Err(error))) => return Err(launch_failed(session, error.to_string())),
        Ok(Err(error)) => return Err(launch_failed(session, error.to_string())),
        Err(_) => return Err(launch_failed(session, "the keeper is not ready".into())),
    }
    let client = running(session).await?;
    client.ok_or_else(|| launch_failed(session, "nobody listens on rpm.sock".into()))
}

/// Starts the keeper, away from this terminal; returns the pipe on which it says that it is ready.
fn spawn_keeper(home: &Home) -> io::Result<File> {
    let (read, write) = io::pipe()?;
    let write = OwnedFd::from(write);
    fd::set_cloexec(&write, false)?;
    let log = File::options().append(true).create(true).mode(0o600).open(home.daemon_log())?;
    // The keeper leaves the terminal's session itself, and outlives this process.
    Command::new(env::current_exe()?)
        .arg(role::KEEPER)
        .arg(home.root())
        .arg(OsStr::new(&fd::number(&write).to_string()))
        .current_dir("/")
        // Typed in an app it would pass for one of the app's processes.
        .env_remove("RPM_INSTANCE")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    Ok(File::from(OwnedFd::from(read)))
}

fn first_line(from: File) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(from.take(MAX_READY_LINE)).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpm_protocol::{RpcError, Server, Welcome};
    use std::os::unix::net::UnixListener;

    #[test]
    fn the_state_of_a_process_is_read() {
        assert!(matches!(state(std::process::id()), Some('R' | 'S' | 'D')));
        assert_eq!(state(u32::MAX), None);
    }

    /// A home with a daemon that answers the first request with `answer`.
    async fn greet(answer: Result<serde_json::Value, RpcError>) -> Result<Client, CliError> {
        let directory = tempfile::tempdir().unwrap();
        let session = Session::quiet(Home::new(directory.path()));
        let socket = UnixListener::bind(session.home.socket()).unwrap();
        let server = Server::new(socket.into()).unwrap();
        let serve = async {
            let mut connection = server.accept().await;
            let (id, _) = connection.receive().await.unwrap().unwrap();
            connection.reply(id, answer);
            connection.sender().flushed().await;
        };
        tokio::join!(daemon(&session), serve).0
    }

    #[tokio::test]
    async fn a_daemon_that_greets_is_used() {
        let welcome = Welcome { version: 1, program: "0".into(), pid: 1, notice: None };
        assert!(greet(Ok(serde_json::to_value(welcome).unwrap())).await.is_ok());
    }

    #[tokio::test]
    async fn a_daemon_of_another_version_is_unreachable() {
        let error = greet(Err(RpcError::new(RpcError::VERSION, "too far"))).await.unwrap_err();
        assert_eq!(error.exit_code(), 3);
    }

    #[tokio::test]
    async fn nothing_is_started_to_ask_whether_something_runs() {
        let directory = tempfile::tempdir().unwrap();
        let session = Session::quiet(Home::new(directory.path()));
        assert!(greeted_if_running(&session).await.unwrap().is_none());
        // Nor by a socket that somebody left behind.
        drop(UnixListener::bind(session.home.socket()).unwrap());
        assert!(greeted_if_running(&session).await.unwrap().is_none());
    }

    #[test]
    fn a_daemon_without_a_pid_file_is_being_started() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path());
        assert_eq!(what_it_does(&home), "it is being started");
        fs::write(home.pid_file(), u32::MAX.to_string()).unwrap();
        assert_eq!(what_it_does(&home), "it is being restarted");
    }

    #[test]
    fn a_ready_line_ends_at_its_end() {
        let (read, mut write) = io::pipe().unwrap();
        io::Write::write_all(&mut write, b"ok\nmore").unwrap();
        assert_eq!(first_line(File::from(OwnedFd::from(read))).unwrap(), READY);
    }
}
