//! Standard input, output and error, and secrets that come in by them: never by the command line, which everybody sees.

use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::Path;

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use secrecy::SecretString;

use super::failure::Failure;

/// The largest secret, and the largest body of a mail, that is read.
const MAX_SECRET: u64 = 64 << 10;
const MAX_BODY: u64 = 50 << 20;

/// Where a command reads and writes; tests put their own in.
pub(super) struct Terminal<'a> {
    /// Answers.
    pub(super) out: &'a mut dyn Write,
    /// Progress and what went wrong.
    pub(super) err: &'a mut dyn Write,
    /// What is piped in.
    pub(super) input: &'a mut dyn BufRead,
    /// Whether a person is at the other end of `input`, `out` and `err`.
    pub(super) person: Person,
}

/// Which of the three a person sees.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Person {
    pub(super) types: bool,
    pub(super) reads: bool,
    pub(super) follows: bool,
}

impl Person {
    /// Of this process.
    pub(super) fn of_process() -> Self {
        Self {
            types: io::stdin().is_terminal(),
            reads: io::stdout().is_terminal(),
            follows: io::stderr().is_terminal(),
        }
    }
}

impl Terminal<'_> {
    /// A secret from a file, from standard input (`-`), or typed by a person; without the line's end.
    pub(super) fn secret(
        &mut self,
        file: Option<&Path>,
        what: &str,
        flag: &str,
    ) -> Result<SecretString, Failure> {
        let text = match file {
            Some(path) if path == Path::new("-") => {
                limited("standard input", &mut *self.input, MAX_SECRET)?
            }
            Some(path) => open(path, MAX_SECRET)?,
            None if self.person.types => self.ask(what)?,
            None => {
                return Err(Failure::Usage(format!(
                    "The {what} is missing: give {flag} FILE, or {flag} - to read it from standard input."
                )));
            }
        };
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            return Err(Failure::Usage(format!("The {what} is empty.")));
        }
        Ok(text.into())
    }

    /// A mail's text or HTML, from a file or from standard input.
    pub(super) fn body(&mut self, file: &Path) -> Result<String, Failure> {
        if file != Path::new("-") {
            return open(file, MAX_BODY);
        }
        if self.person.types {
            writeln!(
                self.err,
                "Type the text; Ctrl-D on a line of its own ends it."
            )?;
        }
        limited("standard input", &mut *self.input, MAX_BODY)
    }

    /// A line that a person types and sees.
    pub(super) fn line(&mut self, what: &str) -> Result<String, Failure> {
        write!(self.err, "{what}: ")?;
        self.err.flush()?;
        self.read_line()
    }

    /// One long line that a person pastes, or that is piped in; not shown, and of any length up to 64 KiB
    /// (a terminal that edits lines by itself cuts them at 4096 bytes, and sign-in codes are longer).
    pub(super) fn pasted(&mut self, what: &str) -> Result<SecretString, Failure> {
        write!(self.err, "{what}: ")?;
        self.err.flush()?;
        let hidden = Hidden::begin(true);
        let text = self.read_line();
        drop(hidden);
        writeln!(self.err)?;
        let text = text?;
        let text = text.trim();
        if text.is_empty() {
            return Err(Failure::Usage("Nothing was pasted.".to_owned()));
        }
        Ok(text.into())
    }

    /// A small file as it is.
    pub(super) fn file(&mut self, file: &Path) -> Result<String, Failure> {
        open(file, MAX_SECRET)
    }

    fn ask(&mut self, what: &str) -> Result<String, Failure> {
        write!(self.err, "{what}: ")?;
        self.err.flush()?;
        let hidden = Hidden::begin(false);
        let text = self.read_line();
        drop(hidden);
        writeln!(self.err)?;
        text
    }

    fn read_line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        let read = (&mut *self.input).take(MAX_SECRET).read_line(&mut line);
        read.map(|_| line).map_err(unreadable("standard input"))
    }
}

fn open(path: &Path, most: u64) -> Result<String, Failure> {
    let name = path.display().to_string();
    let mut file = File::open(path).map_err(unreadable(&name))?;
    limited(&name, &mut file, most)
}

fn limited(name: &str, from: &mut dyn Read, most: u64) -> Result<String, Failure> {
    let mut text = String::new();
    let read = from.take(most + 1).read_to_string(&mut text);
    read.map_err(unreadable(name))?;
    if text.len() as u64 > most {
        return Err(Failure::Usage(format!(
            "{name} has more than {most} bytes."
        )));
    }
    Ok(text)
}

fn unreadable(name: &str) -> impl FnOnce(io::Error) -> Failure {
    let path = name.into();
    move |source| Failure::File { path, source }
}

/// The terminal does not show what is typed while this lives.
struct Hidden(Option<Termios>);

impl Hidden {
    /// `whole`: the terminal hands every byte over as it comes and edits nothing.
    fn begin(whole: bool) -> Self {
        let before = tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut silent = before.clone();
            silent.local_modes.remove(LocalModes::ECHO);
            if whole {
                silent.local_modes.remove(LocalModes::ICANON);
                silent.special_codes[SpecialCodeIndex::VMIN] = 1;
                silent.special_codes[SpecialCodeIndex::VTIME] = 0;
            }
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &silent);
        }
        Self(before)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, before);
        }
    }
}
