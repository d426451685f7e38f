//! AMP, the framing of axon, which PM2's sockets speak: a message is a byte `version << 4 | count`,
//! then for each of at most 15 arguments its length as 4 bytes, big end first, and its bytes, which
//! begin with `j:` for JSON and `s:` for text. (The format is that of npm's `amp` and `amp-message`.)
//!
//! Bytes from outside make nothing here panic or grow beyond a limit. What a message says is others'
//! business.

use serde_json::Value;
use std::fmt;

/// The version of AMP there is.
const VERSION: u8 = 1;
/// The count is four bits.
const MAX_ARGUMENTS: usize = 15;
/// Bytes of an argument's length.
const LENGTH_BYTES: usize = 4;
/// A buffer with more room than this is given back when it is empty.
const KEEP: usize = 64 << 10;

/// One argument of a message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Argument {
    /// JSON.
    Json(Value),
    /// Text: identifiers, names of events.
    Text(String),
}

/// Why bytes are no messages; nothing after them can be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AmpError {
    /// The first byte of a message is of no version that is known, or promises no argument.
    Header(u8),
    /// A message is longer than this many bytes.
    TooLong(usize),
    /// An argument is neither text nor JSON.
    Argument(String),
}

/// Puts messages together from what comes in.
#[derive(Debug)]
pub(crate) struct Decoder {
    buffer: Vec<u8>,
    limit: usize,
}

impl Decoder {
    /// Takes messages of at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), limit }
    }

    /// Where bytes that come in are put, at the end.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// The next whole message; `None` when there is none yet.
    ///
    /// # Errors
    /// See [`AmpError`].
    pub(crate) fn next(&mut self) -> Result<Option<Vec<Argument>>, AmpError> {
        let Some(ends) = ends(&self.buffer, self.limit)? else { return Ok(None) };
        let length = ends.last().copied().unwrap_or_default();
        let mut arguments = Vec::with_capacity(ends.len());
        let mut from = 1_usize;
        for end in ends {
            let bytes = self.buffer.get(from.saturating_add(LENGTH_BYTES)..end);
            arguments.push(argument(bytes.unwrap_or_default())?);
            from = end;
        }
        self.buffer.drain(..length);
        if self.buffer.is_empty() && self.buffer.capacity() > KEEP {
            self.buffer = Vec::new();
        }
        Ok(Some(arguments))
    }
}

/// Where each argument of the first message ends, if all of it is there.
fn ends(bytes: &[u8], limit: usize) -> Result<Option<Vec<usize>>, AmpError> {
    let Some(meta) = bytes.first() else { return Ok(None) };
    let count = usize::from(meta & 0x0f);
    if meta >> 4 != VERSION || count == 0 {
        return Err(AmpError::Header(*meta));
    }
    let (mut ends, mut at) = (Vec::with_capacity(count), 1_usize);
    for _ in 0..count {
        let Some(length) = bytes.get(at..).and_then(|rest| rest.first_chunk::<LENGTH_BYTES>())
        else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        at = at.saturating_add(LENGTH_BYTES).saturating_add(length);
        // Refused as soon as it is promised.
        if at > limit {
            return Err(AmpError::TooLong(limit));
        }
        ends.push(at);
    }
    Ok((bytes.len() >= at).then_some(ends))
}

fn argument(bytes: &[u8]) -> Result<Argument, AmpError> {
    let wrong = |why: String| AmpError::Argument(why);
    if let Some(json) = bytes.strip_prefix(b"j:") {
        let value = serde_json::from_slice(json);
        return value.map(Argument::Json).map_err(|error| wrong(error.to_string()));
    }
    match bytes.strip_prefix(b"s:").map(str::from_utf8) {
        Some(Ok(text)) => Ok(Argument::Text(text.to_owned())),
        Some(Err(error)) => Err(wrong(error.to_string())),
        None => Err(wrong("it begins with neither j: nor s:".to_owned())),
    }
}

/// The bytes of a message; arguments after the fifteenth are left out.
pub(crate) fn encode(arguments: &[Argument]) -> Vec<u8> {
    let arguments = arguments.get(..MAX_ARGUMENTS).unwrap_or(arguments);
    // At most 15, so that it fits.
    let count = u8::try_from(arguments.len()).unwrap_or_default();
    let mut bytes = vec![VERSION << 4 | count];
    for argument in arguments {
        let text = match argument {
            Argument::Json(value) => format!("j:{value}"),
            Argument::Text(text) => format!("s:{text}"),
        };
        // What is longer than 4 GiB never comes here: both sides have far lower limits.
        let length = u32::try_from(text.len()).unwrap_or_default();
        bytes.extend(length.to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes
}

impl fmt::Display for AmpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(byte) => write!(f, "no message of PM2's begins with the byte {byte:#04x}"),
            Self::TooLong(limit) => write!(f, "a message is longer than {limit} bytes"),
            Self::Argument(why) => write!(f, "an argument of a message is not understood: {why}"),
        }
    }
}

impl std::error::Error for AmpError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// All messages of `input`, given in pieces, and how it ended.
    fn decode(input: &[u8], piece: usize, limit: usize) -> (Vec<Vec<Argument>>, Option<AmpError>) {
        let (mut decoder, mut messages) = (Decoder::new(limit), Vec::new());
        for piece in input.chunks(piece) {
            decoder.buffer().extend(piece);
            loop {
                match decoder.next() {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(error) => return (messages, Some(error)),
                }
            }
        }
        (messages, None)
    }

    /// What npm's amp-message 0.1.2 writes for `['a', {b: 1}]`.
    const SAMPLE: &[u8] = b"\x12\0\0\0\x03s:a\0\0\0\x09j:{\"b\":1}";

    fn sample() -> Vec<Argument> {
        vec![Argument::Text("a".into()), Argument::Json(json!({ "b": 1 }))]
    }

    #[test]
    fn a_sample_of_npms_is_read_and_written() {
        assert_eq!(encode(&sample()), SAMPLE);
        for piece in [1, 7, 100] {
            let twice = [SAMPLE, SAMPLE].concat();
            assert_eq!(decode(&twice, piece, 100), (vec![sample(), sample()], None), "{piece}");
        }
    }

    #[test]
    fn what_is_no_message() {
        let table: [(&[u8], AmpError); 5] = [
            (b"\x22\0\0", AmpError::Header(0x22)),
            (b"\x10", AmpError::Header(0x10)),
            (b"GET / HTTP/1.1", AmpError::Header(b'G')),
            (b"\x11\xff\xff\xff\xff", AmpError::TooLong(64)),
            (b"\x11\0\0\0\x01x", AmpError::Argument("it begins with neither j: nor s:".into())),
        ];
        for (bytes, want) in table {
            assert_eq!(decode(bytes, 1, 64), (vec![], Some(want)), "{bytes:?}");
        }
        let no_json = decode(b"\x11\0\0\0\x03j:{", 100, 64).1;
        assert!(matches!(no_json, Some(AmpError::Argument(_))), "{no_json:?}");
    }

    #[test]
    fn the_longest_message_fits_and_one_byte_more_does_not() {
        assert_eq!(decode(SAMPLE, 5, SAMPLE.len()).0.len(), 1);
        let limit = SAMPLE.len() - 1;
        assert_eq!(decode(SAMPLE, 5, limit).1, Some(AmpError::TooLong(limit)));
    }

    #[test]
    fn there_are_never_more_than_fifteen_arguments() {
        let many = vec![Argument::Text("x".into()); 20];
        assert_eq!(decode(&encode(&many), 100, 1000).0, [many[..15].to_vec()]);
    }

    #[test]
    fn memory_is_given_back() {
        let long = vec![Argument::Text("x".repeat(1 << 20))];
        let mut decoder = Decoder::new(2 << 20);
        decoder.buffer().extend(encode(&long));
        assert_eq!(decoder.next(), Ok(Some(long)));
        assert!(decoder.buffer.capacity() <= KEEP && decoder.buffer.is_empty());
    }

    fn arguments() -> impl Strategy<Value = Vec<Argument>> {
        let argument = prop_oneof![
            "[a-z:0-9 é]{0,20}".prop_map(Argument::Text),
            any::<i64>().prop_map(|number| Argument::Json(json!([number, "x"]))),
        ];
        proptest::collection::vec(argument, 1..15)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            messages in proptest::collection::vec(arguments(), 0..5),
            piece in 1..40usize,
        ) {
            let bytes: Vec<u8> = messages.iter().flat_map(|message| encode(message)).collect();
            prop_assert_eq!(decode(&bytes, piece, 4096), (messages, None));
        }

        #[test]
        fn no_bytes_panic_and_pieces_make_no_difference(
            noise in proptest::collection::vec(any::<u8>(), 0..80),
            at in 0..SAMPLE.len(),
            byte: u8,
            piece in 1..20usize,
        ) {
            let mut changed = SAMPLE.to_vec();
            changed[at] = byte;
            for bytes in [noise, changed] {
                prop_assert_eq!(decode(&bytes, piece, 50), decode(&bytes, 1000, 50));
            }
        }
    }
}
