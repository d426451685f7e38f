//! The link's bytes: `message.rs` as datagrams of at most [`MAX_MESSAGE`] bytes and back.
//!
//! A datagram starts with the format's version and a tag. Whatever does not read as a message is an
//! error value; nothing a peer sends can panic us or make us allocate more than its own length.

mod balance;
mod event;
mod parts;
mod request;
#[cfg(test)]
mod tests;

use crate::codec::{Reader, WireError, Writer};
use std::os::fd::{BorrowedFd, OwnedFd};

pub(crate) use event::{
    decode as decode_event, encode as encode_event, exited, held, known, shared, spawned,
};
pub(crate) use parts::{read_address, read_owner, write_address, write_owner};
pub(crate) use request::{
    adopt, adopt_socket, adopted, decode as decode_request, encode as encode_request, hold,
    listened, relieve, retire,
};

/// The longest datagram, without its descriptors.
pub(crate) const MAX_MESSAGE: usize = 4096;
/// The version of the bytes; that of the conversation is in `Hello`.
const FORMAT: u8 = 1;

/// A message ready to be sent.
#[derive(Debug)]
pub(crate) struct Packet<'a> {
    pub(crate) bytes: Vec<u8>,
    pub(crate) fds: Vec<BorrowedFd<'a>>,
}

impl<'a> Packet<'a> {
    fn new(writer: Writer, fds: Vec<BorrowedFd<'a>>) -> Result<Self, WireError> {
        let bytes = writer.finish();
        if bytes.len() > MAX_MESSAGE {
            return Err(WireError::TooLong { what: "message", max: MAX_MESSAGE });
        }
        Ok(Self { bytes, fds })
    }
}

fn begin(tag: u8) -> Writer {
    let mut writer = Writer::default();
    writer.u8(FORMAT);
    writer.u8(tag);
    writer
}

/// A received message, and its descriptors in the order they were sent.
struct Parcel<'a> {
    reader: Reader<'a>,
    fds: std::vec::IntoIter<OwnedFd>,
}

impl<'a> Parcel<'a> {
    /// The message after its tag, which comes first.
    fn open(bytes: &'a [u8], fds: Vec<OwnedFd>) -> Result<(u8, Self), WireError> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            FORMAT => {}
            version => return Err(WireError::Version(version)),
        }
        let tag = reader.u8()?;
        Ok((tag, Self { reader, fds: fds.into_iter() }))
    }

    fn fd(&mut self) -> Result<OwnedFd, WireError> {
        self.fds.next().ok_or(WireError::Descriptors)
    }

    fn finish<T>(mut self, message: T) -> Result<T, WireError> {
        self.reader.finish()?;
        if self.fds.next().is_some() { Err(WireError::Descriptors) } else { Ok(message) }
    }
}
