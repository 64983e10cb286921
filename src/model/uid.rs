//! IMAP unique identifiers and how far a folder has been read.

use std::{fmt, num::NonZeroU32};

/// A message's unique identifier in one folder: 1..=2³²−1 (RFC 9051 §2.3.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(NonZeroU32);

impl Uid {
    /// The lowest there can be.
    pub const MIN: Self = Self(NonZeroU32::MIN);

    /// `None` for zero, which no message can have.
    pub fn new(value: u32) -> Option<Self> {
        NonZeroU32::new(value).map(Self)
    }

    /// The bare number.
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The validity value that UIDs hold under (RFC 9051 §2.3.1.1): a new one voids every UID we know (I4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UidValidity(NonZeroU32);

impl UidValidity {
    /// `None` for zero, which no server may send.
    pub fn new(value: u32) -> Option<Self> {
        NonZeroU32::new(value).map(Self)
    }

    /// The bare number.
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

/// Our own counter for "the server broke its UID promise" under an unchanged UIDVALIDITY (I4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub i64);

/// How far a folder has been read: every UID below `next` that the server ever listed is stored or
/// put aside with its reason (I1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The validity the numbers hold under.
    pub validity: UidValidity,
    /// Our generation under that validity.
    pub generation: Generation,
    /// The lowest UID not yet decided; 2³² once UID 2³²−1 is decided.
    pub next: u64,
}
