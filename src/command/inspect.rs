//! `inspect`: opens Node's inspector in a running app.

use crate::{command::environment, error::CliError, session::Session};
use rpm_config::Runtime;
use rpm_unix::pidfd;

/// Linux's number of SIGUSR1, on which Node opens its inspector.
const SIGUSR1: i32 = 10;

/// Sends the signal that Node takes for it, and says where to look.
pub(crate) async fn run(session: &Session, word: &str) -> Result<(), CliError> {
    let mut client = session.daemon().await?;
    let detail = environment::first(&mut client, word).await?;
    let name = &detail.view.name;
    let Some(pid) = detail.view.pid.filter(|_| detail.spec.launch.runtime == Runtime::Node) else {
        let message = format!("{name} is no Node app that runs");
        return Err(CliError::failed(message, format!("rpm show {name} says what it is")));
    };
    let signalled = pidfd::open(pid).and_then(|fd| pidfd::send_signal(&fd, SIGUSR1));
    signalled.map_err(|error| CliError::io(&format!("{name}, pid {pid}"), &error))?;
    session.show(&format!(
        "the inspector of {name}, pid {pid}, listens on 127.0.0.1:9229\n\
         open chrome://inspect, or: node inspect -p {pid}"
    ))
}
