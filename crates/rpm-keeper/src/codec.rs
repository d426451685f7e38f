//! Bytes: little-endian numbers and strings with a length before them, each read within bounds.

use std::fmt;

/// Gathers a message.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes.extend(value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes.extend(value.to_le_bytes());
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.bytes.extend(value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes.extend(value.to_le_bytes());
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.u8(value.into());
    }

    /// Bytes as they are, without a length.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// A string of at most `max` bytes.
    pub(crate) fn bytes(
        &mut self,
        what: &'static str,
        bytes: &[u8],
        max: usize,
    ) -> Result<(), WireError> {
        let length = u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= max);
        self.u32(length.ok_or(WireError::TooLong { what, max })?);
        self.raw(bytes);
        Ok(())
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Takes a message apart.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn u8(&mut self) -> Result<u8, WireError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, WireError> {
        self.array().map(i32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, WireError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn bool(&mut self, what: &'static str) -> Result<bool, WireError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(WireError::Unknown { what, value }),
        }
    }

    /// `N` bytes as they are.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(WireError::Short)?;
        self.rest = rest;
        Ok(*array)
    }

    /// A string of at most `max` bytes.
    pub(crate) fn bytes(&mut self, what: &'static str, max: usize) -> Result<&'a [u8], WireError> {
        let length = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        if length > max {
            return Err(WireError::TooLong { what, max });
        }
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(WireError::Short)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// A string of at most `max` bytes that is UTF-8.
    pub(crate) fn text(&mut self, what: &'static str, max: usize) -> Result<String, WireError> {
        let bytes = self.bytes(what, max)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| WireError::NotText { what })
    }

    /// How many bytes are left: no list can have more entries.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn finish(self) -> Result<(), WireError> {
        if self.rest.is_empty() { Ok(()) } else { Err(WireError::Trailing) }
    }
}

/// Why bytes are not a message, or a value cannot become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// It ends too early.
    Short,
    /// There is more than one message in it.
    Trailing,
    /// It is of another version of the format.
    Version(u8),
    /// A number that stands for nothing.
    Unknown {
        /// In which field.
        what: &'static str,
        /// Which number.
        value: u8,
    },
    /// A string or list beyond its bound.
    TooLong {
        /// Which field.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// It should be UTF-8.
    NotText {
        /// Which field.
        what: &'static str,
    },
    /// A zero where none may be: in a string of execve, or as a port.
    Zero {
        /// In which field.
        what: &'static str,
    },
    /// Too few or too many descriptors came with it.
    Descriptors,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => write!(f, "message ends too early"),
            Self::Trailing => write!(f, "message has bytes left over"),
            Self::Version(version) => write!(f, "message format {version} is not known"),
            Self::Unknown { what, value } => write!(f, "{what} {value} is not known"),
            Self::TooLong { what, max } => write!(f, "{what} is longer than {max}"),
            Self::NotText { what } => write!(f, "{what} is not UTF-8"),
            Self::Zero { what } => write!(f, "{what} has a zero"),
            Self::Descriptors => write!(f, "wrong number of descriptors"),
        }
    }
}

impl std::error::Error for WireError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_strings_come_back_in_order() {
        let mut writer = Writer::default();
        writer.u8(1);
        writer.u16(0xfffe);
        writer.i32(-2);
        writer.u64(u64::MAX);
        writer.bool(true);
        writer.bytes("name", "grün".as_bytes(), 5).unwrap();
        let bytes = writer.finish();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.u16(), Ok(0xfffe));
        assert_eq!(reader.i32(), Ok(-2));
        assert_eq!(reader.u64(), Ok(u64::MAX));
        assert_eq!(reader.bool("flag"), Ok(true));
        assert_eq!(reader.text("name", 5), Ok("grün".to_owned()));
        assert_eq!(reader.left(), 0);
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn every_bound_is_kept_at_its_edge() {
        let mut writer = Writer::default();
        assert_eq!(writer.bytes("name", b"1234", 4), Ok(()));
        let long = Err(WireError::TooLong { what: "name", max: 4 });
        assert_eq!(writer.bytes("name", b"12345", 4), long);
        let bytes = writer.finish();
        assert_eq!(Reader::new(&bytes).bytes("name", 4), Ok(&b"1234"[..]));
        assert_eq!(
            Reader::new(&bytes).bytes("name", 3),
            Err(WireError::TooLong { what: "name", max: 3 })
        );
        let cut = bytes.get(..bytes.len() - 1).unwrap();
        assert_eq!(Reader::new(cut).bytes("name", 4), Err(WireError::Short));
        assert_eq!(Reader::new(b"x").finish(), Err(WireError::Trailing));
        assert_eq!(Reader::new(&[]).u8(), Err(WireError::Short));
        assert_eq!(
            Reader::new(&[2]).bool("flag"),
            Err(WireError::Unknown { what: "flag", value: 2 })
        );
    }
}
