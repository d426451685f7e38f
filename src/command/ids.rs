//! `id` and `pid`: what scripts ask for. An unknown name is no error, as under PM2.

use crate::{error::CliError, session::Session};
use rpm_protocol::{Client, InstanceView, Request};

/// `[ 0, 1 ]`
pub(crate) async fn ids(session: &Session, name: &str) -> Result<(), CliError> {
    let mut client = session.daemon().await?;
    let ids = of_app(&mut client, name).await?;
    session.print(&list(&ids.iter().map(|one| one.id).collect::<Vec<_>>()))
}

/// One pid a line, 0 for what does not run; of all without a name.
pub(crate) async fn pids(session: &Session, name: Option<&str>) -> Result<(), CliError> {
    let mut client = session.daemon().await?;
    let instances = match name {
        Some(name) => of_app(&mut client, name).await?,
        None => all(&mut client).await?,
    };
    let lines: Vec<String> = instances.iter().map(|one| one.pid.unwrap_or(0).to_string()).collect();
    session.print(&(lines.join("\n") + "\n"))
}

async fn of_app(client: &mut Client, name: &str) -> Result<Vec<InstanceView>, CliError> {
    let mut instances = all(client).await?;
    instances.retain(|one| one.name.as_str() == name);
    Ok(instances)
}

async fn all(client: &mut Client) -> Result<Vec<InstanceView>, CliError> {
    let mut instances: Vec<InstanceView> = client.call(Request::List).await?;
    instances.sort_by_key(|one| one.id);
    Ok(instances)
}

/// As Node prints an array of numbers.
fn list(ids: &[u32]) -> String {
    if ids.is_empty() {
        return "[]\n".into();
    }
    let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
    format!("[ {} ]\n", ids.join(", "))
}

#[cfg(test)]
mod tests {
    use super::list;

    #[test]
    fn ids_look_as_under_pm2() {
        assert_eq!(list(&[]), "[]\n");
        assert_eq!(list(&[0, 1]), "[ 0, 1 ]\n");
    }
}
