//! `read_settings`: `rpm set` has changed something.

use crate::engine::Engine;
use rpm_protocol::RpcError;

impl Engine {
    /// Does as the settings say from now on.
    pub(super) fn settings(&mut self) -> Result<(), RpcError> {
        self.read_settings().map_err(|error| {
            let message = format!("the setting is written, but not in effect: {error}");
            RpcError::failed(message, Some("rpm get shows what is set".to_owned()))
        })
    }
}
