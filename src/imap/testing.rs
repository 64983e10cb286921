//! A scripted IMAP server: says `S:` lines, expects `C:` lines, over an in-memory pipe or a socket.

use tokio::{
    io::{
        AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader,
        DuplexStream,
    },
    task::JoinSet,
};

use super::{Greeted, ImapError, Login, Secret, Session, Settings};

/// The peer's task; [`Peer::finish`] tells whether the script was played to its end.
pub(crate) struct Peer(JoinSet<()>);

impl Peer {
    pub(crate) async fn finish(mut self) {
        while let Some(ended) = self.0.join_next().await {
            if let Err(error) = ended {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }
}

/// Plays `script` against one end of a pipe and returns the other.
pub(crate) fn pipe(script: &str) -> (DuplexStream, Peer) {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let mut tasks = JoinSet::new();
    let script = script.to_owned();
    tasks.spawn(async move { play(theirs, &script).await });
    (ours, Peer(tasks))
}

/// `S: text` says a line, `R: text` says raw text (`\r\n` and `\xNN` escaped), `C: text` expects a
/// line, `X` hangs up. At its end the script waits for the client to hang up.
pub(crate) async fn play<S: AsyncRead + AsyncWrite>(stream: S, script: &str) {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reader = BufReader::new(reader);
    for line in script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let (kind, text) = line.split_once(": ").unwrap_or((line, ""));
        match kind.trim_end_matches(':') {
            "S" => {
                let _ = writer.write_all(format!("{text}\r\n").as_bytes()).await;
            }
            "R" => {
                let _ = writer.write_all(&unescape(text)).await;
            }
            "C" => {
                let mut said = String::new();
                reader.read_line(&mut said).await.unwrap();
                assert_eq!(said.trim_end_matches(['\r', '\n']), text, "the client said");
            }
            "X" => {
                let _ = writer.shutdown().await;
                return;
            }
            other => panic!("no such kind of script line: {other}"),
        }
    }
    let mut rest = Vec::new();
    let _ = reader.read_to_end(&mut rest).await;
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        match (first, tail) {
            (b'\\', [b'r', tail @ ..]) => {
                out.push(b'\r');
                rest = tail;
            }
            (b'\\', [b'n', tail @ ..]) => {
                out.push(b'\n');
                rest = tail;
            }
            (b'\\', [b'x', high, low, tail @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).unwrap();
                out.push(u8::from_str_radix(digits, 16).unwrap());
                rest = tail;
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

/// What every script begins with where the login itself is not the matter.
pub(crate) const LOGGED_IN: &str = "
    S: * OK ready
    C: M1 CAPABILITY
    S: * CAPABILITY IMAP4rev1 IDLE
    S: M1 OK done
    C: M2 LOGIN \"anna\" \"secret\"
    S: M2 OK done
    C: M3 CAPABILITY
    S: * CAPABILITY IMAP4rev1 IDLE UIDPLUS
    S: M3 OK done
";

/// Greets over a pipe that plays `script`.
pub(crate) async fn greeted(script: &str) -> (Result<Greeted, ImapError>, Peer) {
    let (stream, peer) = pipe(script);
    let greeted = Greeted::over(Box::new(stream), &Settings::default()).await;
    (greeted, peer)
}

/// Logs in by password over a pipe that plays [`LOGGED_IN`] and then `script`.
pub(crate) async fn session(script: &str) -> (Session, Peer) {
    let (greeted, peer) = greeted(&format!("{LOGGED_IN}{script}")).await;
    let password = secrecy::SecretString::from("secret");
    let login = Login {
        user: "anna",
        secret: Secret::Password(&password),
    };
    (greeted.unwrap().login(&login).await.unwrap(), peer)
}

/// What a literal refusal (`A1 NO …`, `A1 BAD …`) or `* BYE …` means, by way of the parser: to test decisions with.
pub(crate) fn refusal(during: super::Step, line: &str) -> ImapError {
    use async_imap::imap_proto::{Response, Status};
    let wire = format!("{line}\r\n");
    let (_, response) = Response::parse(wire.as_bytes()).expect(line);
    let words = |outcome| {
        let words = super::reply::words(outcome);
        (words.code, words.text)
    };
    match &response {
        Response::Done { outcome, .. } if during == super::Step::Login => {
            let (code, text) = words(outcome);
            ImapError::AuthenticationRefused {
                challenge_json: None,
                code,
                text,
            }
        }
        Response::Done { outcome, .. } => {
            let (code, text) = words(outcome);
            ImapError::Refused { during, code, text }
        }
        Response::Data {
            status: Status::Bye,
            outcome,
        } => {
            let (code, text) = words(outcome);
            ImapError::Bye { during, code, text }
        }
        other => panic!("{line}: {other:?}"),
    }
}
