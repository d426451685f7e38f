//! The version handshake: a client and a daemon one major version apart still understand each
//! other, so that `rpm update` can speak to what it replaces.

use crate::{RpcError, VERSION};

/// How far versions may be apart.
const REACH: u32 = 1;

/// Whether peers of version `theirs` and ours understand each other.
///
/// # Errors
///
/// They are too far apart; the hint says what to do about it.
pub(crate) fn check(theirs: u32) -> Result<(), RpcError> {
    if theirs.abs_diff(VERSION) <= REACH {
        return Ok(());
    }
    let message = format!("protocol version {theirs} is too far from the daemon's, {VERSION}");
    let hint = "use one version of rpm for all commands of one RPM_HOME; `rpm kill` ends the \
                running daemon and its apps";
    Err(RpcError::new(RpcError::VERSION, message).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_apart_works_and_two_do_not() {
        assert_eq!(check(VERSION), Ok(()));
        assert_eq!(check(VERSION + REACH), Ok(()));
        assert_eq!(check(VERSION.saturating_sub(REACH)), Ok(()));
        assert_eq!(check(VERSION + REACH + 1).unwrap_err().code, RpcError::VERSION);
        assert_eq!(check(u32::MAX).unwrap_err().code, RpcError::VERSION);
    }
}
