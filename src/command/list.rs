//! `list`, `jlist` and `prettylist`.

use crate::{
    cli::List,
    error::CliError,
    render::{inspect, mini, sort, table},
    session::{Session, targets},
};
use rpm_pm2_socket::whole_list;
use rpm_protocol::{Client, InstanceDetail, InstanceView, Request};
use std::time::Duration;

/// How often `list --watch` looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// Clears a terminal and puts the cursor at its top: ECMA-48's CUP and ED.
const CLEAR: &str = "\u{1b}[H\u{1b}[J";

/// The table, or what the options ask for in its place.
pub(crate) async fn run(session: &Session, options: List) -> Result<(), CliError> {
    let order = options.sort.as_deref().map(sort::Order::of).transpose().map_err(|field| {
        let hint = format!("it is one of {}", sort::FIELDS.join(", "));
        CliError::failed(format!("--sort {field}: there is no such field"), hint)
    })?;
    let mut client = session.daemon().await?;
    if options.json {
        return json_of(session, &mut client).await;
    }
    let mut timer = tokio::time::interval(INTERVAL);
    loop {
        timer.tick().await;
        let text = text(session, &mut client, &options, order).await?;
        if !options.watch {
            return session.show(&text);
        }
        session.print(&format!("{CLEAR}{text}\n"))?;
    }
}

async fn text(
    session: &Session,
    client: &mut Client,
    options: &List,
    order: Option<sort::Order>,
) -> Result<String, CliError> {
    if options.mini_list {
        let details = details(client).await?;
        return Ok(mini::all(&details));
    }
    let mut instances: Vec<InstanceView> = client.call(Request::List).await?;
    if let Some(order) = order {
        order.sort(&mut instances);
    }
    session.warn_of_logs(&instances);
    session.warn_of_rolls(&instances);
    Ok(table::fleet(&instances, session.width, session.out))
}

/// PM2's JSON, and nothing else on standard output.
pub(crate) async fn json(session: &Session) -> Result<(), CliError> {
    let mut client = session.daemon().await?;
    json_of(session, &mut client).await
}

async fn json_of(session: &Session, client: &mut Client) -> Result<(), CliError> {
    let details = details(client).await?;
    session.print(&whole_list(&details, &session.home).to_string())
}

/// The same as Node prints objects.
pub(crate) async fn pretty(session: &Session) -> Result<(), CliError> {
    let mut client = session.daemon().await?;
    let details = details(&mut client).await?;
    session.print(&inspect::text(&whole_list(&details, &session.home)))
}

async fn details(client: &mut Client) -> Result<Vec<InstanceDetail>, CliError> {
    let request = Request::Describe { targets: targets(Vec::new()), secrets: true };
    let mut details: Vec<InstanceDetail> = client.call(request).await?;
    details.sort_by_key(|detail| detail.view.id);
    Ok(details)
}
