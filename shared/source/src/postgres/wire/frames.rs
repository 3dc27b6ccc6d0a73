//! The server's messages in the bytes of a connection. Pure and synchronous.
//!
//! A message is a tag, its length in four bytes, and a body. The body of a row's message is handed out where it lies, in
//! slices of any size; every other message is small, and is handed out whole.

use std::io;

use bytes::BytesMut;
use postgres_protocol::message::backend::{Header, Message};

/// One read of the socket takes up to so many bytes.
const READ_BYTES: usize = 128 << 10;
/// Of a message that is handed out whole.
const LARGEST_MESSAGE_BYTES: usize = 16 << 20;
const HEADER_BYTES: usize = 5;
const DATA_ROW: u8 = b'D';

/// What the bytes begin with.
pub(crate) enum Frame {
    /// A row's message, whose body has so many bytes: see [`Frames::rows`].
    Row(usize),
    Message(Message),
    /// Nothing whole: more must be received.
    Incomplete,
}

/// Bytes received and not used yet.
pub(crate) struct Frames {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// What is to come of the row's message that was begun.
    rows_left: usize,
}

impl Frames {
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0; READ_BYTES],
            start: 0,
            end: 0,
            rows_left: 0,
        }
    }

    /// Where the next bytes go; never empty.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.bytes.len() {
            // The beginning of a long message fills it.
            self.bytes.resize(2 * self.bytes.len(), 0);
        }
        &mut self.bytes[self.end..]
    }

    /// So many bytes of the room were filled.
    pub(crate) fn received(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// Whether a row's message has not been used up.
    pub(crate) fn within_rows(&self) -> bool {
        self.rows_left > 0
    }

    /// What is here of the row's message that was begun.
    pub(crate) fn rows(&self) -> &[u8] {
        let here = self.rows_left.min(self.end - self.start);
        &self.bytes[self.start..self.start + here]
    }

    /// So many bytes of [`Frames::rows`] were used.
    pub(crate) fn used(&mut self, count: usize) {
        let count = count.min(self.rows_left).min(self.end - self.start);
        self.start += count;
        self.rows_left -= count;
    }

    /// What was received and begins with a message; empty within one.
    pub(crate) fn messages(&self) -> &[u8] {
        match self.within_rows() {
            true => &[],
            false => &self.bytes[self.start..self.end],
        }
    }

    /// So many bytes of [`Frames::messages`], which are whole messages, were used.
    pub(crate) fn pass(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }

    /// The next message, once all of the last one is used.
    pub(crate) fn next(&mut self) -> io::Result<Frame> {
        if let Some(header) = Header::parse(&self.bytes[self.start..self.end])?
            && header.tag() == DATA_ROW
        {
            self.start += HEADER_BYTES;
            self.rows_left = body_bytes(header);
            return Ok(Frame::Row(self.rows_left));
        }
        Ok(self.next_whole()?.map_or(Frame::Incomplete, Frame::Message))
    }

    /// [`Frames::next`] where rows are small as well. `None` until a message is whole.
    pub(crate) fn next_whole(&mut self) -> io::Result<Option<Message>> {
        let received = &self.bytes[self.start..self.end];
        let Some(header) = Header::parse(received)? else {
            return Ok(None);
        };
        let body = body_bytes(header);
        if body > LARGEST_MESSAGE_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a message of the server is too long",
            ));
        }
        let Some(whole) = received.get(..HEADER_BYTES + body) else {
            return Ok(None);
        };
        let message = Message::parse(&mut BytesMut::from(whole))?;
        self.start += HEADER_BYTES + body;
        Ok(message)
    }
}

fn body_bytes(header: Header) -> usize {
    usize::try_from(header.len()).unwrap_or(0).saturating_sub(4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::postgres::fuzzing::split_messages;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[tag], length.to_be_bytes().as_slice(), body].concat()
    }

    proptest! {
        #[test]
        fn bodies_are_the_same_however_the_bytes_arrive(
            sizes in prop::collection::vec(0_usize..300_000, 0..6),
            slice in 1_usize..200_000,
        ) {
            let bodies: Vec<Vec<u8>> = sizes.iter().map(|size| (0..*size).map(|i| i as u8).collect()).collect();
            let mut bytes = Vec::new();
            for body in &bodies {
                bytes.extend(message(b'D', body));
                bytes.extend(message(b'N', b"SNOTICE\0\0"));
            }
            prop_assert_eq!(split_messages(&bytes, slice), (bodies.clone(), bodies.len()));
        }

        #[test]
        fn arbitrary_bytes_split_alike_however_they_arrive(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            slice in 1_usize..50,
        ) {
            prop_assert_eq!(split_messages(&bytes, slice), split_messages(&bytes, usize::MAX));
        }
    }

    #[test]
    fn a_message_of_the_server_is_held_up_to_its_limit() {
        let long = vec![b'x'; 1 << 20];
        assert_eq!(
            split_messages(&message(b'N', &[b"S", long.as_slice(), b"\0\0"].concat()), 7000),
            (Vec::new(), 1)
        );
        let mut frames = Frames::new();
        let header = [b"N".as_slice(), &(LARGEST_MESSAGE_BYTES as u32 + 5).to_be_bytes()].concat();
        frames.room()[..5].copy_from_slice(&header);
        frames.received(5);
        assert!(frames.next().is_err());
    }
}
