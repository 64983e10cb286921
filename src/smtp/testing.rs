//! A scripted SMTP server: well-behaved but for what a test tells it.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream},
    sync::Notify,
    task::JoinSet,
};

use super::{Line, Settings, SmtpError};

/// What the server does instead of its usual answer.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Sends exactly these bytes and goes on.
    Say(&'static str),
    /// Sends exactly these bytes and hangs up.
    SayAndHangUp(&'static str),
    /// Hangs up.
    HangUp,
    /// Says nothing, ever.
    Nothing,
    /// Sends these bytes once it is told to.
    SayWhen(Arc<Notify>, &'static str),
}

/// Asked with each step: a command line, `(greeting)`, or `.` for the end of a body.
pub(crate) type Rules = Arc<dyn Fn(&str) -> Option<Act> + Send + Sync>;

/// What the server has got.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Every command line, without CRLF.
    pub(crate) commands: Vec<String>,
    /// Every body whose end came: unstuffed, and whether it was answered with 2yz.
    pub(crate) bodies: Vec<(Vec<u8>, bool)>,
    /// Connections so far.
    pub(crate) connections: usize,
}

/// The server, to be told and asked.
#[derive(Clone)]
pub(crate) struct Server {
    rules: Arc<Mutex<Rules>>,
    seen: Arc<Mutex<Seen>>,
    pub(crate) keywords: &'static str,
}

impl Server {
    pub(crate) fn new(rules: impl Fn(&str) -> Option<Act> + Send + Sync + 'static) -> Self {
        Self {
            rules: Arc::new(Mutex::new(Arc::new(rules))),
            seen: Arc::default(),
            keywords: "250-STARTTLS\r\n250-SIZE 10000000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 AUTH PLAIN LOGIN XOAUTH2\r\n",
        }
    }

    /// From now on other rules.
    pub(crate) fn obey(&self, rules: impl Fn(&str) -> Option<Act> + Send + Sync + 'static) {
        *self.rules.lock().unwrap() = Arc::new(rules);
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn delivered(&self) -> Vec<Vec<u8>> {
        let seen = self.seen();
        seen.bodies
            .into_iter()
            .filter_map(|(body, taken)| taken.then_some(body))
            .collect()
    }

    fn act(&self, step: &str) -> Option<Act> {
        let rules = self.rules.lock().unwrap().clone();
        rules(step)
    }

    /// Speaks over one connection until it ends. Broken pipes are what tests are made of.
    pub(crate) async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        self.seen.lock().unwrap().connections += 1;
        let _ = self.converse(BufReader::new(stream)).await;
    }

    async fn answer(
        &self,
        stream: &mut (impl AsyncWrite + Unpin),
        act: Option<Act>,
        usual: &str,
    ) -> std::io::Result<String> {
        let said = match act {
            None => usual,
            Some(Act::Say(said)) => said,
            Some(Act::SayAndHangUp(said)) => {
                stream.write_all(said.as_bytes()).await?;
                stream.shutdown().await?;
                return Err(std::io::ErrorKind::Other.into());
            }
            Some(Act::HangUp) => return Err(std::io::ErrorKind::Other.into()),
            Some(Act::Nothing) => return std::future::pending().await,
            Some(Act::SayWhen(told, said)) => {
                told.notified().await;
                said
            }
        };
        stream.write_all(said.as_bytes()).await?;
        stream.flush().await?;
        Ok(said.to_owned())
    }

    async fn converse(
        &self,
        mut stream: BufReader<impl AsyncRead + AsyncWrite + Unpin>,
    ) -> std::io::Result<()> {
        self.answer(&mut stream, self.act("(greeting)"), "220 ready\r\n")
            .await?;
        self.commands(stream).await
    }

    async fn commands(
        &self,
        mut stream: BufReader<impl AsyncRead + AsyncWrite + Unpin>,
    ) -> std::io::Result<()> {
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let command = line.trim_end_matches("\r\n").to_owned();
            self.seen.lock().unwrap().commands.push(command.clone());
            let verb = command.split(' ').next().unwrap().to_ascii_uppercase();
            let usual = match verb.as_str() {
                "EHLO" => format!("250-test\r\n{}", self.keywords),
                "AUTH" => "334 \r\n".to_owned(),
                "DATA" => "354 go on\r\n".to_owned(),
                "STARTTLS" => "220 go on\r\n".to_owned(),
                "QUIT" => "221 bye\r\n".to_owned(),
                "MAIL" | "RCPT" | "RSET" => "250 2.1.0 ok\r\n".to_owned(),
                _ => "235 2.7.0 welcome\r\n".to_owned(),
            };
            let said = self.answer(&mut stream, self.act(&command), &usual).await?;
            if verb == "DATA" && said.starts_with("354") {
                let mut body = Vec::new();
                loop {
                    let mut line = Vec::new();
                    if stream.read_until(b'\n', &mut line).await? == 0 {
                        return Ok(());
                    }
                    if line == b".\r\n" {
                        break;
                    }
                    body.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
                }
                self.seen.lock().unwrap().bodies.push((body, false));
                let act = self.act(".");
                let accepted = match &act {
                    None => true,
                    Some(Act::Say(said) | Act::SayAndHangUp(said) | Act::SayWhen(_, said)) => {
                        said.starts_with('2')
                    }
                    Some(Act::HangUp | Act::Nothing) => false,
                };
                self.seen.lock().unwrap().bodies.last_mut().unwrap().1 = accepted;
                self.answer(&mut stream, act, "250 2.0.0 queued\r\n")
                    .await?;
            }
        }
    }

    /// Speaks clear text until STARTTLS was answered; gives the stream back for TLS.
    pub(crate) async fn serve_start_tls<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut stream: S,
    ) -> Option<S> {
        stream.write_all(b"220 ready\r\n").await.ok()?;
        let ehlo = format!("250-test\r\n{}", self.keywords);
        for (verb, said) in [("EHLO", ehlo.as_str()), ("STARTTLS", "220 go on\r\n")] {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                let byte = tokio::io::AsyncReadExt::read_u8(&mut stream).await.ok()?;
                line.push(byte);
            }
            assert!(line.starts_with(verb.as_bytes()), "{line:?}");
            stream.write_all(said.as_bytes()).await.ok()?;
        }
        Some(stream)
    }

    /// Commands after STARTTLS: EHLO first, no greeting.
    pub(crate) async fn serve_in_tls(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        self.seen.lock().unwrap().connections += 1;
        let _ = self.commands(BufReader::new(stream)).await;
    }

    /// A connection to it in memory; the server runs in `tasks`.
    pub(crate) fn pipe(&self, tasks: &mut JoinSet<()>) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let server = self.clone();
        tasks.spawn(async move { server.serve(theirs).await });
        ours
    }

    /// An open line over such a connection.
    pub(crate) async fn line(&self, tasks: &mut JoinSet<()>) -> Result<Line, SmtpError> {
        super::connect::over_tls(self.pipe(tasks), &Settings::default()).await
    }
}
