//! A front as the keeper executes it: this program in its hidden role, with the sockets it accepts
//! on and a channel.

use super::identity;
use crate::{diagnose, launch::Places};
use rpm_config::{AppName, AppSpec, Balance, ListenAddress, Proxy, ProxyHeader};
use rpm_front::{Config, Policy, ProxyProtocol};
use rpm_keeper::{Activation, Address, ChildId, Request, SpawnSpec};
use rpm_unix::{socket::Endpoint, spawn::Program};
use std::{ffi::CString, net::SocketAddr, os::fd::OwnedFd};
use tokio::task::spawn_local;

/// The first word of a front's command line.
const ROLE: &str = "__front";
/// In the forked child this is still the keeper's own program, whatever has become of its file
/// (traps B10).
const PROGRAM: &str = "/proc/self/exe";
/// The longest piece of a front's output that is logged at once.
const OUTPUT_BYTES: usize = 4 << 10;

/// Asks for a front of this app.
pub(super) fn request(
    child: ChildId,
    places: &Places,
    app: &AppName,
    proxy: &Proxy,
    listen: Vec<SocketAddr>,
) -> Result<Request, String> {
    let spec = spec(places, app, proxy)?;
    let spec = spec.seal().map_err(|error| format!("out of memory files: {error}"))?;
    Ok(Request::Spawn { child, label: identity::label(app, listen), spec })
}

fn spec(places: &Places, app: &AppName, proxy: &Proxy) -> Result<SpawnSpec, String> {
    let config = config(proxy);
    let config = serde_json::to_string(&config).map_err(|error| error.to_string())?;
    let text = |text: &str| CString::new(text).map_err(|error| error.to_string());
    let home = places.home.display();
    let sockets = proxy.listen.len();
    Ok(SpawnSpec {
        program: Program {
            file: text(PROGRAM)?,
            arguments: vec![text("rpm")?, text(ROLE)?, text(&config)?],
            environment: vec![text(&format!("RPM_HOME={home}"))?, text(&fds(sockets))?],
            directory: places.home.clone(),
            credentials: None,
        },
        channel: true,
        share: None,
        activation: Some(Activation {
            owner: super::owner(app),
            addresses: addresses(Some(proxy)),
        }),
        balance: rpm_keeper::Balance::Shared,
        input: false,
        limits: rpm_keeper::Limits::default(),
    })
}

fn fds(count: usize) -> String {
    format!("LISTEN_FDS={count}")
}

/// What the front is told at its start; its upstreams come over the channel.
fn config(proxy: &Proxy) -> Config {
    let balance = match proxy.balance {
        Balance::Even => Policy::Even,
        Balance::Random => Policy::Random,
        Balance::IpHash => Policy::IpHash,
        Balance::RoundRobin => Policy::RoundRobin,
        Balance::Shared | Balance::LeastConn => Policy::LeastConn,
    };
    let proxy_protocol = match proxy.header {
        ProxyHeader::None => None,
        ProxyHeader::V1 => Some(ProxyProtocol::V1),
        ProxyHeader::V2 => Some(ProxyProtocol::V2),
    };
    Config { balance, proxy_protocol, ..Config::default() }
}

/// Where a front accepts, as the keeper names it; none for an app without.
pub(super) fn addresses(proxy: Option<&Proxy>) -> Vec<Address> {
    let address = |address: &ListenAddress| match address {
        ListenAddress::Tcp(address) => Address::Tcp(*address),
        ListenAddress::Udp(address) => Address::Udp(*address),
        ListenAddress::Unix(path) => Address::Unix(path.clone()),
    };
    proxy.map(|proxy| proxy.listen.iter().map(address).collect()).unwrap_or_default()
}

/// An address at which a front of the new description would be refused, because somebody has it
/// who is not the former one; in words.
pub(crate) fn taken_address(former: &AppSpec, spec: &AppSpec) -> Option<String> {
    let had = addresses(former.proxy.as_ref());
    let wanted = addresses(spec.proxy.as_ref()).into_iter();
    let taken = wanted.filter(|address| !had.contains(address)).find(|address| {
        rpm_unix::procfd::is_taken(&match address {
            Address::Tcp(address) => Endpoint::Tcp(*address),
            Address::Udp(address) => Endpoint::Udp(*address),
            Address::Unix(path) => Endpoint::Unix(path.clone()),
        })
    });
    taken.map(|address| diagnose::refused(&address, diagnose::EADDRINUSE, None))
}

/// What a front says goes to the daemon's log; it says nothing but why it ends.
pub(super) fn relay_output(app: &AppName, pipes: [OwnedFd; 2]) {
    for pipe in pipes {
        let app = app.clone();
        spawn_local(async move {
            // A pipe that cannot be read any more has nothing to say.
            let _ended = relay(&app, pipe).await;
        });
    }
}

async fn relay(app: &AppName, pipe: OwnedFd) -> std::io::Result<()> {
    let pipe = crate::async_fd::register(std::fs::File::from(pipe))?;
    let mut bytes = [0; OUTPUT_BYTES];
    loop {
        let mut ready = pipe.readable().await?;
        let read = ready.try_io(|pipe| std::io::Read::read(&mut pipe.get_ref(), &mut bytes));
        let Ok(read) = read else { continue };
        let said = bytes.get(..read?).unwrap_or_default();
        if said.is_empty() {
            return Ok(());
        }
        tracing::warn!(%app, "its front says: {}", String::from_utf8_lossy(said).trim_end());
    }
}
