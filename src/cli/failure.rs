//! Why a command did not do its work, and the exit code that says so to scripts.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::show::{escaped, text_at};
use crate::config::Mistakes;

/// Exit codes, those of sysexits.h where it has one; documented in the help.
pub(super) const REFUSED: u8 = 1;
pub(super) const WARNINGS: u8 = 2;
pub(super) const USAGE: u8 = 64;
pub(super) const UNREACHABLE: u8 = 69;
pub(super) const LATER: u8 = 75;
pub(super) const SETTINGS: u8 = 78;

/// Why a command did not do its work.
#[derive(Debug)]
pub(super) enum Failure {
    /// The daemon answered with a problem document.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The document, or whatever came.
        problem: Value,
    },
    /// There is nothing that could be done; in a full sentence.
    Nothing(String),
    /// The command line is not right.
    Usage(String),
    /// Nobody answers on the socket.
    Unreachable {
        /// Where.
        socket: PathBuf,
        /// The system's reason.
        why: Option<io::ErrorKind>,
    },
    /// Not now.
    Later(String),
    /// The settings are not right.
    Settings(Mistakes),
    /// A file or the terminal.
    File {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// An examination found something; it has been printed.
    Unwell {
        /// Not only warnings.
        failed: bool,
    },
    /// Already printed: only the exit code of nobody answering is left to give.
    ToldUnreachable,
    /// The reader of our output went away (`| head`): not a failure.
    Closed,
}

impl Failure {
    /// The exit code.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Refused {
                status: 429 | 502..=504,
                ..
            } => LATER,
            Self::Refused { .. } | Self::Nothing(_) | Self::File { .. } => REFUSED,
            Self::Usage(_) => USAGE,
            Self::Unwell { failed: true } => REFUSED,
            Self::Unwell { failed: false } => WARNINGS,
            Self::Unreachable { .. } | Self::ToldUnreachable => UNREACHABLE,
            Self::Later(_) => LATER,
            Self::Settings(_) => SETTINGS,
            Self::Closed => 0,
        }
    }

    /// There is no daemon, as far as can be seen; where we only may not speak to it, there is one.
    pub(super) fn nobody_answers(&self) -> bool {
        matches!(self, Self::Unreachable { why, .. } if *why != Some(io::ErrorKind::PermissionDenied))
    }

    /// The same without words, which have been printed.
    pub(super) fn told(self) -> Self {
        match self {
            Self::Unreachable { .. } => Self::ToldUnreachable,
            other => other,
        }
    }

    /// What happened and what to do next, for standard error; one sentence a line.
    pub(super) fn words(&self) -> Vec<String> {
        match self {
            Self::Refused { status, problem } => refused(*status, problem),
            Self::Nothing(text) | Self::Usage(text) | Self::Later(text) => vec![escaped(text)],
            Self::Unreachable { socket, why } => unreachable(socket, *why),
            Self::Settings(mistakes) => mistakes.lines(),
            Self::File { path, source } => {
                vec![escaped(&format!("{}: {source}", path.display()))]
            }
            Self::Closed | Self::Unwell { .. } | Self::ToldUnreachable => Vec::new(),
        }
    }
}

fn refused(status: u16, problem: &Value) -> Vec<String> {
    let what = ["/detail", "/title"]
        .iter()
        .find_map(|path| text_at(problem, path))
        .unwrap_or_else(|| format!("The daemon answered {status} without saying why."));
    let code = text_at(problem, "/code").map_or_else(String::new, |code| format!(" ({code})"));
    let mut words = vec![escaped(&format!("{what}{code}"))];
    words.extend(text_at(problem, "/next").map(|next| escaped(&next)));
    words
}

fn unreachable(socket: &Path, why: Option<io::ErrorKind>) -> Vec<String> {
    let what = match why {
        Some(io::ErrorKind::NotFound) => "there is no such socket",
        Some(io::ErrorKind::PermissionDenied) => {
            return vec![
                format!("You may not speak to the daemon on {}.", socket.display()),
                "Run the command as root, or as a member of the socket's group (usually motion-email).".to_owned(),
            ];
        }
        Some(io::ErrorKind::ConnectionRefused) => "nobody listens there",
        _ => "the connection broke",
    };
    vec![
        format!("The daemon does not answer on {}: {what}.", socket.display()),
        "Is it running? systemctl status motion-email; another socket is given by --socket or --env-file.".to_owned(),
    ]
}

impl From<Mistakes> for Failure {
    fn from(mistakes: Mistakes) -> Self {
        Self::Settings(mistakes)
    }
}

/// Only writing our own output ends in a bare I/O error.
impl From<io::Error> for Failure {
    fn from(source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::BrokenPipe {
            Self::Closed
        } else {
            Self::File {
                path: PathBuf::from("standard output"),
                source,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_exit_code_and_says_what_to_do() {
        let refused = |status| Failure::Refused {
            status,
            problem: serde_json::json!({"detail": "No.\u{1b}", "code": "in_use", "next": "Do that."}),
        };
        let socket = PathBuf::from("/run/x.sock");
        for (failure, code, says) in [
            (refused(409), 1, "No.\\u{1b} (in_use)|Do that."),
            (refused(500), 1, "No.\\u{1b} (in_use)|Do that."),
            (refused(503), 75, "No.\\u{1b} (in_use)|Do that."),
            (refused(429), 75, "No.\\u{1b} (in_use)|Do that."),
            (Failure::Usage("No key.".to_owned()), 64, "No key."),
            (
                Failure::Unreachable {
                    socket: socket.clone(),
                    why: Some(io::ErrorKind::NotFound),
                },
                69,
                "The daemon does not answer on /run/x.sock: there is no such socket.|Is it running? systemctl status \
                 motion-email; another socket is given by --socket or --env-file.",
            ),
            (
                Failure::Unreachable {
                    socket,
                    why: Some(io::ErrorKind::PermissionDenied),
                },
                69,
                "You may not speak to the daemon on /run/x.sock.|Run the command as root, or as a member of the \
                 socket's group (usually motion-email).",
            ),
            (Failure::Closed, 0, ""),
        ] {
            assert_eq!(failure.code(), code, "{failure:?}");
            assert_eq!(failure.words().join("|"), says);
        }
        let bare = Failure::Refused {
            status: 418,
            problem: Value::Null,
        };
        assert_eq!(
            bare.words(),
            ["The daemon answered 418 without saying why."]
        );
    }
}
