//! Rotation: a log that is large or old enough gets a name of its own, and the writer goes on in a
//! new file. By rename and reopen of the one writer, so that no byte is lost or copied.

pub(crate) mod compress;
pub(crate) mod keep;
pub mod name;
pub mod plan;
pub mod total;

use crate::times;
use keep::Kept;
use name::Rotated;
use plan::Plan;
use std::{fs, io, path::Path};
use total::Totals;

/// Moves the file at `log`, of `bytes`, out of the way and makes room for it among those kept. The
/// caller opens a new file at `log`.
pub(crate) fn put_away(log: &Path, plan: &Plan, bytes: u64, totals: &Totals) -> io::Result<()> {
    let mut all = keep::all(log)?;
    let newest = all.last().map(|kept| kept.rotated.clone());
    keep::leave(plan.keep.saturating_sub(1), &mut all);
    let fits = totals.replace(log, all, bytes);
    if plan.keep == 0 || !fits {
        keep::remove(log);
        return Ok(());
    }
    let name = log.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stamp = jiff::Timestamp::now().strftime("%Y-%m-%d_%H-%M-%S").to_string();
    let rotated = Rotated::next(&stamp, newest.as_ref());
    let target = log.with_file_name(rotated.of(&name));
    fs::rename(log, &target)?;
    if let (Some(index), Some(to)) = (times::path_of(log), times::path_of(&target)) {
        // Without it readers go by what lines and files say.
        let _none = fs::rename(index, to);
    }
    totals.add(log, Kept { rotated, path: target.clone(), bytes });
    if plan.compress {
        compress::later(target);
    }
    Ok(())
}

/// Brings the rotated files of a log that is opened in order, after a daemon that was killed or
/// under a plan that has become stricter; those that are left.
pub(crate) fn settle(log: &Path, plan: &Plan) -> io::Result<Vec<Kept>> {
    let mut all = keep::all(log)?;
    keep::tidy(log, &mut all);
    keep::leave(plan.keep, &mut all);
    let plain = all.iter().filter(|kept| plan.compress && kept.rotated.packing.is_none());
    plain.for_each(|kept| compress::later(kept.path.clone()));
    Ok(all)
}
