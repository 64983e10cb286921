//! A scripted daemon on a real Unix socket, and commands run against it.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};

use clap::Parser;
use serde_json::Value;

use crate::cli::args::Cli;
use crate::cli::run;
use crate::cli::terminal::{Person, Terminal};

/// A peer that answers each request by a script, and remembers what it was asked.
pub(super) struct Fake {
    pub(super) dir: tempfile::TempDir,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

/// `GET /path?query`, status, body. Each is used once, in any order.
pub(super) type Answer = (&'static str, u16, Vec<u8>);

pub(super) fn json_answer(request: &'static str, status: u16, body: Value) -> Answer {
    (request, status, body.to_string().into_bytes())
}

impl Fake {
    pub(super) fn start(mut answers: Vec<Answer>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("s")).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        // Ends with the test process; a connection that nobody opens has nothing to clean up.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let (request, body) = read_request(&stream);
                log.lock().unwrap().push((request.clone(), body));
                let place = answers.iter().position(|(wanted, _, _)| *wanted == request);
                let (status, body) = match place {
                    Some(place) => {
                        let (_, status, body) = answers.remove(place);
                        (status, body)
                    }
                    None => (
                        500,
                        format!("{{\"detail\":\"not in the script: {request}\"}}").into_bytes(),
                    ),
                };
                let head = format!(
                    "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                stream.write_all(head.as_bytes()).unwrap();
                stream.write_all(&body).unwrap();
            }
        });
        Self { dir, asked }
    }

    pub(super) fn socket(&self) -> String {
        self.dir.path().join("s").display().to_string()
    }

    pub(super) fn cli(&self, args: &[&str]) -> Ran {
        self.cli_with(args, "", false)
    }

    pub(super) fn cli_with(&self, args: &[&str], input: &str, person: bool) -> Ran {
        let socket = self.socket();
        let mut all = args.to_vec();
        all.extend(["--socket", &socket]);
        cli(&all, input, person)
    }

    /// With a person at the keyboard who types `input`.
    pub(super) fn cli_typed(&self, args: &[&str], input: &str) -> Ran {
        let socket = self.socket();
        let mut all = args.to_vec();
        all.extend(["--socket", &socket]);
        let person = Person {
            types: true,
            ..Person::default()
        };
        cli_as(&all, input, person)
    }

    pub(super) fn asked(&self) -> Vec<(String, Value)> {
        self.asked.lock().unwrap().clone()
    }
}

fn read_request(stream: &UnixStream) -> (String, Value) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let request = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        if header.trim_end().is_empty() {
            break;
        }
        if let Some(text) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = text.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (request, serde_json::from_slice(&body).unwrap_or_default())
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ran {
    pub(super) code: u8,
    pub(super) out: String,
    pub(super) err: String,
}

pub(super) fn cli(args: &[&str], input: &str, person: bool) -> Ran {
    let person = Person {
        reads: person,
        ..Person::default()
    };
    cli_as(args, input, person)
}

fn cli_as(args: &[&str], input: &str, person: Person) -> Ran {
    // No test depends on the settings of the machine that it runs on.
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty.env");
    std::fs::write(&empty, "").unwrap();
    let empty = empty.display().to_string();
    let files = if args.contains(&"--env-file") {
        Vec::new()
    } else {
        vec!["--env-file", &empty]
    };
    let words = ["motion-email"].iter().chain(args).copied().chain(files);
    let cli = Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{args:?}: {error}"));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = run(
        cli,
        &mut Terminal {
            out: &mut out,
            err: &mut err,
            input: &mut input.as_bytes(),
            person,
        },
    );
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran {
        code,
        out: text(out),
        err: text(err),
    }
}
