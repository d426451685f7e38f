//! `serve`: an app whose script is rpm's own static server, and that server itself (`__serve`).

use crate::{
    cli::{Serve, ServeForeground, Site},
    command::{start, start_options},
    error::CliError,
    fleet_file,
    session::Session,
};
use rpm_config::resolve;
use rpm_protocol::StartOrigin;
use rpm_serve::{Credentials, Options};
use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// The script that `rpm-config` reads as rpm's own server.
const SCRIPT: &str = "serve";

/// Starts the server as an app named as under PM2.
pub(crate) async fn start(session: &Session, options: Serve) -> Result<(), CliError> {
    let context = fleet_file::context(&Default::default())?;
    let root = directory(&context.cwd.join(options.site.path.clone().unwrap_or_default()))?;
    let port = port(&options.site).unwrap_or(Options::DEFAULT_PORT);
    let mut app = start_options::of_flags(&options.app)?;
    app.script = Some(SCRIPT.into());
    let name = app.name.unwrap_or_else(|| format!("static-page-server-{port}"));
    app.name = Some(name);
    let mut args = vec![root.display().to_string(), port.to_string()];
    args.extend(options.site.spa.then(|| "--spa".to_owned()));
    args.extend(options.site.ftp.then(|| "--ftp".to_owned()));
    app.env.extend(asked(&options.site)?);
    app.args = Some(args);
    let spec = resolve(&app, &context)?.spec;
    let mut client = session.daemon().await?;
    let apps = vec![(spec, StartOrigin::CommandLine)];
    let failed = start::start_apps(session, &mut client, apps, None).await?;
    session.show_table(&mut client).await?;
    if failed {
        return Err(CliError::Told);
    }
    session.tell(&format!("serving {} on http://localhost:{port}", root.display()));
    Ok(())
}

/// Serves until it is told to stop. The words of the command line win over PM2's variables.
pub(crate) fn foreground(options: &ServeForeground) -> Result<(), CliError> {
    let site = &options.site;
    let variable = |name: &str| env::var(format!("PM2_SERVE_{name}")).ok();
    let root = site.path.clone().or_else(|| variable("PATH").map(PathBuf::from));
    let mut serve = Options::new(directory(&root.unwrap_or_else(|| PathBuf::from(".")))?);
    let is_on = |name: &str| variable(name).is_some_and(|value| value == "true");
    serve.spa = site.spa || is_on("SPA");
    serve.listing = site.ftp || is_on("FTP");
    let username = site.basic_auth_username.clone().or_else(|| variable("BASIC_AUTH_USERNAME"));
    let password = site.basic_auth_password.clone().or_else(|| variable("BASIC_AUTH_PASSWORD"));
    if site.basic_auth_username.is_some() || is_on("BASIC_AUTH") {
        serve.credentials = Some(credentials(username, password)?);
    }
    serve.port = match (port(site), variable("PORT")) {
        (Some(port), _) => port,
        (None, Some(text)) => text.parse().map_err(|_| no_number("PM2_SERVE_PORT", &text))?,
        (None, None) => serve.port,
    };
    if let Some(text) = variable("HOST") {
        serve.host = text.parse().map_err(|_| no_number("PM2_SERVE_HOST", &text))?;
    }
    rpm_serve::run(serve).map_err(|error| failed(&error))
}

/// Name and password of a command line, as variables: a command line can be read by every user.
fn asked(site: &Site) -> Result<Vec<(String, String)>, CliError> {
    let Some(username) = site.basic_auth_username.clone() else { return Ok(Vec::new()) };
    let from_environment = || env::var("PM2_SERVE_BASIC_AUTH_PASSWORD").ok();
    let password = site.basic_auth_password.clone().or_else(from_environment);
    let Credentials { username, password } = credentials(Some(username), password)?;
    let all = [("", "true".to_owned()), ("_USERNAME", username), ("_PASSWORD", password)];
    Ok(all.map(|(end, value)| (format!("PM2_SERVE_BASIC_AUTH{end}"), value)).into())
}

/// Whom the site is for; half of it would be no protection.
fn credentials(
    username: Option<String>,
    password: Option<String>,
) -> Result<Credentials, CliError> {
    match (username.filter(|name| !name.contains(':')), password) {
        (Some(username), Some(password)) => Ok(Credentials { username, password }),
        (None, _) | (_, None) => {
            let message = "the site asks for a password, and name or password is missing or wrong";
            let hint = "set PM2_SERVE_BASIC_AUTH_USERNAME, without a colon, and \
                        PM2_SERVE_BASIC_AUTH_PASSWORD";
            Err(CliError::failed(message, hint))
        }
    }
}

fn port(site: &Site) -> Option<u16> {
    site.port.or(site.port_option)
}

/// `path`, without needless dots, if it is a directory.
fn directory(path: &Path) -> Result<PathBuf, CliError> {
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Ok(path.components().collect()),
        Ok(_) => Err(not_served(path, "it is no directory")),
        Err(error) => Err(not_served(path, &error.to_string())),
    }
}

fn not_served(path: &Path, why: &str) -> CliError {
    let message = format!("{} cannot be served: {why}", path.display());
    CliError::failed(message, "name a directory: rpm serve ./public 8080")
}

fn no_number(name: &str, text: &str) -> CliError {
    CliError::Failed { message: format!("{name} is {text:?}, which cannot be used"), hint: None }
}

fn failed(error: &io::Error) -> CliError {
    CliError::Failed { message: error.to_string(), hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_are_served() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(directory(home.path()).unwrap(), home.path());
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [file, home.path().join("none")] {
            let error = directory(&path).unwrap_err();
            assert!(matches!(error, CliError::Failed { .. }), "{error:?}");
        }
    }
}
