//! From a server's address to a greeted, encrypted line.

use std::collections::HashSet;

use async_imap::imap_proto::{Capability, Response, Status};
use tokio::time::timeout;

use super::{
    ImapError, Settings, Step, reply,
    wire::{Budget, Wire},
};
use crate::{
    model::{Server, TlsMode},
    net::{Handshake, Net, Transport},
    transcript::{Protocol, Recorder, Tap},
};

/// A server that has greeted us over TLS; nobody is logged in.
#[derive(Debug)]
pub struct Greeted {
    pub(super) wire: Wire,
    pub(super) settings: Settings,
    pub(super) capabilities: Capabilities,
    handshake: Handshake,
}

/// What a server says it can do, in upper case.
pub(super) type Capabilities = HashSet<String>;

/// Dials, shakes hands, reads the greeting and the capabilities.
///
/// With [`TlsMode::StartTls`] TLS is mandatory: nothing that was said before it counts, and octets
/// that came with the answer to STARTTLS end the connection. What is said is kept by `recorder`, inside
/// TLS. Dropping the future hangs up.
///
/// # Errors
/// Any [`ImapError`] but those of a login.
pub async fn connect(
    net: &Net,
    server: &Server,
    settings: &Settings,
    recorder: &Recorder,
) -> Result<Greeted, ImapError> {
    let tap = recorder.begin(Protocol::Imap);
    greeted(net, server, settings, &tap)
        .await
        .inspect_err(|error| tap.note(&format!("could not connect: {error}")))
}

async fn greeted(
    net: &Net,
    server: &Server,
    settings: &Settings,
    tap: &Tap,
) -> Result<Greeted, ImapError> {
    let in_clear = |tcp| start_tls(Box::new(tap.over(tcp)), settings);
    let (tls, handshake) = net
        .encrypted(server, in_clear, |text| tap.note(text))
        .await?;
    let stream = Box::new(tap.over(tls));
    let greeted = match server.tls {
        TlsMode::Tls => Greeted::over(stream, settings).await?,
        // There is no second greeting.
        TlsMode::StartTls => Greeted::ask(Wire::new(stream), settings).await?,
    };
    Ok(Greeted {
        handshake,
        ..greeted
    })
}

impl Greeted {
    /// Over a stream that is safe already.
    pub(super) async fn over(
        stream: Box<dyn Transport>,
        settings: &Settings,
    ) -> Result<Self, ImapError> {
        let mut wire = Wire::new(stream);
        greeting(&mut wire, settings).await?;
        Self::ask(wire, settings).await
    }

    async fn ask(mut wire: Wire, settings: &Settings) -> Result<Self, ImapError> {
        let capabilities = capabilities(&mut wire, settings).await?;
        Ok(Self {
            wire,
            settings: *settings,
            capabilities,
            handshake: Handshake::default(),
        })
    }

    /// What the TLS handshake showed.
    pub fn handshake(&self) -> &Handshake {
        &self.handshake
    }
}

async fn greeting(wire: &mut Wire, settings: &Settings) -> Result<(), ImapError> {
    let during = Step::Greeting;
    let judge = |response: &Response<'_>| match response {
        Response::Data {
            status: Status::Ok, ..
        } => Ok(()),
        Response::Data {
            status: Status::Bye,
            outcome,
        } => {
            let reply::Words { code, text } = reply::words(outcome);
            Err(ImapError::Bye { during, code, text })
        }
        // Logged in as whom? Without TLS that would also skip STARTTLS.
        Response::Data {
            status: Status::PreAuth,
            ..
        } => Err(ImapError::Unsupported {
            during,
            what: "the server says that somebody is logged in already (PREAUTH)",
        }),
        _ => Err(ImapError::Nonsense {
            during,
            line: "no greeting".to_owned(),
        }),
    };
    match timeout(settings.greeting_timeout, wire.read(during, judge)).await {
        Ok(judged) => judged?,
        Err(_elapsed) => Err(ImapError::TimedOut { during }),
    }
}

/// Greeting and STARTTLS on a plain line; the bare stream, ready for the handshake.
pub(super) async fn start_tls(
    stream: Box<dyn Transport>,
    settings: &Settings,
) -> Result<Box<dyn Transport>, ImapError> {
    let during = Step::StartTls;
    let mut wire = Wire::new(stream);
    greeting(&mut wire, settings).await?;
    let budget = Budget::new(settings.command_timeout);
    match wire.exec(during, "STARTTLS", budget, |_| {}).await {
        Ok(_) => {}
        Err(ImapError::Refused { .. }) => {
            return Err(ImapError::Unsupported {
                during,
                what: "the server does not offer STARTTLS",
            });
        }
        Err(error) => return Err(error),
    }
    let guard = wire.into_guard();
    if !guard.is_drained() {
        return Err(ImapError::Nonsense {
            during,
            line: "octets behind the answer to STARTTLS".to_owned(),
        });
    }
    Ok(guard.into_inner())
}

/// Asks; what a server announces unasked is not believed.
pub(super) async fn capabilities(
    wire: &mut Wire,
    settings: &Settings,
) -> Result<Capabilities, ImapError> {
    let mut found = Capabilities::new();
    let budget = Budget::new(settings.command_timeout);
    let on = |response: &Response<'_>| {
        if let Response::Capabilities(list) = response {
            found = list
                .iter()
                .map(|capability| match capability {
                    Capability::Imap4rev1 => "IMAP4REV1".to_owned(),
                    Capability::Auth(name) => format!("AUTH={}", name.to_ascii_uppercase()),
                    Capability::Atom(name) => name.to_ascii_uppercase(),
                })
                .collect();
        }
    };
    wire.exec(Step::Capability, "CAPABILITY", budget, on)
        .await?;
    Ok(found)
}
