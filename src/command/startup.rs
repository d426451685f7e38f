//! `startup` and `unstartup`: writes the service file of this machine's init system and enables it,
//! or takes it away. The files themselves are in `boot`.

use crate::{
    boot::{Service, System},
    cli::{Startup, Unstartup},
    error::CliError,
    session::Session,
};
use rpm_unix::user::{Account, account};
use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// Writes and enables a service that brings back what `rpm save` saved.
pub(crate) fn run(session: &Session, options: &Startup) -> Result<(), CliError> {
    let service = Service { wait_ip: options.wait_ip, ..service(session, &options.service)? };
    let file = service.path();
    if options.dry_run {
        let commands = service.enable().into_iter().map(|words| format!("# {}\n", words.join(" ")));
        let text =
            format!("# {}\n{}{}", file.display(), service.text(), commands.collect::<String>());
        return session.print(&text);
    }
    permitted("startup", &service)?;
    write(&file, &service)?;
    session.tell(&format!("wrote {}", file.display()));
    for words in service.enable() {
        execute(session, &words)?;
    }
    if service.is_of_a_person() && service.system == System::Systemd {
        linger(session, &service.user);
    }
    session.tell("next: rpm save    (the boot brings back what it saved)");
    Ok(())
}

/// Disables the service and removes its file.
pub(crate) fn undo(session: &Session, options: &Unstartup) -> Result<(), CliError> {
    let service = service(session, options)?;
    let file = service.path();
    if !file.exists() {
        let message = format!("there is no {}", file.display());
        return Err(CliError::failed(message, "rpm startup --dry-run shows what it would write"));
    }
    permitted("unstartup", &service)?;
    for words in service.disable() {
        // What is not enabled need not be disabled.
        if let Err(error) = execute(session, &words) {
            let text = crate::render::problem::problem(&error, session.err);
            session.warn(&text.unwrap_or_default());
        }
    }
    let gone = match service.system {
        System::Runit => file.parent().map_or(Ok(()), fs::remove_dir_all),
        System::Systemd | System::OpenRc | System::Launchd | System::Rcd => fs::remove_file(&file),
    };
    gone.map_err(|error| CliError::io(&file.display().to_string(), &error))?;
    session.tell(&format!("removed {}", file.display()));
    Ok(())
}

fn service(session: &Session, options: &Unstartup) -> Result<Service, CliError> {
    let system = match &options.platform {
        Some(word) => System::of(word).ok_or_else(|| unknown(word))?,
        None => System::detect(&env::var_os("PATH").unwrap_or_default()).ok_or_else(none)?,
    };
    let myself = me()?;
    let user = match &options.user {
        Some(user) => account(Some(user), None).map_err(|error| CliError::io(user, &error))?,
        None => me()?,
    };
    let home = match (&options.rpm_home, &options.hp) {
        (Some(home), _) => home.clone(),
        (None, Some(directory)) => directory.join(".rpm"),
        (None, None) if user.name == myself.name => session.home.root().to_owned(),
        (None, None) => Path::new(&user.home).join(".rpm"),
    };
    let executable = env::current_exe().map_err(|error| CliError::io("rpm itself", &error))?;
    Ok(Service {
        system,
        name: options.service_name.clone().unwrap_or_else(|| system.name(&user.name)),
        as_root: myself.credentials.uid == 0,
        user: user.name,
        user_home: user.home.into(),
        home,
        executable,
        path: env::var("PATH").unwrap_or_default(),
        wait_ip: false,
    })
}

fn me() -> Result<Account, CliError> {
    account(None, None).map_err(|error| CliError::io("the user of this process", &error))
}

fn unknown(word: &str) -> CliError {
    let message = format!("{word} is no init system that rpm knows");
    CliError::failed(message, "one of systemd, openrc, runit, launchd, rcd")
}

fn none() -> CliError {
    let message = "no init system was found on this machine";
    CliError::failed(message, "name one: rpm startup systemd --dry-run prints its file")
}

/// All but a person's own services are root's to write.
fn permitted(command: &str, service: &Service) -> Result<(), CliError> {
    if service.as_root || service.is_of_a_person() {
        return Ok(());
    }
    let message = format!("{} may be written by root only", service.path().display());
    Err(CliError::failed(message, as_root(command, service)))
}

/// The same by root, for this user: a line to be pasted into a shell.
fn as_root(command: &str, service: &Service) -> String {
    let Service { executable, path, user, home, name, system, wait_ip, .. } = service;
    let path = format!("PATH={path}");
    let (executable, system) = (executable.to_string_lossy(), system.word());
    let mut words: Vec<&str> = vec!["sudo", "env", &path, &executable, command, system, "-u", user];
    let home_text = home.to_string_lossy();
    match home.parent().filter(|_| home.ends_with(".rpm")).and_then(Path::to_str) {
        Some(parent) => words.extend(["--hp", parent]),
        None => words.extend(["--rpm-home", &home_text]),
    }
    words.extend(["--service-name", name]);
    words.extend(wait_ip.then_some("--wait-ip"));
    // Only a NUL byte cannot be quoted, which none of them can have.
    shlex::try_join(words).unwrap_or_default()
}

fn write(file: &PathBuf, service: &Service) -> Result<(), CliError> {
    let failed = |error| CliError::io(&file.display().to_string(), &error);
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    rpm_unix::atomic::write(file, service.text().as_bytes()).map_err(failed)?;
    let mode = if service.system.is_script() { 0o755 } else { 0o644 };
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).map_err(failed)
}

fn execute(session: &Session, words: &[String]) -> Result<(), CliError> {
    let line = words.join(" ");
    let Some((program, args)) = words.split_first() else { return Ok(()) };
    let output = Command::new(program).args(args).output();
    let output = output.map_err(|error| CliError::io(&line, &error))?;
    if output.status.success() {
        session.tell(&format!("did {line}"));
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let reason = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it failed");
    Err(CliError::failed(format!("{line}: {reason}"), "the file is written; run this yourself"))
}

/// A person's services run from boot to shutdown only if they linger (loginctl(1)).
fn linger(session: &Session, user: &str) {
    let words = ["loginctl", "enable-linger", user].map(str::to_owned);
    if execute(session, &words).is_err() {
        let line = format!("sudo loginctl enable-linger {user}");
        session.warn(&format!("until you run this, your apps end when you log out: {line}"));
    }
}
