//! The command line: every command but `run` and `check` is an HTTP client of the daemon's own API, over its socket.
//!
//! # Promises
//! - Standard output has only the answer: a table or a record, with `--json` the daemon's own JSON. Progress and what
//!   went wrong go to standard error.
//! - Exit codes: 0 done, 1 refused (`doctor`: something failed), 2 `doctor` has only warnings, 64 usage, 69 daemon not reachable, 75 try later, 78 settings.
//! - What strangers wrote is escaped before a terminal sees it; `message raw` into a file or a pipe is byte for byte.
//! - No secret is taken from the command line, where every user of the machine could read it: passwords come from a file,
//!   from standard input, or are asked for without being shown (I8).
//!
//! # When things fail
//! - The daemon's own words and its next step are printed; where it does not answer, how to find out why.
//! - A change whose answer was lost says that it may have been done.
//!
//! # Does not know
//! - The database, mail servers: only the daemon does. `logs` reads the log files itself, so that it works without one.
//!
//! # Standards
//! Exit codes of sysexits.h.

mod account;
mod args;
mod bundle;
mod calendar;
mod client;
mod doctor;
mod failure;
mod mail;
mod perform;
mod provider;
mod servers;
mod show;
mod status;
mod tail;
mod terminal;
mod transcript;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use self::args::{Cli, Command, Common, Logs};
use self::client::Client;
use self::failure::{Failure, SETTINGS, USAGE};
use self::perform::{Work, perform};
use self::tail::Filter;
use self::terminal::{Person, Terminal};
use crate::config::{self, Flag};
use crate::logs::Level;

/// How often a followed log is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Where the daemon of a server is, for a user whose own daemon is not there.
const SYSTEM_SOCKET: &str = "/run/motion-email/motion-email.sock";
const SYSTEM_LOGS: &str = "/var/log/xcally";

/// Runs the command line of a process, `args` beginning with the program's name.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to standard output, usage to standard error; a closed one changes nothing.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    if let Command::Run { log_level } = cli.command {
        return run_daemon(cli.common.sources(level_flag(log_level)));
    }
    let mut terminal = Terminal {
        out: &mut io::stdout().lock(),
        err: &mut io::stderr(),
        input: &mut io::stdin().lock(),
        person: Person::of_process(),
    };
    ExitCode::from(run(cli, &mut terminal))
}

fn run_daemon(sources: config::Sources) -> ExitCode {
    match crate::daemon::run(sources) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The logs may not be there yet: the service manager's journal gets the words in any case.
            let _ = writeln!(
                io::stderr(),
                "motion-email: {}",
                crate::daemon::chain(&error)
            );
            ExitCode::from(error.exit_code())
        }
    }
}

fn level_flag(level: Option<String>) -> Vec<Flag> {
    let flag = level.map(|value| Flag {
        name: "--log-level",
        key: "XC_DEBUG_LEVEL",
        value,
    });
    flag.into_iter().collect()
}

/// Does a command that ends by itself, says what went wrong, and gives the exit code.
fn run(cli: Cli, terminal: &mut Terminal<'_>) -> u8 {
    let json = cli.common.json;
    let result = match cli.command {
        Command::Check { keys } => return check(&cli.common, keys, terminal),
        Command::Logs(logs) => show_logs(&cli.common, &logs, terminal),
        Command::Doctor(wanted) => doctor::run(&cli.common, &wanted, terminal),
        command => ask(&cli.common, command, terminal),
    };
    let result = result.and_then(|()| Ok(terminal.out.flush()?));
    let Err(failure) = result else {
        return 0;
    };
    if let (Failure::Refused { problem, .. }, true) = (&failure, json) {
        let _ = writeln!(terminal.err, "{problem}");
    } else {
        for line in failure.words() {
            let _ = writeln!(terminal.err, "{line}");
        }
    }
    failure.code()
}

fn check(common: &Common, keys: bool, terminal: &mut Terminal<'_>) -> u8 {
    if keys {
        let _ = write!(terminal.out, "{}", config::reference());
        return 0;
    }
    match crate::daemon::check(&common.sources(Vec::new())) {
        Ok(lines) => {
            for line in lines {
                let _ = writeln!(terminal.out, "{line}");
            }
            0
        }
        Err(lines) => {
            for line in lines {
                let _ = writeln!(terminal.err, "{line}");
            }
            SETTINGS
        }
    }
}

/// A choice as the API spells it, which is as the command line does.
fn word(choice: impl clap::ValueEnum) -> String {
    let value = choice.to_possible_value();
    value
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default()
}

/// A command that the daemon answers.
fn ask(common: &Common, command: Command, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let paths = config::paths(&common.sources(Vec::new()))?;
    let socket = known(paths.socket, paths.socket_is_set, SYSTEM_SOCKET);
    in_runtime(async {
        let mut work = Work {
            client: Client::new(&socket)?,
            terminal,
            json: common.json,
        };
        perform(command, &mut work).await
    })
}

/// The path that somebody set or that is there; else the system's, if that is there.
fn known(path: PathBuf, is_set: bool, system: &str) -> PathBuf {
    if is_set || path.exists() || !Path::new(system).exists() {
        path
    } else {
        PathBuf::from(system)
    }
}

fn in_runtime(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

fn show_logs(common: &Common, logs: &Logs, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let level = match &logs.level {
        None => None,
        Some(text) => Some(Level::parse(text).ok_or_else(|| {
            Failure::Usage(format!(
                "{text:?} is not a level: use ERROR, WARN, INFO, DEBUG or TRACE."
            ))
        })?),
    };
    let filter = Filter {
        account: logs.account.clone(),
        level,
    };
    let paths = config::paths(&common.sources(Vec::new()))?;
    let dir = known(paths.log_dir, paths.log_dir_is_set, SYSTEM_LOGS);
    let unreadable = |source| Failure::File {
        path: dir.clone(),
        source,
    };
    if !dir.is_dir() {
        return Err(Failure::Nothing(format!(
            "There is no log directory {}; --env-file names the file that has XC_EMAIL_LOG_DIR.",
            dir.display()
        )));
    }
    let (lines, mut follow) = tail::past(&dir, &filter, logs.lines as usize).map_err(unreadable)?;
    for line in lines {
        writeln!(terminal.out, "{line}")?;
    }
    terminal.out.flush()?;
    if !logs.follow {
        return Ok(());
    }
    in_runtime(async {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let mut lines = Vec::new();
            follow
                .look(&filter, &mut |line| lines.push(line.to_owned()))
                .map_err(unreadable)?;
            for line in lines {
                writeln!(terminal.out, "{line}")?;
            }
            terminal.out.flush()?;
        }
    })
}
