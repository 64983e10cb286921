//! Why something that could be done is not done yet.

/// What stands in the way of a connection, learnt by whoever met it and kept by all whom it speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HoldKind {
    /// A server asked for a rest of everything that comes from this machine.
    Host,
    /// A server gives nobody an answer: it is tried by one account at a time.
    HostSilent,
    /// A server asked for a rest of a whole tenant.
    Tenant,
    /// A server asked for a rest of one login's work by one protocol.
    Login,
    /// A server asked for a rest of everything that concerns one mailbox.
    Mailbox,
    /// All connections that one login may have are in use.
    Full,
}

impl HoldKind {
    /// The shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::HostSilent => "host_silent",
            Self::Tenant => "tenant",
            Self::Login => "login",
            Self::Mailbox => "mailbox",
            Self::Full => "full",
        }
    }
}
