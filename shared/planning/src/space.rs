//! Values between values.
//!
//! Integers everywhere, and UUIDs where the database orders them by their bytes, have an order that planning knows:
//! they are numbered by [`Numbering`]. For all other kinds only the database compares two values; a [`Space`] merely
//! guesses where the middle might be, and the database answers with a real key.

use std::collections::BTreeSet;

use sqlextract_model::{Dialect, KeyKind, KeyValue};

use crate::literal;

/// How values of a column with a known order are numbered, from 0 to 2^128-1 in that order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbering {
    Integer,
    UuidText,
    UuidBytes,
}

const SIGN: u128 = 1 << 127;

impl Numbering {
    /// MariaDB orders UUIDs by their timestamp, and SQLite has only texts: there the database is asked.
    pub(crate) fn of(kind: KeyKind, dialect: Dialect, sample: &KeyValue) -> Option<Self> {
        match (kind, sample) {
            (KeyKind::Integer, KeyValue::Integer(_)) => Some(Self::Integer),
            (KeyKind::Uuid, KeyValue::Text(_)) if dialect == Dialect::Postgres => Some(Self::UuidText),
            (KeyKind::Uuid, KeyValue::Bytes(_)) if dialect == Dialect::Postgres => Some(Self::UuidBytes),
            _ => None,
        }
    }

    pub(crate) fn number(self, value: &KeyValue) -> Option<u128> {
        match (self, value) {
            (Self::Integer, KeyValue::Integer(value)) => Some((*value as u128) ^ SIGN),
            (Self::UuidText, KeyValue::Text(text)) => uuid_number(text),
            (Self::UuidBytes, KeyValue::Bytes(bytes)) => Some(u128::from_be_bytes(bytes.as_slice().try_into().ok()?)),
            _ => None,
        }
    }

    pub(crate) fn value(self, number: u128) -> KeyValue {
        match self {
            Self::Integer => KeyValue::Integer((number ^ SIGN) as i128),
            Self::UuidText => KeyValue::Text(uuid_text(number)),
            Self::UuidBytes => KeyValue::Bytes(number.to_be_bytes().to_vec()),
        }
    }

    /// The largest value that a literal of the declared type may have, where it is not known from the rows.
    pub(crate) fn largest(self, declared: &str) -> u128 {
        if self != Self::Integer {
            return u128::MAX;
        }
        let declared = declared.to_ascii_lowercase();
        let name = declared.split(['(', ' ']).next().unwrap_or_default();
        let largest: i128 = match name {
            "tinyint" | "int1" => i128::from(i8::MAX),
            "smallint" | "int2" | "smallserial" => i128::from(i16::MAX),
            "mediumint" => (1 << 23) - 1,
            "int" | "integer" | "int4" | "serial" => i128::from(i32::MAX),
            "oid" => i128::from(u32::MAX),
            _ => i128::from(i64::MAX),
        };
        let largest = if declared.contains("unsigned") {
            largest * 2 + 1
        } else {
            largest
        };
        (largest as u128) ^ SIGN
    }
}

/// `number * part / parts` without overflow; exact to the unit as long as `parts` is below 2^64.
pub(crate) fn share(number: u128, part: u64, parts: u64) -> u128 {
    let (part, parts) = (u128::from(part), u128::from(parts));
    number / parts * part + number % parts * part / parts
}

fn uuid_number(text: &str) -> Option<u128> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    (digits.len() == 32)
        .then(|| u128::from_str_radix(&digits, 16).ok())
        .flatten()
}

fn uuid_text(number: u128) -> String {
    let digits = format!("{number:032x}");
    let parts = [
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..],
    ];
    parts.join("-")
}

/// Characters that a guess adds behind the common prefix; ten tell one key in 10^10 from the next.
const GUESSED_CHARS: usize = 10;
const GUESSED_BYTES: usize = 12;
/// Characters of a key behind the common prefix that tell what keys are made of.
const SEEN_CHARS: usize = 24;

/// Where values lie, for guesses: each value is a number from 0 to 1 between the smallest and the largest.
#[derive(Debug, Clone)]
pub(crate) enum Space {
    Text {
        prefix: String,
        alphabet: Vec<char>,
        /// Keys seem to be ordered without regard to case.
        fold: bool,
    },
    Uuid,
    Bytes {
        prefix: Vec<u8>,
    },
    Number,
    /// Nothing is known about the values' form: no guesses.
    Opaque,
}

impl Space {
    /// Learns from keys that the database has answered, in its order.
    pub(crate) fn of(kind: KeyKind, seen: &[&KeyValue]) -> Self {
        let texts: Vec<&str> = seen
            .iter()
            .filter_map(|v| {
                if let KeyValue::Text(t) = v {
                    Some(t.as_str())
                } else {
                    None
                }
            })
            .collect();
        let bytes: Vec<&[u8]> = seen
            .iter()
            .filter_map(|v| {
                if let KeyValue::Bytes(b) = v {
                    Some(b.as_slice())
                } else {
                    None
                }
            })
            .collect();
        if bytes.len() == seen.len() {
            return Self::Bytes {
                prefix: common_prefix(&bytes).to_vec(),
            };
        }
        if texts.len() != seen.len() {
            return Self::Opaque;
        }
        match kind {
            KeyKind::Uuid if texts.iter().all(|t| uuid_number(t).is_some()) => Self::Uuid,
            KeyKind::Text => text_space(&texts),
            KeyKind::Literal if texts.iter().all(|t| literal::place(t).is_some()) => Self::Number,
            _ => Self::Opaque,
        }
    }

    /// The same space with all its precision between two values.
    pub(crate) fn between(&self, start: &KeyValue, end: Option<&KeyValue>) -> Self {
        match (self, start, end) {
            (Self::Text { alphabet, fold, .. }, KeyValue::Text(start), Some(KeyValue::Text(end))) => {
                let prefix = common_text_prefix(&[start, end]).to_owned();
                Self::Text {
                    prefix,
                    alphabet: alphabet.clone(),
                    fold: *fold,
                }
            }
            (Self::Bytes { .. }, KeyValue::Bytes(start), Some(KeyValue::Bytes(end))) => Self::Bytes {
                prefix: common_prefix(&[start, end]).to_vec(),
            },
            _ => self.clone(),
        }
    }

    /// Where a value lies; larger for values that are probably behind.
    pub(crate) fn place(&self, value: &KeyValue) -> Option<f64> {
        match (self, value) {
            (Self::Text { prefix, alphabet, fold }, KeyValue::Text(text)) => {
                let rest = text.strip_prefix(prefix.as_str()).unwrap_or(text);
                Some(text_place(rest, alphabet, *fold))
            }
            (Self::Uuid, KeyValue::Text(text)) => Some(uuid_number(text)? as f64 / 2f64.powi(128)),
            (Self::Bytes { prefix }, KeyValue::Bytes(bytes)) => {
                let rest = bytes.strip_prefix(prefix.as_slice()).unwrap_or(bytes);
                Some(fraction(rest.iter().map(|b| f64::from(*b)), 256.0, GUESSED_BYTES))
            }
            (Self::Number, KeyValue::Text(text)) => literal::place(text),
            _ => None,
        }
    }

    /// A value at this place, written like `like`. It need not exist, and the database may order it otherwise.
    pub(crate) fn at(&self, place: f64, like: &KeyValue) -> Option<KeyValue> {
        match self {
            Self::Text { prefix, alphabet, .. } => {
                let last = alphabet.len() - 1;
                let digits = digits(place, alphabet.len() as f64, GUESSED_CHARS);
                Some(KeyValue::Text(
                    prefix.chars().chain(digits.map(|d| alphabet[d.min(last)])).collect(),
                ))
            }
            Self::Uuid => Some(KeyValue::Text(uuid_text(
                (place.clamp(0.0, 1.0) * 2f64.powi(128)) as u128,
            ))),
            Self::Bytes { prefix } => {
                let digits = digits(place, 256.0, GUESSED_BYTES).map(|d| d.min(255) as u8);
                Some(KeyValue::Bytes(prefix.iter().copied().chain(digits).collect()))
            }
            Self::Number => match like {
                KeyValue::Text(like) => Some(KeyValue::Text(literal::text(place, like)?)),
                _ => None,
            },
            Self::Opaque => None,
        }
    }

    /// The end of the space, where a scope has no known largest value.
    pub(crate) fn end(&self) -> Option<f64> {
        matches!(self, Self::Text { .. } | Self::Uuid | Self::Bytes { .. }).then_some(1.0)
    }

    /// A value right behind this one under any collation; a few values between may be passed over.
    pub(crate) fn behind(&self, value: &KeyValue) -> Option<KeyValue> {
        match (self, value) {
            (Self::Text { .. }, KeyValue::Text(text)) => Some(KeyValue::Text(format!("{text}0"))),
            (Self::Bytes { .. }, KeyValue::Bytes(bytes)) => Some(KeyValue::Bytes([bytes.as_slice(), &[0]].concat())),
            (Self::Uuid, KeyValue::Text(text)) => Some(KeyValue::Text(uuid_text(uuid_number(text)?.checked_add(1)?))),
            _ => None,
        }
    }
}

fn common_prefix<'a>(values: &[&'a [u8]]) -> &'a [u8] {
    let Some((first, rest)) = values.split_first() else {
        return &[];
    };
    let length = rest
        .iter()
        .map(|v| v.iter().zip(*first).take_while(|(a, b)| a == b).count())
        .min();
    &first[..length.unwrap_or(0)]
}

fn common_text_prefix<'a>(texts: &[&'a str]) -> &'a str {
    let bytes: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
    let common = common_prefix(&bytes).len();
    let end = (0..=common)
        .rev()
        .find(|end| texts.iter().all(|text| text.is_char_boundary(*end)))
        .unwrap_or(0);
    texts.first().map_or("", |text| &text[..end])
}

fn text_space(texts: &[&str]) -> Space {
    let prefix = common_text_prefix(texts);
    let rests = || texts.iter().map(|text| &text[prefix.len()..]);
    let exact = alphabet(rests().flat_map(|rest| rest.chars().take(SEEN_CHARS)));
    let ordered = |alphabet: &[char], fold| rests().map(|rest| text_place(rest, alphabet, fold)).is_sorted();
    if ordered(&exact, false) {
        return Space::Text {
            prefix: prefix.to_owned(),
            alphabet: exact,
            fold: false,
        };
    }
    let folded = alphabet(
        rests()
            .flat_map(|rest| rest.chars().take(SEEN_CHARS))
            .map(|c| c.to_ascii_lowercase()),
    );
    Space::Text {
        prefix: prefix.to_owned(),
        alphabet: folded,
        fold: true,
    }
}

/// The text as a fraction whose digits are its characters' places in the alphabet.
fn text_place(text: &str, alphabet: &[char], fold: bool) -> f64 {
    let folded = text.chars().map(|c| if fold { c.to_ascii_lowercase() } else { c });
    let digit = |c: char| alphabet.partition_point(|a| *a < c) as f64;
    fraction(folded.map(digit), alphabet.len() as f64, GUESSED_CHARS)
}

/// The characters that keys are likely made of: whole classes of what was seen, so that a guess does not fall where
/// no key can be.
fn alphabet(seen: impl Iterator<Item = char>) -> Vec<char> {
    const CLASSES: [(char, char); 5] = [('0', '9'), ('a', 'f'), ('g', 'z'), ('A', 'F'), ('G', 'Z')];
    let mut chars = BTreeSet::new();
    for c in seen {
        match CLASSES.iter().find(|(from, to)| (*from..=*to).contains(&c)) {
            Some((from, to)) => chars.extend(*from..=*to),
            // PostgreSQL's text has no NUL; a guess must not hold one.
            None if c != '\0' => {
                chars.insert(c);
            }
            None => {}
        }
    }
    if chars.len() < 2 {
        chars.extend('0'..='9');
        chars.extend('a'..='z');
    }
    chars.into_iter().collect()
}

fn fraction(digits: impl Iterator<Item = f64>, base: f64, count: usize) -> f64 {
    let (mut place, mut scale) = (0.0, 1.0);
    for digit in digits.take(count) {
        scale /= base;
        place += digit * scale;
    }
    place
}

fn digits(place: f64, base: f64, count: usize) -> impl Iterator<Item = usize> {
    let mut rest = place.clamp(0.0, 1.0);
    (0..count).map(move |_| {
        let scaled = rest * base;
        let digit = scaled.floor().min(base - 1.0);
        rest = (scaled - digit).clamp(0.0, 1.0);
        digit as usize
    })
}
