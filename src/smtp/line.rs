//! One open line to a server: the steps of a mail transaction.

use std::{io, str::FromStr, time::Duration};

use lettre::{
    Address,
    transport::smtp::{
        client::AsyncSmtpConnection,
        commands::{Data, Mail, Rcpt},
        extension::{MailBodyParameter, MailParameter},
    },
};
use tokio::time::timeout;

use super::{
    Reply, Settings,
    error::{SmtpError, Verb},
    keywords::Keywords,
    stuffing::Stuffer,
    wire::{Octets, Shared, Unasked},
};
use crate::{model::EmailAddress, net::Handshake};

/// The body goes out in pieces of this size, each with its own time.
const PIECE: usize = 16 * 1024;

/// What MAIL FROM has to announce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MailOptions {
    /// Octets of the message as frozen.
    pub size: u64,
    /// The body has octets above 127.
    pub eight_bit: bool,
    /// The headers have octets above 127.
    pub utf8_headers: bool,
    /// At least one recipient's local part is not ASCII.
    pub utf8_recipients: bool,
}

impl MailOptions {
    /// What a message and its recipients need.
    pub fn new<'a>(raw: &[u8], recipients: impl IntoIterator<Item = &'a EmailAddress>) -> Self {
        let body = raw
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .unwrap_or(raw.len());
        let (headers, body) = raw.split_at(body);
        Self {
            size: raw.len() as u64,
            eight_bit: !body.is_ascii(),
            utf8_headers: !headers.is_ascii(),
            utf8_recipients: recipients.into_iter().any(|to| !for_wire(to).1),
        }
    }
}

enum Mode {
    /// Between commands.
    Commands,
    /// After the go-ahead for DATA, before the dot.
    Body(Stuffer),
    /// A step is under way, was cut short, or ended badly: nothing can be trusted any more.
    Dead,
}

/// An open line. After anything but a clean reply, and after a cancelled call, it is dead: every later
/// call fails at once with [`SmtpError::Broken`]. Dropping it closes the connection without a dot.
pub struct Line {
    connection: AsyncSmtpConnection,
    wire: Shared,
    keywords: Keywords,
    settings: Settings,
    mode: Mode,
    handshake: Handshake,
}

impl Line {
    pub(super) fn new(
        connection: AsyncSmtpConnection,
        wire: Shared,
        keywords: Keywords,
        settings: Settings,
    ) -> Self {
        Self {
            connection,
            wire,
            keywords,
            settings,
            mode: Mode::Commands,
            handshake: Handshake::default(),
        }
    }

    pub(super) fn after(self, handshake: Handshake) -> Self {
        Self { handshake, ..self }
    }

    /// What the TLS handshake showed.
    pub fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    pub(super) fn keywords(&self) -> &Keywords {
        &self.keywords
    }

    /// The next message can be begun.
    pub fn is_usable(&self) -> bool {
        matches!(self.mode, Mode::Commands)
    }

    /// Octets so far, inside TLS.
    pub fn octets(&self) -> Octets {
        self.wire.octets()
    }

    /// MAIL FROM, with what the server offers of what the message needs.
    ///
    /// # Errors
    /// [`SmtpError::NotOffered`] where the message cannot be sent without an extension (nothing was
    /// said to the server then), a refusal, or a broken line.
    pub async fn mail(
        &mut self,
        from: &EmailAddress,
        options: &MailOptions,
    ) -> Result<Reply, SmtpError> {
        let during = Verb::Mail;
        let needs = |what| SmtpError::NotOffered { during, what };
        let (address, ascii) = for_wire(from);
        let mut parameters = Vec::new();
        if self.keywords.size {
            let size = usize::try_from(options.size).unwrap_or(usize::MAX);
            parameters.push(MailParameter::Size(size));
        }
        if options.eight_bit || options.utf8_headers {
            if !self.keywords.eight_bit {
                return Err(needs("8BITMIME"));
            }
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        if options.utf8_headers || !ascii || options.utf8_recipients {
            if self.keywords.utf8 {
                parameters.push(MailParameter::SmtpUtfEight);
            } else if options.utf8_headers || !ascii {
                return Err(needs("SMTPUTF8"));
            }
            // Recipients that need it are refused one by one, in `rcpt`.
        }
        let address = address.ok_or_else(|| needs("SMTPUTF8"))?;
        let command = Mail::new(Some(address), parameters).to_string();
        let reply = self.command(during, &command).await?;
        self.success(during, reply)
    }

    /// RCPT TO. A refusal is this recipient's own, and the line goes on.
    ///
    /// # Errors
    /// As [`Line::mail`].
    pub async fn rcpt(&mut self, to: &EmailAddress) -> Result<Reply, SmtpError> {
        let during = Verb::Rcpt;
        let (address, ascii) = for_wire(to);
        let address = match address {
            Some(address) if ascii || self.keywords.utf8 => address,
            _ => {
                return Err(SmtpError::NotOffered {
                    during,
                    what: "SMTPUTF8",
                });
            }
        };
        let command = Rcpt::new(address, Vec::new()).to_string();
        let reply = self.command(during, &command).await?;
        self.success(during, reply)
    }

    /// DATA. Only 354 lets the body begin.
    ///
    /// # Errors
    /// A refusal, any other reply (the line is dead then), or a broken line.
    pub async fn data(&mut self) -> Result<(), SmtpError> {
        let during = Verb::Data;
        let limit = self.settings.data;
        let reply = self.exchange(during, &Data.to_string(), limit).await?;
        match reply.code {
            354 => {
                self.mode = Mode::Body(Stuffer::default());
                Ok(())
            }
            400.. => Err(SmtpError::Refused { during, reply }),
            _ => Err(self.nonsense(during, &reply)),
        }
    }

    /// A part of the message, dot-stuffed on the way, without the terminator; as many calls as it takes.
    ///
    /// # Errors
    /// [`SmtpError::BadBody`] on a bare CR or LF, or a broken line; both leave the line dead. If the
    /// server said why before it hung up, that is the error.
    pub async fn body(&mut self, part: &[u8]) -> Result<(), SmtpError> {
        let Mode::Body(mut stuffer) = std::mem::replace(&mut self.mode, Mode::Dead) else {
            return Err(dead(Verb::Body));
        };
        let limit = self.settings.chunk;
        let mut out = Vec::with_capacity(PIECE + PIECE / 8);
        for piece in part.chunks(PIECE) {
            out.clear();
            stuffer.push(piece, &mut out)?;
            match timeout(limit, self.wire.write(&out)).await {
                Ok(Ok(())) => {}
                Ok(Err(source)) => {
                    return Err(self.why_it_hung_up(source).await);
                }
                Err(_) => {
                    return Err(SmtpError::TimedOut {
                        during: Verb::Body,
                        limit,
                    });
                }
            }
        }
        self.mode = Mode::Body(stuffer);
        Ok(())
    }

    /// Looks whether the server has stayed silent, as it must until the dot. Errors as [`Line::dot`]
    /// before the dot: none of them means that the outcome is unknown.
    async fn silent_before_dot(&mut self) -> Result<(), SmtpError> {
        let during = Verb::Body;
        match std::mem::replace(&mut self.mode, Mode::Dead) {
            Mode::Body(stuffer) => stuffer.finish()?,
            Mode::Commands | Mode::Dead => return Err(dead(during)),
        }
        self.quiet(during).await
    }

    /// The final dot, and the server's word on the message. Never cancel it once the message matters:
    /// a cancelled call is an unknown outcome.
    ///
    /// # Errors
    /// Before the first octet of the dot: the body is not finished, or the server has spoken out of
    /// turn (the message is not sent). [`SmtpError::Refused`]: the server did not take it. Anything
    /// else: see [`SmtpError::outcome_is_unknown`].
    pub async fn dot(&mut self) -> Result<Reply, SmtpError> {
        self.silent_before_dot().await?;
        let during = Verb::Dot;
        let reply = self.drive(during, ".\r\n", self.settings.dot).await?;
        // A second reply in the same breath: then nobody knows which of them answers the dot.
        match self.wire.unasked().await {
            Unasked::Quiet => {}
            Unasked::Reply(goodbye) if goodbye.code == 421 => self.mode = Mode::Dead,
            // It hung up after its answer: the answer stands.
            Unasked::Fault(super::wire::Fault::Io(_)) => self.mode = Mode::Dead,
            Unasked::Reply(other) => return Err(self.nonsense(during, &other)),
            Unasked::Fault(fault) => {
                self.mode = Mode::Dead;
                return Err(fault.during(during));
            }
        }
        self.success(during, reply)
    }

    /// RSET: forgets a transaction that was begun.
    ///
    /// # Errors
    /// A refusal or a broken line; drop the line then.
    pub async fn rset(&mut self) -> Result<(), SmtpError> {
        let reply = self.command(Verb::Rset, "RSET\r\n").await?;
        self.success(Verb::Rset, reply).map(|_| ())
    }

    /// Says goodbye, where that is possible, and closes the line; waits at most five seconds.
    pub async fn quit(mut self) {
        if self.is_usable() {
            // A server that says nothing to QUIT is left without one.
            let _ = self
                .exchange(Verb::Quit, "QUIT\r\n", Duration::from_secs(5))
                .await;
        }
    }

    /// A command with the ordinary time.
    pub(super) async fn command(&mut self, during: Verb, text: &str) -> Result<Reply, SmtpError> {
        self.exchange(during, text, self.settings.command).await
    }

    /// Asks and reads the reply, whatever it is; first makes sure that the reply can only be to this.
    async fn exchange(
        &mut self,
        during: Verb,
        text: &str,
        limit: Duration,
    ) -> Result<Reply, SmtpError> {
        if !self.is_usable() {
            self.mode = Mode::Dead;
            return Err(dead(during));
        }
        self.mode = Mode::Dead;
        self.quiet(during).await?;
        self.drive(during, text, limit).await
    }

    /// Lets lettre write the command and read the reply.
    async fn drive(
        &mut self,
        during: Verb,
        text: &str,
        limit: Duration,
    ) -> Result<Reply, SmtpError> {
        self.mode = Mode::Dead;
        self.wire.begin();
        let driven = timeout(limit, self.connection.command(text))
            .await
            .map_err(|_| SmtpError::TimedOut { during, limit })?;
        let reply = match self.wire.outcome() {
            Ok(Some(reply)) => reply,
            Ok(None) => {
                return Err(SmtpError::Nonsense {
                    during,
                    line: String::new(),
                });
            }
            Err(fault) => return Err(fault.during(during)),
        };
        // lettre read the same reply; it must agree on what it was.
        let code = match &driven {
            Ok(response) => Some(u16::from(response.code())),
            Err(error) => error.status().map(u16::from),
        };
        if code != Some(reply.code) {
            return Err(self.nonsense(during, &reply));
        }
        // RFC 5321 §3.8: after 421 the server closes the line.
        if reply.code != 421 {
            self.mode = Mode::Commands;
        }
        Ok(reply)
    }

    /// Nothing may have come that was not asked for.
    async fn quiet(&mut self, during: Verb) -> Result<(), SmtpError> {
        match self.wire.unasked().await {
            Unasked::Quiet => Ok(()),
            Unasked::Reply(reply) if reply.code == 421 => Err(SmtpError::Refused { during, reply }),
            Unasked::Reply(reply) => Err(self.nonsense(during, &reply)),
            Unasked::Fault(fault) => Err(fault.during(during)),
        }
    }

    /// The write failed; perhaps the server has said why before it closed the line.
    async fn why_it_hung_up(&mut self, source: io::Error) -> SmtpError {
        let during = Verb::Body;
        match self.wire.unasked().await {
            Unasked::Reply(reply) if reply.is_transient() || reply.is_permanent() => {
                SmtpError::Refused { during, reply }
            }
            _ => SmtpError::Broken { during, source },
        }
    }

    fn success(&mut self, during: Verb, reply: Reply) -> Result<Reply, SmtpError> {
        if reply.is_success() {
            Ok(reply)
        } else if reply.is_transient() || reply.is_permanent() {
            Err(SmtpError::Refused { during, reply })
        } else {
            Err(self.nonsense(during, &reply))
        }
    }

    /// A reply that is no answer to this step: the line is dead.
    pub(super) fn nonsense(&mut self, during: Verb, reply: &Reply) -> SmtpError {
        self.mode = Mode::Dead;
        SmtpError::Nonsense {
            during,
            line: reply.to_string().chars().take(200).collect(),
        }
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line")
            .field("usable", &self.is_usable())
            .field("octets", &self.octets())
            .finish_non_exhaustive()
    }
}

fn dead(during: Verb) -> SmtpError {
    SmtpError::Broken {
        during,
        source: io::Error::new(
            io::ErrorKind::NotConnected,
            "an earlier step ended this line",
        ),
    }
}

/// The address as the protocol has it: a domain of other scripts in its ASCII form (RFC 5891). The
/// second value: it is ASCII, so the server needs no SMTPUTF8 for it.
fn for_wire(address: &EmailAddress) -> (Option<Address>, bool) {
    let text = address.as_str();
    let ascii_domain = match text.rsplit_once('@') {
        Some((local, domain)) if !domain.is_ascii() => match url::Host::parse(domain) {
            Ok(url::Host::Domain(domain)) => format!("{local}@{domain}"),
            Ok(_) | Err(_) => text.to_owned(),
        },
        _ => text.to_owned(),
    };
    let ascii = ascii_domain.is_ascii();
    (Address::from_str(&ascii_domain).ok(), ascii)
}
