//! Users and groups by name or number: whom an app runs as.

use crate::spawn::Credentials;
use nix::unistd::{Gid, Group, Uid, User, getgrouplist, getuid};
use std::{ffi::CString, io};

/// A user of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// What a process must take on to be this user, all groups included.
    pub credentials: Credentials,
    /// `USER` and `LOGNAME`.
    pub name: String,
    /// `HOME`.
    pub home: String,
    /// `SHELL`.
    pub shell: String,
}

/// The user called `user` (a name or a number; `None`: who runs this), with `group` in place of its
/// own where one is given. The error says which of them there is not.
pub fn account(user: Option<&str>, group: Option<&str>) -> io::Result<Account> {
    let found = match user {
        None => User::from_uid(getuid())?,
        Some(text) => match text.parse() {
            Ok(number) => User::from_uid(Uid::from_raw(number))?,
            Err(_) => User::from_name(text)?,
        },
    };
    let found = found.ok_or_else(|| nobody("user", user.unwrap_or("of this process")))?;
    let gid = match group {
        Some(text) => group_id(text)?,
        None => found.gid,
    };
    let name = CString::new(found.name.as_str())?;
    let groups = getgrouplist(&name, gid)?.into_iter().map(Gid::as_raw).collect();
    Ok(Account {
        credentials: Credentials { uid: found.uid.as_raw(), gid: gid.as_raw(), groups },
        name: found.name,
        home: found.dir.to_string_lossy().into_owned(),
        shell: found.shell.to_string_lossy().into_owned(),
    })
}

fn group_id(text: &str) -> io::Result<Gid> {
    let found = match text.parse() {
        Ok(number) => return Ok(Gid::from_raw(number)),
        Err(_) => Group::from_name(text)?,
    };
    found.map(|group| group.gid).ok_or_else(|| nobody("group", text))
}

fn nobody(what: &str, name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("there is no {what} {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_mean_the_same() {
        let root = account(Some("root"), None).unwrap();
        assert_eq!(account(Some("0"), Some("0")).unwrap(), root);
        assert_eq!((root.credentials.uid, root.home.as_str()), (0, "/root"));
        let other = account(Some("root"), Some("daemon")).unwrap().credentials;
        assert_eq!((other.uid, other.gid), (0, 1));
    }

    #[test]
    fn who_is_not_there_is_named() {
        let error = |user, group| account(Some(user), group).unwrap_err().to_string();
        assert_eq!(error("nosuch", None), "there is no user nosuch");
        assert_eq!(error("root", Some("nosuch")), "there is no group nosuch");
    }
}
