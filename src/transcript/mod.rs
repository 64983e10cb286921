//! What was lately said between us and each server: the last exchanges of IMAP, SMTP and OAuth, in
//! memory, bounded, with every secret masked before anything is kept.
//!
//! A [`Recorder`] belongs to one account or one cloud provider. [`Recorder::begin`] numbers a connection;
//! its [`Tap`] takes notes and is laid over the stream inside TLS ([`Tap::over`]), where a scribe that
//! knows the protocol follows both directions octet by octet.
//!
//! # Promises
//! - Masking happens before keeping (I8). Of commands only known ones are kept; what answers a SASL
//!   challenge, LOGIN's arguments, literals, mail bodies and quoted header fields are counted, never
//!   copied. Of OAuth only names of fields are kept, and the values that hold no secret.
//! - The secrets a connection was given ([`Recorder::hiding`]) are masked wherever they come back: as they
//!   are, escaped, URL-encoded, and inside any base64. Whatever looks like a token is masked too. Others
//!   use the same [`Secrets`] for a server's words that end in errors.
//! - A mail body costs one addition per piece that passes, however large it is.
//! - Bounds (I10): octets and entries of a subject's ring, octets of an entry, octets of all rings together
//!   (the ring that was written to longest ago goes first). A subject that says nothing costs nothing.
//! - What is told never changes what is said: a tap only looks on.
//!
//! # When things fail
//! - Nothing here fails. What cannot be understood is counted and named, not kept; a conversation that
//!   breaks its protocol is not followed any further.
//! - The rings are lost when the process ends; another node's are not seen here.
//!
//! # Does not know
//! - Sockets, TLS, accounts' rows, who may read.
//!
//! # Standards
//! RFC 3501 and RFC 9051 (IMAP), RFC 5321 (SMTP), RFC 4954 (AUTH), RFC 6749 (OAuth 2.0).

mod imap;
mod lines;
mod mask;
mod oauth;
mod ring;
mod smtp;
mod tap;
mod text;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_bounds;
#[cfg(test)]
mod tests_mask;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use secrecy::SecretString;

use crate::model::{AccountId, Clock, CloudProviderId, Timestamp};

pub use mask::Secrets;
pub use tap::{Tap, Tapped};

use ring::Rings;

/// Whose exchanges they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// An account: its IMAP and SMTP.
    Account(AccountId),
    /// A cloud provider: its OAuth.
    Provider(CloudProviderId),
}

/// What was spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The inbound lane.
    Imap,
    /// The outbound lane.
    Smtp,
    /// Sign-in and refreshing.
    Oauth,
}

impl Protocol {
    /// As the API shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Smtp => "smtp",
            Self::Oauth => "oauth",
        }
    }

    /// The reverse of [`Self::as_str`], in any case.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Imap, Self::Smtp, Self::Oauth]
            .into_iter()
            .find(|one| one.as_str().eq_ignore_ascii_case(text.trim()))
    }
}

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// We did.
    Sent,
    /// The server did.
    Received,
    /// Nobody: what happened around it.
    Note,
}

impl Direction {
    /// As the API shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Received => "received",
            Self::Note => "note",
        }
    }
}

/// One line of a transcript. Secrets are masked in it already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// The order of all entries of this process.
    pub number: u64,
    /// In which protocol.
    pub protocol: Protocol,
    /// Which connection or request of this process, so that two at once can be told apart.
    pub connection: u64,
    /// Who said it.
    pub direction: Direction,
    /// One line, at most some 540 octets, without control characters.
    pub text: Box<str>,
}

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Octets of one subject's ring, bookkeeping included.
    pub ring_octets: usize,
    /// Entries of one subject's ring.
    pub ring_entries: usize,
    /// Octets of all rings together, bookkeeping included.
    pub octets: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            ring_octets: 32 * 1024,
            ring_entries: 400,
            octets: 32 * 1024 * 1024,
        }
    }
}

/// All transcripts of this process. Cheap to clone.
#[derive(Clone)]
pub struct Transcripts(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    rings: Mutex<Rings>,
}

impl Transcripts {
    /// Empty; takes no memory to speak of before something is said.
    pub fn new(clock: Arc<dyn Clock>, bounds: Bounds) -> Self {
        Self(Arc::new(Inner {
            clock,
            rings: Mutex::new(Rings::new(bounds)),
        }))
    }

    /// Records for an account.
    pub fn account(&self, account: AccountId) -> Recorder {
        self.recorder(Subject::Account(account))
    }

    /// Records for a cloud provider.
    pub fn provider(&self, provider: CloudProviderId) -> Recorder {
        self.recorder(Subject::Provider(provider))
    }

    fn recorder(&self, subject: Subject) -> Recorder {
        Recorder {
            to: Some((self.clone(), subject)),
            hidden: Secrets::default(),
        }
    }

    /// What is kept of a subject, oldest first.
    pub fn read(&self, subject: Subject) -> Vec<Entry> {
        self.lock().read(subject)
    }

    /// Drops what is kept of a subject that was removed, and keeps nothing of it from now on (ids are
    /// never used again). Of the last thousand removed ones; an older one's late word is a ring like others.
    pub fn forget(&self, subject: Subject) {
        self.lock().forget(subject);
    }

    /// Never held across an await; what it guards is whole between any two statements.
    fn lock(&self) -> MutexGuard<'_, Rings> {
        self.0.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Transcripts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transcripts").finish_non_exhaustive()
    }
}

/// Keeps what is said for one subject. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    to: Option<(Transcripts, Subject)>,
    hidden: Secrets,
}

impl Recorder {
    /// Keeps nothing.
    pub fn off() -> Self {
        Self {
            to: None,
            hidden: Secrets::default(),
        }
    }

    /// The same, masking this secret too, in every form it may come back in. Empty ones are ignored.
    #[must_use]
    pub fn hiding(&self, secret: &SecretString) -> Self {
        if self.to.is_none() {
            return self.clone();
        }
        Self {
            to: self.to.clone(),
            hidden: self.hidden.with(secret),
        }
    }

    /// A connection or request begins; it gets a number.
    pub fn begin(&self, protocol: Protocol) -> Tap {
        let connection = match &self.to {
            Some((transcripts, _)) => transcripts.lock().number_connection(),
            None => 0,
        };
        Tap {
            recorder: self.clone(),
            protocol,
            connection,
        }
    }

    fn hidden(&self) -> &Secrets {
        &self.hidden
    }

    fn is_on(&self) -> bool {
        self.to.is_some()
    }

    /// Keeps text that is masked and bounded already.
    fn keep(&self, protocol: Protocol, connection: u64, direction: Direction, text: String) {
        if let Some((transcripts, subject)) = &self.to {
            let at = transcripts.0.clock.now();
            let entry = Entry {
                at,
                number: 0,
                protocol,
                connection,
                direction,
                text: text.into_boxed_str(),
            };
            transcripts.lock().push(*subject, entry);
        }
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::off()
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = self.to.as_ref().map(|(_, subject)| subject);
        f.debug_tuple("Recorder").field(&subject).finish()
    }
}
