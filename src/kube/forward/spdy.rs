//! SPDY/3.1 frames, as far as a port-forward needs them.
//!
//! A control frame is `0x8003, type:16, flags:8, length:24`, a data frame `stream:32, flags:8, length:24`. Headers go
//! through one zlib stream per direction; ours holds stored blocks only, and nobody here reads the other side's.

use bytes::{Buf, Bytes, BytesMut};

/// Of every frame.
pub const HEAD: usize = 8;
/// Nothing that a node sends is longer; a longer one means that the two sides no longer understand each other.
const LONGEST: usize = 4 << 20;

const FIN: u8 = 0x01;
const CONTROL: u16 = 0x8003;
const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const CANCEL: u32 = 5;

/// What the other side says.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    Data {
        stream: u32,
        bytes: Bytes,
        /// It will send no more.
        last: bool,
    },
    Reply {
        stream: u32,
    },
    Reset {
        stream: u32,
    },
    Ping {
        id: u32,
    },
    /// No new streams, please.
    GoAway,
    /// Settings, windows and the like: nothing to do.
    Other,
}

/// Takes the next whole frame off the front. None: more bytes are needed.
pub fn take(buffer: &mut BytesMut) -> Result<Option<Frame>, String> {
    let Some(head) = buffer.first_chunk::<HEAD>() else { return Ok(None) };
    let first = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
    let flags = head[4];
    let length = u32::from_be_bytes([0, head[5], head[6], head[7]]) as usize;
    if length > LONGEST {
        return Err(format!("a frame of {length} bytes"));
    }
    if buffer.len() < HEAD + length {
        buffer.reserve(HEAD + length - buffer.len());
        return Ok(None);
    }
    buffer.advance(HEAD);
    let mut body = buffer.split_to(length).freeze();
    let Some(kind) = control_kind(first) else {
        return Ok(Some(Frame::Data { stream: first, bytes: body, last: flags & FIN != 0 }));
    };
    let word = (body.len() >= 4).then(|| body.get_u32());
    Ok(Some(match (kind, word) {
        (SYN_REPLY, Some(stream)) => Frame::Reply { stream },
        (RST_STREAM, Some(stream)) => Frame::Reset { stream },
        (PING, Some(id)) => Frame::Ping { id },
        (GOAWAY, _) => Frame::GoAway,
        _ => Frame::Other,
    }))
}

fn control_kind(first: u32) -> Option<u16> {
    let [high @ .., kind_high, kind_low] = first.to_be_bytes();
    (u16::from_be_bytes(high) == CONTROL).then(|| u16::from_be_bytes([kind_high, kind_low]))
}

fn head(first: u32, flags: u8, length: usize) -> [u8; HEAD] {
    let [a, b, c, d] = first.to_be_bytes();
    // Callers stay far below 2^24.
    let [_, e, f, g] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    [a, b, c, d, flags, e, f, g]
}

fn control(kind: u16, body: &[u8]) -> Vec<u8> {
    let first = (u32::from(CONTROL) << 16) | u32::from(kind);
    [&head(first, 0, body.len()), body].concat()
}

/// Writes the head of a data frame into the first `HEAD` bytes, in front of the data.
pub fn fill_data_head(frame: &mut [u8], stream: u32) {
    let head = head(stream, 0, frame.len() - HEAD);
    frame[..HEAD].copy_from_slice(&head);
}

/// Says that we send no more on a stream.
pub fn end(stream: u32) -> Vec<u8> {
    head(stream, FIN, 0).to_vec()
}

pub fn reset(stream: u32) -> Vec<u8> {
    control(RST_STREAM, &[stream.to_be_bytes(), CANCEL.to_be_bytes()].concat())
}

pub fn ping(id: u32) -> Vec<u8> {
    control(PING, &id.to_be_bytes())
}

/// Opens streams; keeps what the zlib stream of our headers needs to know.
#[derive(Debug, Default)]
pub struct Opener {
    began: bool,
}

impl Opener {
    /// The frames must be sent in the order in which they were made.
    pub fn open(&mut self, stream: u32, headers: &[(&str, &str)]) -> Vec<u8> {
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
        let mut plain = number(headers.len()).to_vec();
        for text in headers.iter().flat_map(|(name, value)| [name, value]) {
            plain.extend(number(text.len()));
            plain.extend(text.as_bytes());
        }
        // Associated with no stream, of the highest priority.
        let mut body = [&stream.to_be_bytes()[..], &[0; 6]].concat();
        body.extend(self.stored(&plain));
        control(SYN_STREAM, &body)
    }

    /// One stored block, and an empty one that tells the reader to hand on what it has.
    fn stored(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(plain.len() + 12);
        if !self.began {
            self.began = true;
            text.extend([0x78, 0x01]);
        }
        for part in [plain, &[]] {
            // Headers of a port-forward have some hundred bytes.
            let length = u16::try_from(part.len()).unwrap_or(u16::MAX);
            text.push(0);
            text.extend(length.to_le_bytes());
            text.extend((!length).to_le_bytes());
            text.extend(part);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(parts: &[&[u8]]) -> BytesMut {
        BytesMut::from(&parts.concat()[..])
    }

    #[test]
    fn frames_are_taken_whole_and_in_order() {
        let mut data = [&[0; HEAD][..], b"hello"].concat();
        fill_data_head(&mut data, 3);
        let mut bytes = buffer(&[&data, &end(3), &reset(5), &ping(2), &control(SYN_REPLY, &7_u32.to_be_bytes())]);
        let rest = bytes.split_off(HEAD + 2);
        assert_eq!(take(&mut bytes), Ok(None));
        bytes.unsplit(rest);
        let mut next = || take(&mut bytes).unwrap();
        assert_eq!(next(), Some(Frame::Data { stream: 3, bytes: Bytes::from_static(b"hello"), last: false }));
        assert_eq!(next(), Some(Frame::Data { stream: 3, bytes: Bytes::new(), last: true }));
        assert_eq!(next(), Some(Frame::Reset { stream: 5 }));
        assert_eq!(next(), Some(Frame::Ping { id: 2 }));
        assert_eq!(next(), Some(Frame::Reply { stream: 7 }));
        assert_eq!(next(), None);
    }

    #[test]
    fn a_monstrous_frame_is_refused() {
        let mut bytes = buffer(&[&[0, 0, 0, 1, 0, 0xff, 0xff, 0xff]]);
        assert!(take(&mut bytes).is_err());
    }

    /// What any inflater makes of the blocks: stored ones hold their bytes as they are.
    fn inflate(mut text: &[u8], first: bool) -> Vec<u8> {
        if first {
            assert_eq!(u16::from_be_bytes([text[0], text[1]]) % 31, 0, "the check bits of zlib's header");
            assert_eq!(text[1] & 0x20, 0, "no dictionary");
            text = &text[2..];
        }
        let mut plain = Vec::new();
        while let [0, a, b, c, d, rest @ ..] = text {
            let length = u16::from_le_bytes([*a, *b]);
            assert_eq!(!length, u16::from_le_bytes([*c, *d]));
            let (part, rest) = rest.split_at(length.into());
            plain.extend(part);
            text = rest;
        }
        assert!(text.is_empty());
        plain
    }

    #[test]
    fn headers_are_stored_blocks_of_one_zlib_stream() {
        let mut opener = Opener::default();
        for (stream, first) in [(1_u32, true), (3, false)] {
            let frame = opener.open(stream, &[("streamtype", "data"), ("port", "80")]);
            assert_eq!(frame[..4], [0x80, 3, 0, 1]);
            assert_eq!(usize::from(frame[7]), frame.len() - HEAD);
            assert_eq!(frame[8..12], stream.to_be_bytes());
            let plain = inflate(&frame[18..], first);
            assert_eq!(plain[..8], [0, 0, 0, 2, 0, 0, 0, 10]);
            assert!(plain.ends_with(b"\0\0\0\x04port\0\0\0\x0280"));
        }
    }
}
