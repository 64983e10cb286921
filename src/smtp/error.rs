//! Why a step of the conversation did not succeed.

use std::{fmt, io, time::Duration};

use super::{
    Reply,
    classify::{self, Concern},
    stuffing::BareLineEnd,
};
use crate::{model::FailureClass, net::DialError};

/// The step that was being taken. It answers the one question that matters after a broken line: can
/// the server have the whole message?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Waiting for the server's first reply.
    Greeting,
    /// EHLO.
    Ehlo,
    /// STARTTLS.
    StartTls,
    /// AUTH, any of its steps.
    Auth,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Rcpt,
    /// DATA, up to the server's go-ahead.
    Data,
    /// The message itself, up to but without the final dot.
    Body,
    /// From the first octet of the final dot on.
    Dot,
    /// RSET.
    Rset,
    /// QUIT.
    Quit,
}

impl Verb {
    /// As in the protocol, for log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Greeting => "the greeting",
            Self::Ehlo => "EHLO",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Mail => "MAIL FROM",
            Self::Rcpt => "RCPT TO",
            Self::Data => "DATA",
            Self::Body => "the message body",
            Self::Dot => "the final dot",
            Self::Rset => "RSET",
            Self::Quit => "QUIT",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A step failed. Holds the server's own words where it had any; never a credential.
#[derive(Debug, thiserror::Error)]
pub enum SmtpError {
    /// The server was not reached, or TLS was not.
    #[error("cannot reach the outgoing server")]
    Dial(#[from] DialError),
    /// The server said no (4yz or 5yz).
    #[error("the server refused {during}: {reply}")]
    Refused {
        /// Which step.
        during: Verb,
        /// What it said.
        reply: Reply,
    },
    /// The server refused the credentials for good (5yz).
    #[error("the server refused the login: {reply}")]
    AuthenticationRefused {
        /// What it said in the end.
        reply: Reply,
        /// What its XOAUTH2 challenge said before, decoded; at most 3 KiB, without control characters.
        challenge_json: Option<String>,
    },
    /// The server offers no way to log in with what the account has.
    #[error("the server does not offer AUTH {wanted}, only: {offered}")]
    AuthenticationNotOffered {
        /// What the account needs.
        wanted: &'static str,
        /// What the server named, space-separated; empty: nothing.
        offered: String,
    },
    /// A user name or secret that no mechanism can carry.
    #[error("the {0} holds control characters or is empty")]
    UnusableCredential(&'static str),
    /// STARTTLS is configured and the server does not offer it. Nothing was sent in clear text.
    #[error("the server does not offer STARTTLS")]
    StartTlsMissing,
    /// Clear text arrived behind the answer to STARTTLS: somebody may be injecting commands.
    #[error("clear text came behind the answer to STARTTLS")]
    Injected,
    /// The message or an address needs an extension that the server does not have.
    #[error("the server does not offer {what}, which {during} needs")]
    NotOffered {
        /// Where it would be needed.
        during: Verb,
        /// The extension's keyword.
        what: &'static str,
    },
    /// The frozen bytes are not clean CRLF lines: a bug, and never sent.
    #[error("the message cannot be sent as it is")]
    BadBody(#[from] BareLineEnd),
    /// The connection broke, or was dead already.
    #[error("the connection broke during {during}")]
    Broken {
        /// Which step.
        during: Verb,
        /// How.
        #[source]
        source: io::Error,
    },
    /// The time of this step was over.
    #[error("{during} took longer than {limit:?}")]
    TimedOut {
        /// Which step.
        during: Verb,
        /// How long it may take.
        limit: Duration,
    },
    /// The server said something that is no answer to this step.
    #[error("the server answered {during} with nonsense: {line:?}")]
    Nonsense {
        /// Which step.
        during: Verb,
        /// The beginning of it, without control characters.
        line: String,
    },
    /// The server sent more than is allowed (I10).
    #[error("the server's answer to {during} is too large: {what}")]
    Limit {
        /// Which step.
        during: Verb,
        /// Which bound.
        what: &'static str,
    },
}

impl SmtpError {
    /// The step, where the error belongs to one.
    pub fn during(&self) -> Option<Verb> {
        match self {
            Self::Refused { during, .. }
            | Self::NotOffered { during, .. }
            | Self::Broken { during, .. }
            | Self::TimedOut { during, .. }
            | Self::Nonsense { during, .. }
            | Self::Limit { during, .. } => Some(*during),
            Self::AuthenticationRefused { .. }
            | Self::AuthenticationNotOffered { .. }
            | Self::UnusableCredential(_) => Some(Verb::Auth),
            Self::StartTlsMissing | Self::Injected => Some(Verb::StartTls),
            Self::BadBody(_) => Some(Verb::Body),
            Self::Dial(_) => None,
        }
    }

    /// The server's own reply, if it gave one.
    pub fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Refused { reply, .. } | Self::AuthenticationRefused { reply, .. } => Some(reply),
            _ => None,
        }
    }

    /// The dot may have reached the server and no trustworthy answer came: the message may or may not
    /// have been accepted. Never send it again on this knowledge alone (I2).
    pub fn outcome_is_unknown(&self) -> bool {
        match self {
            Self::Broken { during, .. }
            | Self::TimedOut { during, .. }
            | Self::Nonsense { during, .. }
            | Self::Limit { during, .. } => *during == Verb::Dot,
            Self::Refused { .. }
            | Self::Dial(_)
            | Self::AuthenticationRefused { .. }
            | Self::AuthenticationNotOffered { .. }
            | Self::UnusableCredential(_)
            | Self::StartTlsMissing
            | Self::Injected
            | Self::NotOffered { .. }
            | Self::BadBody(_) => false,
        }
    }

    /// A server refused the access token it was shown, for whatever lasting reason: a fresh one may help.
    pub fn is_token_refused(&self) -> bool {
        matches!(self, Self::AuthenticationRefused { .. })
            && self.class() == FailureClass::OperatorMustAct
    }

    /// Who acts next.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Dial(error) => error.class(),
            Self::Refused { during, reply } => classify::refusal(*during, reply).1,
            Self::AuthenticationRefused { reply, .. } => classify::login(reply),
            Self::AuthenticationNotOffered { .. }
            | Self::UnusableCredential(_)
            | Self::StartTlsMissing
            | Self::Injected => FailureClass::OperatorMustAct,
            Self::NotOffered { .. } | Self::BadBody(_) => FailureClass::GiveUp,
            Self::Broken { .. }
            | Self::TimedOut { .. }
            | Self::Nonsense { .. }
            | Self::Limit { .. } => FailureClass::RetryLater,
        }
    }

    /// Whose trouble it is: only a recipient's or a message's counts against the message (I7).
    pub fn concern(&self) -> Concern {
        match self {
            Self::Refused { during, reply } => classify::refusal(*during, reply).0,
            Self::Dial(_)
            | Self::AuthenticationRefused { .. }
            | Self::AuthenticationNotOffered { .. }
            | Self::UnusableCredential(_)
            | Self::StartTlsMissing
            | Self::Injected => Concern::Account,
            Self::NotOffered { during, .. } if *during == Verb::Rcpt => Concern::Recipient,
            Self::NotOffered { .. } | Self::BadBody(_) => Concern::Message,
            Self::Broken { during, .. }
            | Self::TimedOut { during, .. }
            | Self::Nonsense { during, .. }
            | Self::Limit { during, .. } => classify::of_step(*during),
        }
    }
}
