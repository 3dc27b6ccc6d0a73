//! What the server's packets say. Pure and synchronous.

use std::io;

use super::packets::malformed;

/// Of a column's announcement.
const UNSIGNED: u16 = 32;
const ENUMERATION: u16 = 256;
/// The character set of bytes that are no text.
const BINARY: u16 = 63;

/// Bytes that are taken from the front.
#[derive(Clone, Copy)]
pub(super) struct Front<'a>(pub(super) &'a [u8]);

impl<'a> Front<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(cut_off)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or_else(cut_off)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> io::Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> io::Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> io::Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// An integer of one to nine bytes.
    pub(super) fn length(&mut self) -> io::Result<usize> {
        let long = match self.u8()? {
            short @ 0..=0xfa => u64::from(short),
            0xfc => u64::from(self.u16()?),
            0xfd => {
                let [a, b, c] = self.array()?;
                u64::from(u32::from_le_bytes([a, b, c, 0]))
            }
            0xfe => self.array().map(u64::from_le_bytes)?,
            _ => return Err(malformed("a length is none")),
        };
        usize::try_from(long).map_err(|_| malformed("a length is beyond this machine"))
    }

    /// Bytes behind their length.
    pub(super) fn counted(&mut self) -> io::Result<&'a [u8]> {
        let length = self.length()?;
        self.bytes(length)
    }

    pub(super) fn text(&mut self) -> io::Result<String> {
        let bytes = self.counted()?;
        String::from_utf8(bytes.to_vec()).map_err(|_| malformed("a name is no UTF-8"))
    }

    /// Bytes up to a zero, which is taken as well, or to the end.
    pub(super) fn until_zero(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        taken
    }
}

fn cut_off() -> io::Error {
    malformed("a packet ends too early")
}

/// What the server refuses, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) number: u16,
    /// The SQLSTATE, unless the refusal comes before the server knows whom it talks to.
    pub(crate) state: Option<String>,
    pub(crate) message: String,
}

/// `None` where the packet is no refusal.
pub(super) fn refusal(body: &[u8]) -> Option<Refusal> {
    let mut front = Front(body.strip_prefix(&[0xff])?);
    let number = front.u16().unwrap_or(0);
    let state = match front.0 {
        [b'#', state @ ..] if state.len() >= 5 => {
            front.0 = &state[5..];
            Some(String::from_utf8_lossy(&state[..5]).into_owned())
        }
        _ => None,
    };
    let message = String::from_utf8_lossy(front.0).into_owned();
    Some(Refusal { number, state, message })
}

/// Whether a packet in the place of a row ends the rows.
pub(super) fn ends_rows(body: &[u8]) -> bool {
    body[0] == 0xfe && body.len() < 0xff_ffff
}

/// A column as the server announces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) unsigned: bool,
}

/// How a column's values arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    /// Of so many bytes.
    Integer(u8),
    Year,
    Bit,
    Float,
    Double,
    Decimal,
    Date,
    Time,
    DateTime,
    Timestamp,
    Json,
    Enumeration,
    Set,
    Text,
    Bytes,
    Geometry,
}

impl Announced {
    pub(super) fn read(body: &[u8]) -> io::Result<Self> {
        let mut front = Front(body);
        // Catalogue, schema, and the table by its alias and its name.
        for _ in 0..4 {
            front.counted()?;
        }
        let name = front.text()?;
        front.counted()?;
        front.length()?;
        let character_set = front.u16()?;
        front.u32()?;
        let code = front.u8()?;
        let flags = front.u16()?;
        let text = match character_set {
            BINARY => Kind::Bytes,
            _ => Kind::Text,
        };
        let kind = match code {
            0x00 | 0xf6 => Kind::Decimal,
            0x01 => Kind::Integer(1),
            0x02 => Kind::Integer(2),
            // The medium one comes as four bytes.
            0x03 | 0x09 => Kind::Integer(4),
            0x08 => Kind::Integer(8),
            0x04 => Kind::Float,
            0x05 => Kind::Double,
            0x06 => Kind::Null,
            0x07 => Kind::Timestamp,
            0x0a => Kind::Date,
            0x0b => Kind::Time,
            0x0c => Kind::DateTime,
            0x0d => Kind::Year,
            0x10 => Kind::Bit,
            0xf5 => Kind::Json,
            0xf7 => Kind::Enumeration,
            0xf8 => Kind::Set,
            0xfe if flags & ENUMERATION != 0 => Kind::Enumeration,
            0x0f | 0xf9..=0xfe => text,
            0xff => Kind::Geometry,
            _ => return Err(malformed("a column is of a type that the protocol does not know")),
        };
        Ok(Self {
            name,
            kind,
            unsigned: flags & UNSIGNED != 0,
        })
    }
}

/// A statement that the server has parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PreparedHead {
    pub(super) id: u32,
    pub(super) columns: u16,
    pub(super) parameters: u16,
}

impl PreparedHead {
    pub(super) fn read(body: &[u8]) -> io::Result<Self> {
        let mut front = Front(body);
        if front.u8()? != 0 {
            return Err(malformed("the answer to a statement's preparation is none"));
        }
        Ok(Self {
            id: front.u32()?,
            columns: front.u16()?,
            parameters: front.u16()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_refusal_has_its_number_its_state_and_its_words() {
        let with_state = [b"\xff\x15\x04#28000".as_slice(), b"Access denied"].concat();
        let refused = refusal(&with_state).unwrap();
        assert_eq!(
            (refused.number, refused.state.as_deref(), refused.message.as_str()),
            (1045, Some("28000"), "Access denied")
        );
        let early = refusal(b"\xff\x10\x04Too many connections").unwrap();
        assert_eq!((early.number, early.state), (1040, None));
        assert_eq!(refusal(b"\x00\x00"), None);
    }

    #[test]
    fn lengths_are_of_one_to_nine_bytes() {
        let cases: [(&[u8], usize); 4] = [
            (&[0xfa], 250),
            (&[0xfc, 0x01, 0x02], 0x0201),
            (&[0xfd, 1, 2, 3], 0x03_0201),
            (&[0xfe, 1, 0, 0, 0, 0, 0, 0, 0], 1),
        ];
        for (bytes, length) in cases {
            assert_eq!(Front(bytes).length().unwrap(), length);
        }
        assert!(Front(&[0xfc, 1]).length().is_err() && Front(&[0xff]).length().is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_packets_are_survived(body in prop::collection::vec(any::<u8>(), 1..100)) {
            let _ = (refusal(&body), Announced::read(&body), PreparedHead::read(&body), ends_rows(&body));
        }
    }
}
