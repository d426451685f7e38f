//! Balance, slots and what became of them, as bytes.

use crate::{
    balance::{Balance, Fallback, Slot, Standing},
    codec::{Reader, WireError, Writer},
    message::MAX_SLOTS,
};

impl Balance {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Even => 0,
            Self::Shared => 1,
            Self::Random => 2,
            Self::IpHash => 3,
            Self::RoundRobin => 4,
            Self::Private => 5,
        }
    }

    pub(crate) fn of_code(value: u8) -> Result<Self, WireError> {
        Ok(match value {
            0 => Self::Even,
            1 => Self::Shared,
            2 => Self::Random,
            3 => Self::IpHash,
            4 => Self::RoundRobin,
            5 => Self::Private,
            value => return Err(WireError::Unknown { what: "balance", value }),
        })
    }
}

pub(super) fn write_fallback(writer: &mut Writer, fallback: Fallback) {
    writer.u8(fallback.balance.code());
    writer.i32(fallback.errno);
}

pub(super) fn read_fallback(reader: &mut Reader<'_>) -> Result<Fallback, WireError> {
    Ok(Fallback { balance: Balance::of_code(reader.u8()?)?, errno: reader.i32()? })
}

pub(super) fn write_slots(writer: &mut Writer, slots: &[Slot]) -> Result<(), WireError> {
    let count = u16::try_from(slots.len()).ok().filter(|_| slots.len() <= MAX_SLOTS);
    writer.u16(count.ok_or(WireError::TooLong { what: "slots", max: MAX_SLOTS })?);
    for slot in slots {
        writer.u32(slot.slot);
        writer.u32(slot.waiting);
        writer.u8(standing_code(slot.standing));
    }
    Ok(())
}

pub(super) fn read_slots(reader: &mut Reader<'_>) -> Result<Vec<Slot>, WireError> {
    let count = usize::from(reader.u16()?);
    if count > MAX_SLOTS {
        return Err(WireError::TooLong { what: "slots", max: MAX_SLOTS });
    }
    let slot = |_| {
        let (slot, waiting) = (reader.u32()?, reader.u32()?);
        Ok(Slot { slot, waiting, standing: standing(reader.u8()?)? })
    };
    (0..count).map(slot).collect()
}

fn standing_code(standing: Standing) -> u8 {
    match standing {
        Standing::Serving => 0,
        Standing::Unserved => 1,
        Standing::Blocked => 2,
        Standing::Retiring => 3,
    }
}

fn standing(value: u8) -> Result<Standing, WireError> {
    Ok(match value {
        0 => Standing::Serving,
        1 => Standing::Unserved,
        2 => Standing::Blocked,
        3 => Standing::Retiring,
        value => return Err(WireError::Unknown { what: "standing", value }),
    })
}
