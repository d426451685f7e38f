//! Telling everything the keeper keeps, one message at a time and as the link has room: a place in
//! the lists, not a copy of them.

use crate::{
    children::{Children, Entry},
    codec::WireError,
    holder::Holder,
    message::{ChildId, Event},
    wire::{self, Packet},
};
use std::os::fd::BorrowedFd;

/// How far an inventory is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Inventory {
    /// It has not begun: a child may be on its way to exec, and is told when that is decided.
    #[default]
    Asked,
    /// Children up to `after` are told; `last` was the last one when it began.
    Children { after: Option<ChildId>, last: ChildId },
    /// Held descriptors up to this name are told.
    Held { after: Option<String> },
    /// All is told but the end.
    End,
}

/// What is to be told next.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    /// Nothing until a start is decided.
    Wait,
    Child(&'a Entry),
    Held(&'a str, BorrowedFd<'a>),
    End,
}

impl Inventory {
    /// What comes next; goes on to the next list where one is done.
    pub(crate) fn next<'a>(&mut self, children: &'a Children, holder: &'a Holder) -> Next<'a> {
        if *self == Self::Asked {
            if children.any_starting() {
                return Next::Wait;
            }
            *self = children
                .last()
                .map_or(Self::Held { after: None }, |last| Self::Children { after: None, last });
        }
        if let Self::Children { after, last } = self {
            match children.after(*after).filter(|entry| entry.child.child <= *last) {
                Some(entry) => return Next::Child(entry),
                None => *self = Self::Held { after: None },
            }
        }
        if let Self::Held { after } = self {
            match holder.after(after.as_deref()) {
                Some((name, fd)) => return Next::Held(name, fd),
                None => *self = Self::End,
            }
        }
        Next::End
    }
}

impl<'a> Next<'a> {
    /// Its message; `None` while it has to wait.
    pub(crate) fn packet(&self) -> Option<Result<Packet<'a>, WireError>> {
        match self {
            Self::Wait => None,
            Self::Child(entry) => Some(wire::known(
                &entry.child,
                &entry.label,
                entry.status,
                !entry.listening.is_empty(),
            )),
            Self::Held(name, fd) => Some(wire::held(name, *fd)),
            Self::End => Some(wire::encode_event(&Event::InventoryEnd)),
        }
    }

    /// The inventory's place once this is told; `None` at its end.
    pub(crate) fn told(&self, inventory: &Inventory) -> Option<Inventory> {
        match (self, inventory) {
            (Self::Child(entry), Inventory::Children { last, .. }) => {
                Some(Inventory::Children { after: Some(entry.child.child), last: *last })
            }
            (Self::Held(name, _), _) => Some(Inventory::Held { after: Some((*name).to_owned()) }),
            (Self::Wait | Self::Child(_), _) => Some(inventory.clone()),
            (Self::End, _) => None,
        }
    }
}
