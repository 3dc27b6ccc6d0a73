//! Counts and digests bytes on their way into storage.

use sha2::{Digest as _, Sha256};
use sqlextract_model::Digest;

use crate::Uploaded;

#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    bytes: u64,
    crc32c: u32,
    sha256: Sha256,
}

impl Tally {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
        self.sha256.update(bytes);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn finish(self) -> Uploaded {
        Uploaded {
            bytes: self.bytes,
            crc32c: self.crc32c,
            sha256: Digest::from_bytes(self.sha256.finalize().into()),
        }
    }
}
