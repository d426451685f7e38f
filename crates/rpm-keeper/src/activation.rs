//! Socket activation: before a program is forked, the sockets that its spec names are bound and
//! listen, and it inherits them from descriptor 3 on, as sd_listen_fds(3) says. Later programs of
//! the slot get the same sockets, whose queues live on. The keeper makes them with its own rights,
//! so a port below 1024 is the app's although its user could not bind it.
//!
//! What the program is told of them is the daemon's business (`LISTEN_FDS`, `LISTEN_FDNAMES`), but
//! for `LISTEN_PID`, which is not known before the fork.

use crate::{
    codec::{Reader, WireError, Writer},
    keeper::Keeper,
    message::{Address, ChildId, Event, Owner, SpawnStage},
    spawner::Failure,
    spec::SpawnSpec,
    wire::{read_address, read_owner, write_address, write_owner},
};
use std::os::fd::OwnedFd;

/// Where the first of them is: SD_LISTEN_FDS_START.
pub(crate) const FIRST_FD: i32 = 3;
/// The most sockets of one program: descriptors 3 to 63, and two of them may be Node's.
const MAX_SOCKETS: usize = 59;

/// The sockets a program inherits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activation {
    /// In whose name they are held.
    pub owner: Owner,
    /// Where they are bound, in the order of their descriptors; at most 59.
    pub addresses: Vec<Address>,
}

impl Activation {
    pub(crate) fn write(&self, writer: &mut Writer) -> Result<(), WireError> {
        write_owner(writer, &self.owner)?;
        let count = u8::try_from(self.addresses.len()).ok();
        let count = count.filter(|_| self.addresses.len() <= MAX_SOCKETS);
        writer.u8(count.ok_or(WireError::TooLong { what: "addresses", max: MAX_SOCKETS })?);
        self.addresses.iter().try_for_each(|address| write_address(writer, address))
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let owner = read_owner(reader)?;
        let count = reader.u8()?;
        if usize::from(count) > MAX_SOCKETS {
            return Err(WireError::TooLong { what: "addresses", max: MAX_SOCKETS });
        }
        let addresses = (0..count).map(|_| read_address(reader)).collect::<Result<_, _>>()?;
        Ok(Self { owner, addresses })
    }
}

impl Keeper {
    /// The sockets a program is to inherit, made now where they are not held yet. A refused address
    /// is told first, because the failure of the spawn has no room for it.
    pub(crate) fn activated(
        &mut self,
        child: ChildId,
        spec: &SpawnSpec,
    ) -> Result<Vec<OwnedFd>, Failure> {
        let Some(Activation { owner, addresses }) = &spec.activation else { return Ok(Vec::new()) };
        let user = spec.program.credentials.as_ref().map(|credentials| credentials.uid);
        let mut sockets = Vec::with_capacity(addresses.len());
        for address in addresses {
            match self.ports.activate(owner, address, user) {
                Ok(socket) => sockets.push(socket),
                Err((errno, holder)) => {
                    let address = address.clone();
                    self.tell(Event::Refused { child, address, errno, holder });
                    return Err(Failure { stage: SpawnStage::Listen, errno });
                }
            }
        }
        Ok(sockets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activation(count: usize) -> Activation {
        let addresses =
            (1..=count).map(|port| Address::Tcp(([127, 0, 0, 1], port as u16).into())).collect();
        Activation { owner: Owner { app: "web".to_owned(), slot: 3 }, addresses }
    }

    fn bytes(activation: &Activation) -> Result<Vec<u8>, WireError> {
        let mut writer = Writer::default();
        activation.write(&mut writer).map(|()| writer.finish())
    }

    #[test]
    fn as_many_as_there_are_descriptors_come_back() {
        for count in [0, 1, MAX_SOCKETS] {
            let bytes = bytes(&activation(count)).unwrap();
            assert_eq!(Activation::read(&mut Reader::new(&bytes)), Ok(activation(count)));
        }
        let long = WireError::TooLong { what: "addresses", max: MAX_SOCKETS };
        assert_eq!(bytes(&activation(MAX_SOCKETS + 1)), Err(long));
        let mut forged = bytes(&activation(0)).unwrap();
        *forged.last_mut().unwrap() = 60;
        assert_eq!(Activation::read(&mut Reader::new(&forged)), Err(long));
    }
}
