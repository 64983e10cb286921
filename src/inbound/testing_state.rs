//! What the scripted server has, and how it is told to misbehave.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Timestamp;

/// What the server does about IDLE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Idle {
    Announces,
    /// Accepts it and never says anything.
    Silent,
    Absent,
    Refused,
    /// Ends it at once, every time.
    Ended,
}

/// The mailbox and the server's manners.
pub(super) struct State {
    pub(super) validity: u32,
    pub(super) next: u32,
    pub(super) mails: BTreeMap<u32, (Vec<u8>, Timestamp)>,
    pub(super) idle: Idle,
    /// Passwords and access tokens that are accepted.
    pub(super) secrets: BTreeSet<String>,
    pub(super) refuse_select: Option<&'static str>,
    /// The answer to every login, whatever its secret.
    pub(super) refuse_login: Option<&'static str>,
    /// Sent behind the secret and before the refusal, base64.
    pub(super) challenge: Option<String>,
    /// What came as the answer to each challenge.
    pub(super) challenge_answers: Vec<String>,
    /// The next body ends in its middle, and the line with it, without a TLS close notify.
    pub(super) cut_body: bool,
    /// The answer to every listing and fetch.
    pub(super) refuse_fetch: Option<&'static str>,
    pub(super) without_uidnext: bool,
    /// UIDNEXT is said to be this much higher than it is.
    pub(super) early_uidnext: u32,
    /// Not named by the next listings.
    pub(super) late: BTreeSet<u32>,
    /// Said to have 10 octets.
    pub(super) understated: BTreeSet<u32>,
    /// Slices are no larger than this, whatever is asked for.
    pub(super) slices: usize,
    /// Listings from a UID to the end.
    pub(super) lists: u32,
    /// How many bodies were sent.
    pub(super) bodies: u32,
    /// The next connection is cut after so many octets of the server's.
    pub(super) cut_after: Option<usize>,
    /// How many connections were cut so.
    pub(super) cuts: u32,
    /// INTERNALDATE is not said.
    pub(super) undated: bool,
    /// Answered with NIL.
    pub(super) no_body: BTreeSet<u32>,
    /// Refused so many times more with a plain NO.
    pub(super) refusals: BTreeMap<u32, u32>,
    /// The words of these refusals.
    pub(super) refusal: &'static str,
    /// Gone as soon as they have been listed.
    pub(super) vanishing: BTreeSet<u32>,
    /// Answered with something that ends the connection, always.
    pub(super) poison: BTreeSet<u32>,
    /// The secret of each login, refused ones too.
    pub(super) logins: Vec<String>,
    /// Connections that are open now.
    pub(super) open: u32,
    /// The most there ever were at once.
    pub(super) most_open: u32,
    pub(super) idles: u32,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            validity: 77,
            next: 1,
            mails: BTreeMap::new(),
            idle: Idle::Announces,
            secrets: BTreeSet::from(["secret".to_owned()]),
            refuse_select: None,
            refuse_login: None,
            challenge: None,
            challenge_answers: Vec::new(),
            refuse_fetch: None,
            cut_body: false,
            without_uidnext: false,
            early_uidnext: 0,
            late: BTreeSet::new(),
            understated: BTreeSet::new(),
            slices: usize::MAX,
            lists: 0,
            bodies: 0,
            cut_after: None,
            cuts: 0,
            undated: false,
            no_body: BTreeSet::new(),
            refusals: BTreeMap::new(),
            refusal: "NO Internal error",
            vanishing: BTreeSet::new(),
            poison: BTreeSet::new(),
            logins: Vec::new(),
            open: 0,
            most_open: 0,
            idles: 0,
        }
    }
}
