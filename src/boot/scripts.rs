//! The services that are no systemd units.

use super::{Service, shell_word};
use std::path::Path;

/// What runs rpm as the user, in a shell.
fn as_user(service: &Service, words: &str) -> String {
    let line = format!(
        "env PATH={} RPM_HOME={} {} {words}",
        shell_word(Path::new(&service.path)),
        shell_word(&service.home),
        shell_word(&service.executable),
    );
    format!("su -s /bin/sh {} -c {}", service.user, shell_word(Path::new(&line)))
}

/// openrc-run(8).
pub(super) fn openrc(service: &Service) -> String {
    let (start, save) = (as_user(service, "resurrect"), as_user(service, "save"));
    let (kill, reload) = (as_user(service, "kill"), as_user(service, "reload all"));
    format!(
        "#!/sbin/openrc-run\n\
         # The apps of {user}, by rpm.\n\n\
         description=\"rpm: the apps of {user}\"\nextra_started_commands=\"reload\"\n\n\
         depend() {{\n\tneed localmount\n\tafter net\n}}\n\n\
         start() {{\n\tebegin \"Starting the apps of {user}\"\n\t{start}\n\teend $?\n}}\n\n\
         stop() {{\n\tebegin \"Stopping the apps of {user}\"\n\t{save}\n\t{kill}\n\teend $?\n}}\n\n\
         reload() {{\n\t{reload}\n}}\n",
        user = service.user,
    )
}

/// runsv(8): it wants a process that stays, which `rpm events` is until the daemon ends; then it
/// is run again, and `resurrect` finds nothing to do. TERM to it ends the apps, also while they are
/// being started: then what is saved stays as it is.
pub(super) fn runit(service: &Service) -> String {
    let (start, stay) = (as_user(service, "resurrect"), as_user(service, "events"));
    let (save, kill) = (as_user(service, "save"), as_user(service, "kill"));
    format!(
        "#!/bin/sh\n# The apps of {user}, by rpm.\n\
         trap '' HUP\nstays=\n\
         finish() {{\n\t[ -z \"$stays\" ] || {save}\n\t{kill}\n\
         \t[ -z \"$stays\" ] || kill $stays\n\texit 0\n}}\n\
         trap finish TERM INT\n{start}\n{stay} >/dev/null &\nstays=$!\nwait $stays\n",
        user = service.user,
    )
}

/// launchd.plist(5).
pub(super) fn launchd(service: &Service) -> String {
    let text = |text: &str| {
        let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        format!("<string>{escaped}</string>")
    };
    let (name, rpm) = (text(&service.name), text(&service.executable.to_string_lossy()));
    let (path, home) = (text(&service.path), text(&service.home.to_string_lossy()));
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
         \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n<dict>\n\
         \t<key>Label</key>{name}\n\
         \t<key>ProgramArguments</key>\n\t<array>{rpm}<string>resurrect</string></array>\n\
         \t<key>EnvironmentVariables</key>\n\
         \t<dict><key>PATH</key>{path}<key>RPM_HOME</key>{home}</dict>\n\
         \t<key>RunAtLoad</key><true/>\n\
         \t<key>AbandonProcessGroup</key><true/>\n\
         </dict>\n</plist>\n"
    )
}

/// rc.subr(8).
pub(super) fn rcd(service: &Service) -> String {
    let (start, save) = (as_user(service, "resurrect"), as_user(service, "save"));
    let (kill, status) = (as_user(service, "kill"), as_user(service, "list"));
    format!(
        "#!/bin/sh\n\n# PROVIDE: {name}\n# REQUIRE: LOGIN\n# KEYWORD: shutdown\n\n\
         . /etc/rc.subr\n\nname=\"{name}\"\nrcvar=\"{name}_enable\"\n\
         start_cmd=\"{name}_start\"\nstop_cmd=\"{name}_stop\"\nstatus_cmd=\"{name}_status\"\n\n\
         {name}_start() {{\n\t{start}\n}}\n\n\
         {name}_stop() {{\n\t{save}\n\t{kill}\n}}\n\n\
         {name}_status() {{\n\t{status}\n}}\n\n\
         load_rc_config $name\nrun_rc_command \"$1\"\n",
        name = service.name,
    )
}
