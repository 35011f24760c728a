//! Reads HTTP/1.1 answers from bytes that come in any portions. Pure: no clock, no socket.

#[cfg(test)]
mod tests;

use std::mem::MaybeUninit;

/// More header fields than any server sends in earnest.
const MAX_FIELDS: usize = 128;
/// Of a head, of the extensions of a chunk and of trailers, in bytes.
const MAX_HEAD: usize = 64 << 10;
/// Longer heads are parsed each time.
const MAX_REMEMBERED: usize = 2 << 10;
const ENDLESS: &str = "a head longer than is read";

/// A whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Another request may follow on the same connection.
    pub reusable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fed {
    /// All bytes are taken in and the answer goes on.
    More,
    /// So many of the bytes belong to the answer that they end.
    Done(Answer, usize),
}

/// What is wrong with bytes that are no HTTP/1.1 answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// What a head says about what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    status: u16,
    reusable: bool,
    body: Body,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    /// So many bytes are left.
    Length(u64),
    UntilClose,
    Chunk(Chunk),
}

/// Where in a chunked body the next byte belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    Size {
        value: u64,
        digits: u8,
    },
    /// Blanks and extensions behind the size, and how many bytes of them were seen.
    Extension {
        size: u64,
        seen: usize,
    },
    /// The LF behind the size's CR.
    SizeEnd {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// The begin of a trailer's line; an empty one ends the answer.
    Trailer {
        seen: usize,
    },
    TrailerLine {
        seen: usize,
    },
    /// The LF behind the CR of the empty line.
    LastLf,
}

/// The last head that was parsed. Servers send the same one for a second (`date`), and a head's meaning depends on its
/// bytes alone; so those of many connections are best read through one of these.
#[derive(Debug, Default)]
pub struct LastHead {
    bytes: Vec<u8>,
    head: Option<Head>,
}

/// One answer after the other.
#[derive(Debug)]
pub struct Reader {
    /// The requests are HEAD: answers have no body.
    bodiless: bool,
    state: State,
    /// The begin of a head whose end has not come yet.
    partial: Vec<u8>,
    answer: Answer,
    begun: bool,
}

impl Reader {
    /// `method`: of all requests whose answers are read.
    pub fn new(method: &str) -> Reader {
        Reader {
            bodiless: method == "HEAD",
            state: State::Head,
            partial: Vec::new(),
            answer: Answer { status: 0, reusable: false },
            begun: false,
        }
    }

    /// A byte of the answer has come.
    pub fn begun(&self) -> bool {
        self.begun
    }

    /// Forgets an answer that will not end.
    pub fn reset(&mut self) {
        self.state = State::Head;
        self.partial = Vec::new();
        self.begun = false;
    }

    /// Takes the next bytes in, at least one; `body` gets those of the body in order, without their framing.
    pub fn feed(&mut self, input: &[u8], last: &mut LastHead, body: &mut impl FnMut(&[u8])) -> Result<Fed, Malformed> {
        self.begun = true;
        let mut at = 0;
        if self.state == State::Head {
            match self.heads(input, last)? {
                None => return Ok(Fed::More),
                Some((head, used)) => {
                    at = used;
                    self.answer = Answer { status: head.status, reusable: head.reusable };
                    self.state = match head.body {
                        Body::None | Body::Length(0) => return Ok(self.done(at)),
                        Body::Length(length) => State::Length(length),
                        Body::Chunked => State::Chunk(Chunk::Size { value: 0, digits: 0 }),
                        Body::UntilClose => State::UntilClose,
                    };
                }
            }
        }
        match self.state {
            State::Length(left) => {
                let rest = &input[at..];
                let (taken, ends) = portion(rest, left);
                body(taken);
                if ends {
                    return Ok(self.done(at + taken.len()));
                }
                self.state = State::Length(left - taken.len() as u64);
                Ok(Fed::More)
            }
            State::Chunk(chunk) => self.chunks(chunk, input, at, body),
            State::UntilClose | State::Head => {
                body(&input[at..]);
                Ok(Fed::More)
            }
        }
    }

    /// The connection was closed by the peer: whole answers that nothing else ends are ended by that.
    pub fn closed(&mut self) -> Option<Answer> {
        let whole = self.state == State::UntilClose;
        self.reset();
        whole.then_some(Answer { reusable: false, ..self.answer })
    }

    fn done(&mut self, used: usize) -> Fed {
        self.state = State::Head;
        self.begun = false;
        Fed::Done(self.answer, used)
    }

    /// The final head and how many bytes of the input end it; interim ones (1xx) before it are skipped.
    fn heads(&mut self, input: &[u8], last: &mut LastHead) -> Result<Option<(Head, usize)>, Malformed> {
        if self.partial.is_empty() {
            return match final_head(input, self.bodiless, last)? {
                Parsed::Whole(head, used) => Ok(Some((head, used))),
                Parsed::Partial(from) => {
                    self.keep(&input[from..])?;
                    Ok(None)
                }
            };
        }
        let before = self.partial.len();
        self.partial.extend_from_slice(input);
        match final_head(&self.partial, self.bodiless, last)? {
            Parsed::Whole(head, used) => {
                self.partial = Vec::new();
                Ok(Some((head, used - before.min(used))))
            }
            Parsed::Partial(from) => {
                self.partial.drain(..from);
                self.keep(&[])?;
                Ok(None)
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        self.partial.extend_from_slice(bytes);
        if self.partial.len() > MAX_HEAD { Err(Malformed(ENDLESS)) } else { Ok(()) }
    }

    fn chunks(
        &mut self,
        mut chunk: Chunk,
        input: &[u8],
        mut at: usize,
        body: &mut impl FnMut(&[u8]),
    ) -> Result<Fed, Malformed> {
        while at < input.len() {
            if let Chunk::Data { left } = chunk {
                let (taken, ends) = portion(&input[at..], left);
                body(taken);
                at += taken.len();
                chunk = if ends { Chunk::DataCr } else { Chunk::Data { left: left - taken.len() as u64 } };
                continue;
            }
            let byte = input[at];
            at += 1;
            match chunk.next(byte)? {
                Some(next) => chunk = next,
                None => return Ok(self.done(at)),
            }
        }
        self.state = State::Chunk(chunk);
        Ok(Fed::More)
    }
}

/// As much of the bytes as is left, and whether that is all.
fn portion(bytes: &[u8], left: u64) -> (&[u8], bool) {
    match usize::try_from(left) {
        Ok(left) if left <= bytes.len() => (&bytes[..left], true),
        _ => (bytes, false),
    }
}

impl Chunk {
    /// Where the byte after this one belongs; None: it was the last.
    fn next(self, byte: u8) -> Result<Option<Chunk>, Malformed> {
        let counted = |seen: usize| match seen < MAX_HEAD {
            true => Ok(seen + 1),
            false => Err(Malformed("the lines of a chunked body do not end")),
        };
        let sized = |size: u64| match size {
            0 => Chunk::Trailer { seen: 0 },
            left => Chunk::Data { left },
        };
        Ok(Some(match (self, byte) {
            (Chunk::Size { value, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if digits < 16 => {
                let digit = (byte as char).to_digit(16).unwrap_or(0);
                Chunk::Size { value: value << 4 | u64::from(digit), digits: digits + 1 }
            }
            (Chunk::Size { digits: 0, .. }, _) => return Err(Malformed("a chunk without its size")),
            (Chunk::Size { value, .. }, b'\r') => Chunk::SizeEnd { size: value },
            (Chunk::Size { value, .. }, b' ' | b'\t' | b';') => Chunk::Extension { size: value, seen: 0 },
            (Chunk::Size { .. }, _) => return Err(Malformed("a chunk's size that is no number")),
            (Chunk::Extension { size, .. }, b'\r') => Chunk::SizeEnd { size },
            (Chunk::Extension { .. }, b'\n') => return Err(Malformed("a line that ends without CR")),
            (Chunk::Extension { size, seen }, _) => Chunk::Extension { size, seen: counted(seen)? },
            (Chunk::SizeEnd { size }, b'\n') => sized(size),
            (Chunk::DataCr, b'\r') => Chunk::DataLf,
            (Chunk::DataLf, b'\n') => Chunk::Size { value: 0, digits: 0 },
            (Chunk::SizeEnd { .. } | Chunk::DataCr | Chunk::DataLf, _) => {
                return Err(Malformed("a chunk that does not end with its size"));
            }
            (Chunk::Trailer { .. }, b'\r') => Chunk::LastLf,
            (Chunk::Trailer { seen }, _) => Chunk::TrailerLine { seen: counted(seen)? },
            (Chunk::TrailerLine { seen }, b'\n') => Chunk::Trailer { seen: counted(seen)? },
            (Chunk::TrailerLine { seen }, _) => Chunk::TrailerLine { seen: counted(seen)? },
            (Chunk::LastLf, b'\n') => return Ok(None),
            (Chunk::LastLf, _) => return Err(Malformed("trailers that do not end with an empty line")),
            // Its bytes are taken in portions.
            (Chunk::Data { left }, _) => Chunk::Data { left },
        }))
    }
}

enum Parsed {
    /// And how many bytes end it.
    Whole(Head, usize),
    /// Where the head begins whose end is missing.
    Partial(usize),
}

fn final_head(bytes: &[u8], bodiless: bool, last: &mut LastHead) -> Result<Parsed, Malformed> {
    let mut from = 0;
    loop {
        let rest = &bytes[from..];
        if let Some(head) = last.head
            && rest.starts_with(&last.bytes)
        {
            return Ok(Parsed::Whole(head, from + last.bytes.len()));
        }
        let Some((head, length)) = parse(rest, bodiless)? else { return Ok(Parsed::Partial(from)) };
        match head.status {
            101 => return Err(Malformed("a switch of protocols that nobody asked for")),
            100..=199 => from += length,
            _ => {
                if length <= MAX_REMEMBERED {
                    last.bytes.clear();
                    last.bytes.extend_from_slice(&rest[..length]);
                    last.head = Some(head);
                }
                return Ok(Parsed::Whole(head, from + length));
            }
        }
    }
}

/// The head at the begin of the bytes and its length; None: its end is missing.
fn parse(bytes: &[u8], bodiless: bool) -> Result<Option<(Head, usize)>, Malformed> {
    let mut fields = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parsed =
        httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, &mut fields);
    let length = match parsed {
        Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => length,
        Ok(httparse::Status::Complete(_)) => return Err(Malformed(ENDLESS)),
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(Malformed(reason(error))),
    };
    let status = response.code.unwrap_or(0);
    if status < 100 {
        return Err(Malformed("a status that is none"));
    }
    let one_one = response.version == Some(1);
    let mut reusable = one_one;
    let mut declared: Option<u64> = None;
    let mut encoded: Option<bool> = None;
    for field in response.headers.iter() {
        // Their lengths tell most other fields apart.
        match field.name.len() {
            10 if field.name.eq_ignore_ascii_case("connection") => {
                for option in field.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    if option.eq_ignore_ascii_case(b"close") {
                        reusable = false;
                    } else if option.eq_ignore_ascii_case(b"keep-alive") && !one_one {
                        reusable = true;
                    }
                }
            }
            14 if field.name.eq_ignore_ascii_case("content-length") => {
                for value in field.value.split(|byte| *byte == b',') {
                    let value = decimal(value.trim_ascii()).ok_or(Malformed("a content-length that is no number"))?;
                    if declared.is_some_and(|declared| declared != value) {
                        return Err(Malformed("two different lengths of the body"));
                    }
                    declared = Some(value);
                }
            }
            17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                let coding = field.value.rsplit(|byte| *byte == b',').next().unwrap_or_default();
                encoded = Some(coding.trim_ascii().eq_ignore_ascii_case(b"chunked"));
            }
            _ => {}
        }
    }
    let body = match (encoded, declared) {
        _ if bodiless || status < 200 || status == 204 || status == 304 => Body::None,
        (Some(true), length) => {
            // Two framings: what follows may be taken for something else by others on the way.
            reusable &= length.is_none() && one_one;
            Body::Chunked
        }
        (None, Some(length)) => Body::Length(length),
        (Some(false), _) | (None, None) => Body::UntilClose,
    };
    Ok(Some((Head { status, reusable: reusable && body != Body::UntilClose, body }, length)))
}

/// Digits alone.
fn decimal(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

fn reason(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::HeaderName => "the name of a header field is none",
        httparse::Error::HeaderValue => "the value of a header field is none",
        httparse::Error::NewLine => "a line that ends without CR LF",
        httparse::Error::Status => "a status that is none",
        httparse::Error::Token => "a header field with wrong characters",
        httparse::Error::TooManyHeaders => "more header fields than are read",
        httparse::Error::Version => "another protocol than HTTP/1.0 and HTTP/1.1",
    }
}
