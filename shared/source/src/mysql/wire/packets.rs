//! The server's packets in the bytes of a connection. Pure and synchronous.
//!
//! A packet is the length of its body in three bytes, a number that counts up, and the body. A body of 2^24 - 1 bytes goes on
//! in the next packet; what belongs together is put together where it lies.

use std::io;
use std::ops::Range;

/// One read of the socket takes up to so many bytes.
const READ_BYTES: usize = 128 << 10;
const HEADER_BYTES: usize = 4;
const LONGEST_BODY: usize = 0xff_ffff;

/// Bytes received and not used yet.
pub(super) struct Packets {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Where the next body ends at least, as far as its headers have come.
    wanted: usize,
    /// Of the body that goes on in further packets, what has come.
    begun: usize,
    /// The body at hand.
    body: usize,
    /// The number of the next packet, of either side.
    number: u8,
}

impl Packets {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; READ_BYTES],
            start: 0,
            end: 0,
            wanted: 0,
            begun: 0,
            body: 0,
            number: 0,
        }
    }

    /// Where the next bytes go; never empty.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.wanted = self.wanted.saturating_sub(self.start);
        self.start = 0;
        if self.wanted > self.bytes.len() {
            self.bytes.reserve_exact(self.wanted - self.bytes.len());
            self.bytes.resize(self.wanted, 0);
        } else if self.bytes.len() > READ_BYTES && self.wanted.max(self.end) < READ_BYTES {
            // A large row is over.
            self.bytes.truncate(READ_BYTES);
            self.bytes.shrink_to_fit();
        } else if self.end == self.bytes.len() {
            self.bytes.resize(self.end + READ_BYTES, 0);
        }
        &mut self.bytes[self.end..]
    }

    /// So many bytes of the room were filled.
    pub(super) fn received(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// Nothing is left of what was received.
    pub(super) fn is_empty(&self) -> bool {
        self.start + self.used() == self.end
    }

    /// Goes on to the next body, which is [`Packets::body`] then, if all of it is here.
    pub(super) fn next(&mut self) -> io::Result<bool> {
        self.start += self.used();
        self.body = 0;
        loop {
            let header_at = match self.begun {
                0 => self.start,
                begun => self.start + HEADER_BYTES + begun,
            };
            self.wanted = header_at + HEADER_BYTES;
            let Some([a, b, c, number]) = self.bytes[header_at..self.end].first_chunk::<HEADER_BYTES>() else {
                return Ok(false);
            };
            let length = u32::from_le_bytes([*a, *b, *c, 0]) as usize;
            if *number != self.number {
                return Err(malformed("a packet is missing"));
            }
            self.wanted = header_at + HEADER_BYTES + length;
            if self.wanted > self.end {
                return Ok(false);
            }
            self.number = self.number.wrapping_add(1);
            if self.begun > 0 {
                self.bytes.copy_within(header_at + HEADER_BYTES..self.end, header_at);
                self.end -= HEADER_BYTES;
            }
            self.begun += length;
            if length < LONGEST_BODY {
                self.body = std::mem::take(&mut self.begun);
                if self.body == 0 {
                    return Err(malformed("a packet is empty"));
                }
                return Ok(true);
            }
        }
    }

    /// The body that [`Packets::next`] went on to.
    pub(super) fn body(&self) -> &[u8] {
        self.bytes.get(self.place()).unwrap_or_default()
    }

    /// Where that body lies in [`Packets::bytes`].
    pub(super) fn place(&self) -> Range<usize> {
        let end = self.start + self.used();
        end - self.body..end
    }

    /// All bytes, the bodies of the last ones among them. None moves before there is made room.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn used(&self) -> usize {
        match self.body {
            0 => 0,
            body => HEADER_BYTES + body,
        }
    }

    /// Appends to `out` a body of our own in its packets. A command begins to count anew.
    pub(super) fn wrap(&mut self, body: &[u8], begins: bool, out: &mut Vec<u8>) {
        if begins {
            self.number = 0;
        }
        let mut rest = body;
        loop {
            let (part, after) = rest.split_at(rest.len().min(LONGEST_BODY));
            out.extend_from_slice(&(part.len() as u32).to_le_bytes()[..3]);
            out.push(self.number);
            out.extend_from_slice(part);
            self.number = self.number.wrapping_add(1);
            rest = after;
            if part.len() < LONGEST_BODY {
                return;
            }
        }
    }
}

pub(super) fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every body of packets that arrive in slices of so many bytes, each with the largest room there was.
    fn bodies(bytes: &[u8], slice: usize) -> io::Result<(Vec<Vec<u8>>, usize)> {
        let (mut packets, mut found, mut largest) = (Packets::new(), Vec::new(), 0);
        for mut part in bytes.chunks(slice) {
            while !part.is_empty() {
                while packets.next()? {
                    found.push(packets.body().to_vec());
                }
                let room = packets.room();
                let (now, later) = part.split_at(part.len().min(room.len()));
                room[..now.len()].copy_from_slice(now);
                packets.received(now.len());
                part = later;
                largest = largest.max(packets.bytes.len());
            }
        }
        while packets.next()? {
            found.push(packets.body().to_vec());
        }
        Ok((found, largest))
    }

    fn wrapped(bodies: &[Vec<u8>]) -> Vec<u8> {
        let (mut packets, mut bytes) = (Packets::new(), Vec::new());
        bodies.iter().for_each(|body| packets.wrap(body, false, &mut bytes));
        bytes
    }

    proptest! {
        #[test]
        fn bodies_are_the_same_however_the_bytes_arrive(
            sizes in prop::collection::vec(1_usize..300_000, 0..6),
            slice in 1_usize..200_000,
        ) {
            let sent: Vec<Vec<u8>> = sizes.iter().map(|size| (0..*size).map(|i| i as u8).collect()).collect();
            prop_assert_eq!(bodies(&wrapped(&sent), slice).unwrap().0, sent);
        }

        #[test]
        fn arbitrary_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200), slice in 1_usize..50) {
            let _ = bodies(&bytes, slice);
        }
    }

    #[test]
    fn a_body_of_several_packets_is_whole_and_its_room_no_larger_than_needed() {
        for length in [LONGEST_BODY - 1, LONGEST_BODY, LONGEST_BODY + 1, 2 * LONGEST_BODY + 5] {
            let sent: Vec<Vec<u8>> = vec![vec![7; 10], (0..length).map(|i| (i / 3) as u8).collect(), vec![8; 20]];
            let (found, largest) = bodies(&wrapped(&sent), 1 << 20).unwrap();
            assert!(found == sent, "{length}");
            assert!(largest <= length + (2 << 20), "{largest} for {length}");
        }
    }

    #[test]
    fn a_packet_out_of_its_turn_is_refused() {
        assert!(bodies(&[1, 0, 0, 0, 9, 1, 0, 0, 2, 9], 100).is_err());
        assert!(bodies(&[0, 0, 0, 0], 100).is_err());
    }
}
