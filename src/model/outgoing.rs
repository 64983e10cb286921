//! Outgoing mail: who gets it, and where each copy stands.

/// Which header a recipient came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecipientKind {
    /// To.
    To,
    /// Cc.
    Cc,
    /// Bcc: in the envelope only.
    Bcc,
}

impl RecipientKind {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::To => "to",
            Self::Cc => "cc",
            Self::Bcc => "bcc",
        }
    }

    /// From the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::To, Self::Cc, Self::Bcc]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// Where one recipient's copy stands. The closed list of legal states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecipientState {
    /// Waits for its first try.
    Queued,
    /// An attempt was recorded; no final dot was announced, so nothing can have been accepted (I2).
    Claimed,
    /// "About to send the final dot" is committed; the server's answer is not.
    DotPending,
    /// Refused for now, or the line broke before the dot: waits for its next try.
    Deferred,
    /// The server took responsibility.
    Sent,
    /// Refused for good.
    Failed,
    /// Still refused when its time was over.
    Expired,
    /// The dot may have been sent and no answer is known; evidence or a person decides.
    InDoubt,
    /// Set aside by a person.
    Held,
    /// Called off by a person.
    Cancelled,
    /// The server took it, and a report that matches it says that it was not delivered after all.
    Bounced,
}

impl RecipientState {
    const ALL: [Self; 11] = [
        Self::Queued,
        Self::Claimed,
        Self::DotPending,
        Self::Deferred,
        Self::Sent,
        Self::Failed,
        Self::Expired,
        Self::InDoubt,
        Self::Held,
        Self::Cancelled,
        Self::Bounced,
    ];

    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Claimed => "claimed",
            Self::DotPending => "dot_pending",
            Self::Deferred => "deferred",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::InDoubt => "in_doubt",
            Self::Held => "held",
            Self::Cancelled => "cancelled",
            Self::Bounced => "bounced",
        }
    }

    /// From the stored word; `None` is a corrupt row.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// No later step changes it by itself; only a report changes `Sent` into `Bounced`.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Sent | Self::Failed | Self::Expired | Self::Cancelled | Self::Bounced
        )
    }
}
