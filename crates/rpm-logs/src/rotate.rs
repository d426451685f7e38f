//! Rotation: a log that is large or old enough gets a name of its own, and the writer goes on in a
//! new file. By rename and reopen of the one writer, so that no byte is lost or copied.

pub(crate) mod compress;
pub(crate) mod keep;
pub mod name;
pub mod plan;

use crate::times;
use name::Rotated;
use plan::Plan;
use std::{fs, io, path::Path};

/// Moves the file at `log`, of `bytes`, out of the way and makes room for it among those kept. The
/// caller opens a new file at `log`.
pub(crate) fn put_away(log: &Path, plan: &Plan, bytes: u64) -> io::Result<()> {
    let mut all = keep::all(log)?;
    let newest = all.last().map(|kept| kept.rotated.clone());
    if plan.keep == 0 {
        keep::remove(log);
        return Ok(());
    }
    keep::make_room(plan, &mut all, bytes.saturating_mul(2));
    let name = log.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stamp = jiff::Timestamp::now().strftime("%Y-%m-%d_%H-%M-%S").to_string();
    let target = log.with_file_name(Rotated::next(&stamp, newest.as_ref()).of(&name));
    fs::rename(log, &target)?;
    if let (Some(index), Some(to)) = (times::path_of(log), times::path_of(&target)) {
        // Without it readers go by what lines and files say.
        let _none = fs::rename(index, to);
    }
    if plan.compress {
        compress::later(target);
    }
    Ok(())
}

/// Brings the rotated files of a log that is opened in order: after a daemon that was killed, or
/// under a plan that has become stricter.
pub(crate) fn settle(log: &Path, plan: &Plan) -> io::Result<()> {
    let mut all = keep::all(log)?;
    keep::tidy(log, &mut all);
    // As many as there may be, not one less: nothing is coming.
    let plan_now = Plan { keep: plan.keep.saturating_add(1), ..plan.clone() };
    keep::make_room(&plan_now, &mut all, 0);
    let plain = all.into_iter().filter(|kept| plan.compress && kept.rotated.packing.is_none());
    plain.for_each(|kept| compress::later(kept.path));
    Ok(())
}
