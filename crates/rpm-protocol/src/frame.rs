//! Frames: one message a line, each ended by `\n`, none longer than a limit.
//!
//! The buffer grows only with bytes that have come in, and gives its memory back after a large
//! line. What a line means is `rpc.rs`.

use std::{fmt, io};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest request in bytes: an app's description with the largest environment a kernel takes
/// for one string (128 KiB) several times over.
pub const MAX_REQUEST: usize = 1 << 20;
/// The longest answer in bytes: 10,000 instances with 25 kB of environment each.
pub const MAX_RESPONSE: usize = 256 << 20;
/// How much is asked of the kernel at once, in bytes.
const CHUNK: usize = 16 << 10;
/// An empty buffer with more room than this is given back.
const KEEP: usize = 64 << 10;

/// Why no further line comes.
#[derive(Debug)]
pub enum FrameError {
    /// The line is longer than this many bytes. Nothing after it can be understood.
    TooLong(usize),
    /// The peer went away in the middle of a line.
    Cut,
    /// The socket failed.
    Io(io::Error),
}

/// Reads lines.
#[derive(Debug)]
pub struct LineReader<R> {
    from: R,
    limit: usize,
    buffer: Vec<u8>,
    /// How much of `buffer` is known to hold no line end.
    searched: usize,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// Reads from `from` lines of at most `limit` bytes, their end not counted.
    pub fn new(from: R, limit: usize) -> Self {
        Self { from, limit, buffer: Vec::new(), searched: 0 }
    }

    /// The next line without its end; `None` when the peer is done. May be cancelled: what has been
    /// read stays.
    ///
    /// # Errors
    ///
    /// See [`FrameError`]; after one, there is no further line.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        loop {
            if let Some(line) = self.take_line()? {
                return Ok(Some(line));
            }
            self.buffer.reserve(CHUNK);
            let read = self.from.read_buf(&mut self.buffer).await.map_err(FrameError::Io)?;
            if read == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(FrameError::Cut) };
            }
        }
    }

    fn take_line(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        let fresh = self.buffer.get(self.searched..).unwrap_or_default();
        let Some(offset) = fresh.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.buffer.len();
            return if self.searched > self.limit { Err(self.too_long()) } else { Ok(None) };
        };
        let end = self.searched.saturating_add(offset);
        if end > self.limit {
            return Err(self.too_long());
        }
        let rest = self.buffer.split_off(end.saturating_add(1));
        let mut line = std::mem::replace(&mut self.buffer, rest);
        line.truncate(end);
        self.searched = 0;
        self.shrink();
        Ok(Some(line))
    }

    fn shrink(&mut self) {
        if self.buffer.capacity() > KEEP {
            self.buffer.shrink_to(KEEP.max(self.buffer.len()));
        }
    }

    fn too_long(&mut self) -> FrameError {
        self.buffer = Vec::new();
        self.searched = 0;
        FrameError::TooLong(self.limit)
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(limit) => write!(f, "a message is longer than {limit} bytes"),
            Self::Cut => f.write_str("the connection ended in the middle of a message"),
            Self::Io(error) => write!(f, "the connection failed: {error}"),
        }
    }
}

impl std::error::Error for FrameError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::runtime::Builder;

    /// All lines of `input`, given to the reader in pieces of `piece` bytes, and how it ended.
    fn lines(input: &[u8], piece: usize, limit: usize) -> (Vec<Vec<u8>>, String) {
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut reader = LineReader::new(Pieces { rest: input, piece }, limit);
            let mut lines = Vec::new();
            loop {
                match reader.next().await {
                    Ok(Some(line)) => lines.push(line),
                    Ok(None) => return (lines, "end".into()),
                    Err(error) => return (lines, error.to_string()),
                }
            }
        })
    }

    /// Gives at most `piece` bytes a read.
    struct Pieces<'a> {
        rest: &'a [u8],
        piece: usize,
    }

    impl AsyncRead for Pieces<'_> {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            buf: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            let n = self.piece.min(self.rest.len()).min(buf.remaining());
            let (now, rest) = self.rest.split_at(n);
            buf.put_slice(now);
            self.rest = rest;
            std::task::Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn lines_of_every_kind() {
        let too_long = "a message is longer than 4 bytes";
        let table: [(&[u8], &[&str], &str); 6] = [
            (b"", &[], "end"),
            (b"a\nbc\n", &["a", "bc"], "end"),
            (b"\n\n", &["", ""], "end"),
            (b"1234\n", &["1234"], "end"),
            (b"12345\n", &[], too_long),
            (b"a\nendless", &["a"], too_long),
        ];
        for (input, want, end) in table {
            let want: Vec<_> = want.iter().map(|line| line.as_bytes().to_vec()).collect();
            for piece in [1, 2, 100] {
                let got = lines(input, piece, 4);
                assert_eq!(got, (want.clone(), end.into()), "{input:?} by {piece}");
            }
        }
    }

    #[test]
    fn a_line_that_never_ends_is_refused_as_soon_as_it_is_too_long() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let error = runtime.block_on(LineReader::new(tokio::io::repeat(b'x'), MAX_REQUEST).next());
        assert!(matches!(error, Err(FrameError::TooLong(MAX_REQUEST))));
    }

    #[test]
    fn half_a_line_at_the_end_is_an_error() {
        let want = (vec![b"a".to_vec()], FrameError::Cut.to_string());
        assert_eq!(lines(b"a\nha", 1, 4), want);
    }

    #[test]
    fn memory_is_given_back_after_a_large_line() {
        let mut input = vec![b'x'; 1 << 20];
        input.extend(b"\nsmall\n");
        let runtime = Builder::new_current_thread().build().unwrap();
        let mut reader = LineReader::new(input.as_slice(), 2 << 20);
        let large = runtime.block_on(reader.next()).unwrap().unwrap();
        assert_eq!(large.len(), 1 << 20);
        assert!(reader.buffer.capacity() <= KEEP);
        assert_eq!(runtime.block_on(reader.next()).unwrap().unwrap(), b"small");
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            input in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'a')], 0..60),
            piece in 1..20usize,
            limit in 0..12usize,
        ) {
            prop_assert_eq!(lines(&input, piece, limit), lines(&input, 1000, limit));
        }

        #[test]
        fn no_bytes_can_panic_the_reader(
            input in rpm_corpus::changed(rpm_corpus::inputs("rpc")),
            piece in 1..5000usize,
        ) {
            let (read, _) = lines(&input, piece, 4096);
            prop_assert!(read.iter().all(|line| line.len() <= 4096));
        }
    }
}
