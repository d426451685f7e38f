//! `examples`: commands to try.

use crate::{error::CliError, session::Session};

const EXAMPLES: &str = "\
Start
  rpm start app.js                     a script, by what runs its kind
  rpm start app.js -i max              one instance per CPU, all on one port
  rpm start app.js -i 3 -- -a 34       arguments of the app after --
  rpm start \"npm run dev\"             a command line
  rpm start app.js --name api          under another name
  rpm start ecosystem.toml             all apps of a file

Change
  rpm restart api                      stop and start
  rpm reload api                       replace without refusing a connection
  rpm scale api +2                     two more instances
  rpm restart api --update-env         with the environment of this shell
  rpm stop all                         stop everything
  rpm delete api                       stop and forget

Look
  rpm ls                               all instances
  rpm show api                         everything about one
  rpm logs api --lines 100             its last lines, and the next ones
  rpm jlist | jq '.[].pm2_env.status'  for programs

Keep
  rpm save                             remember what runs
  rpm resurrect                        bring it back
";

/// Prints them.
pub(crate) fn run(session: &Session) -> Result<(), CliError> {
    session.print(EXAMPLES)
}
