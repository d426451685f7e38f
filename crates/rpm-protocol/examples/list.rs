//! Lists what runs, then tells what happens: a whole client of rpm's daemon.
//!
//! ```sh
//! cargo run -p rpm-protocol --example list
//! ```

use rpm_protocol::{Client, ClientError, InstanceView, Request, Targets};
use std::{env, path::PathBuf};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), ClientError> {
    let given = env::var_os("RPM_HOME").map(PathBuf::from);
    let below = env::var_os("HOME").map(|home| PathBuf::from(home).join(".rpm"));
    let socket = given.or(below).unwrap_or_default().join("rpm.sock");

    let mut client = Client::connect(&socket).await?;
    let welcome = client.hello().await?;
    println!("rpm {} (pid {})", welcome.program, welcome.pid);

    let instances: Vec<InstanceView> = client.call(Request::List).await?;
    for one in &instances {
        println!("{} {} {} {:?}", one.id, one.name, one.status, one.pid);
    }

    // All apps, from now on; ends with the daemon.
    let all = Targets { words: Vec::new(), cwd: "/".into() };
    let mut events = client.events(None, all).await?;
    while let Some(event) = events.next().await? {
        println!("{} {} {}", event.app, event.instance, event.event);
    }
    Ok(())
}
