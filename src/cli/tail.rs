//! `logs`: the log files' lines, past and to come. Speaks to no daemon, so it also works when there is none.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::show::escaped;
use crate::logs::{self, Level};

/// The longest line that is looked at; the daemon writes shorter ones.
const MAX_LINE: usize = 64 << 10;

/// Which lines are wanted.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub(super) account: Option<String>,
    /// This level and worse.
    pub(super) level: Option<Level>,
}

impl Filter {
    /// Whether a line is wanted. Lines that are no log lines have no level and no account.
    pub(super) fn admits(&self, line: &str) -> bool {
        let json: Option<Value> = line
            .starts_with('{')
            .then(|| serde_json::from_str(line).ok())
            .flatten();
        let level = || match &json {
            Some(json) => Level::parse(json.get("level")?.as_str()?),
            None => text_level(line),
        };
        let account = |wanted: &str| match &json {
            Some(json) => json
                .get("account")
                .is_some_and(|value| super::show::cell(Some(value)).eq_ignore_ascii_case(wanted)),
            None => {
                text_field(line, "account").is_some_and(|value| value.eq_ignore_ascii_case(wanted))
            }
        };
        self.level
            .is_none_or(|worst| level().is_some_and(|level| level <= worst))
            && self.account.as_deref().is_none_or(account)
    }
}

/// `[time] [LEVEL] email - …`.
fn text_level(line: &str) -> Option<Level> {
    let (_, rest) = line.split_once("] [")?;
    Level::parse(rest.split_once(']')?.0)
}

/// The value of an unquoted `name=value`.
fn text_field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split(' ')
        .filter_map(|word| word.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// The combined files of a directory, oldest day first.
fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found: Vec<_> = fs::read_dir(dir)?
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let date = logs::date_of(logs::COMBINED, name.to_str()?)?;
            Some((date, entry.path()))
        })
        .collect();
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// The last `count` wanted lines of all days, oldest first. Reads from the newest file back; memory is bounded by `count`.
/// Also where following starts, so that no line is shown twice or missed.
pub(super) fn past(dir: &Path, filter: &Filter, count: usize) -> io::Result<(Vec<String>, Follow)> {
    let mut lines: VecDeque<String> = VecDeque::new();
    let mut follow = Follow::nowhere(dir);
    for path in files(dir)?.into_iter().rev() {
        let newest = follow.open.is_none();
        if !newest && lines.len() >= count {
            break;
        }
        let room = count.saturating_sub(lines.len());
        let mut day = VecDeque::new();
        let mut open = Open::start(path)?;
        open.read(&mut |line| {
            if filter.admits(line) && room > 0 {
                if day.len() == room {
                    day.pop_front();
                }
                day.push_back(escaped(line));
            }
        })?;
        if newest {
            follow.open = Some(open);
        }
        day.extend(lines);
        lines = day;
    }
    Ok((lines.into(), follow))
}

/// A place in the log from which it is read on.
pub(super) struct Follow {
    dir: PathBuf,
    open: Option<Open>,
}

struct Open {
    path: PathBuf,
    identity: (u64, u64),
    file: BufReader<File>,
    /// The beginning of a line that is still being written.
    begun: Vec<u8>,
    /// The line is too long: its end is passed over.
    skip: bool,
}

impl Follow {
    fn nowhere(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            open: None,
        }
    }

    /// Hands on the wanted lines written since the last call, across midnight and across files that were moved away.
    pub(super) fn look(&mut self, filter: &Filter, show: &mut dyn FnMut(&str)) -> io::Result<()> {
        let mut hand = |line: &str| {
            if filter.admits(line) {
                show(&escaped(line));
            }
        };
        if let Some(open) = &mut self.open {
            open.read(&mut hand)?;
        }
        let newer: Vec<PathBuf> = {
            let current = self.open.as_ref();
            let is_new = |path: &PathBuf| {
                current.is_none_or(|open| {
                    *path > open.path || *path == open.path && open.is_replaced()
                })
            };
            files(&self.dir)?.into_iter().filter(is_new).collect()
        };
        for path in newer {
            // What came into the old file between the last read and the swap.
            if let Some(open) = &mut self.open {
                open.read(&mut hand)?;
            }
            let mut open = Open::start(path)?;
            open.read(&mut hand)?;
            self.open = Some(open);
        }
        Ok(())
    }
}

impl Open {
    fn start(path: PathBuf) -> io::Result<Self> {
        let file = File::open(&path)?;
        let metadata = file.metadata()?;
        Ok(Self {
            path,
            identity: (metadata.dev(), metadata.ino()),
            file: BufReader::new(file),
            begun: Vec::new(),
            skip: false,
        })
    }

    /// Whether the path names another file now. One that is gone is not replaced yet.
    fn is_replaced(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|now| (now.dev(), now.ino()) != self.identity)
    }

    /// Hands on every whole line from here to the end.
    fn read(&mut self, show: &mut dyn FnMut(&str)) -> io::Result<()> {
        // Cut short by somebody: begin again.
        let length = self.file.get_ref().metadata()?.len();
        if length < self.file.stream_position()? {
            self.file.seek(SeekFrom::Start(0))?;
            self.begun.clear();
        }
        loop {
            let room = (MAX_LINE - self.begun.len()).max(1) as u64;
            let read = (&mut self.file)
                .take(room)
                .read_until(b'\n', &mut self.begun)?;
            if read == 0 {
                return Ok(());
            }
            if self.begun.last() == Some(&b'\n') {
                self.begun.pop();
                if !std::mem::take(&mut self.skip) {
                    show(&String::from_utf8_lossy(&self.begun));
                }
                self.begun.clear();
            } else if self.begun.len() >= MAX_LINE {
                self.begun.clear();
                self.skip = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn append(dir: &Path, day: &str, text: &str) {
        let path = dir.join(format!("email-combined.2026-11-{day}.log"));
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn seen(follow: &mut Follow) -> Vec<String> {
        let mut lines = Vec::new();
        follow
            .look(&Filter::default(), &mut |line| lines.push(line.to_owned()))
            .unwrap();
        lines
    }

    #[test]
    fn lines_are_chosen_by_account_and_level_in_both_formats() {
        let filter = |account: Option<&str>, level| Filter {
            account: account.map(str::to_owned),
            level,
        };
        let text =
            "[2026-11-23 13:41:01] [WARN] email - line lost account=SUPP1 why=\"x account=OTHER\"";
        let json = r#"{"time":"x","level":"WARN","message":"line lost","account":"SUPP1"}"#;
        for line in [text, json] {
            for (account, level, admitted) in [
                (None, None, true),
                (Some("supp1"), None, true),
                (Some("SUPP"), None, false),
                (Some("OTHER"), None, false),
                (None, Some(Level::Warn), true),
                (None, Some(Level::Info), true),
                (None, Some(Level::Error), false),
                (Some("SUPP1"), Some(Level::Error), false),
            ] {
                assert_eq!(
                    filter(account, level).admits(line),
                    admitted,
                    "{line} {account:?} {level:?}"
                );
            }
        }
        assert!(filter(Some("7"), None).admits(r#"{"account":7}"#));
        assert!(!filter(None, Some(Level::Trace)).admits("no log line"));
    }

    #[test]
    fn the_last_lines_come_from_as_many_days_as_needed() {
        let dir = tempfile::tempdir().unwrap();
        append(dir.path(), "21", "a\nb\n");
        append(dir.path(), "22", "c\n");
        append(dir.path(), "23", "d\ne\n\u{1b}f\n");
        let last = |count| past(dir.path(), &Filter::default(), count).unwrap().0;
        assert_eq!(last(2), ["e", "\\u{1b}f"]);
        assert_eq!(last(5), ["b", "c", "d", "e", "\\u{1b}f"]);
        assert_eq!(last(99).len(), 6);
        assert_eq!(last(0), [""; 0]);
    }

    #[test]
    fn following_goes_across_midnight_half_lines_and_moved_files() {
        let dir = tempfile::tempdir().unwrap();
        append(dir.path(), "23", "old\nhal");
        let (_, mut follow) = past(dir.path(), &Filter::default(), 0).unwrap();
        assert_eq!(seen(&mut follow), [""; 0]);
        append(dir.path(), "23", "f\nlast of monday\n");
        append(dir.path(), "24", "first of tuesday\n");
        assert_eq!(
            seen(&mut follow),
            ["half", "last of monday", "first of tuesday"]
        );

        let current = dir.path().join("email-combined.2026-11-24.log");
        fs::rename(&current, dir.path().join("moved")).unwrap();
        assert_eq!(seen(&mut follow), [""; 0]);
        append(dir.path(), "24", "in the new file\n");
        assert_eq!(seen(&mut follow), ["in the new file"]);

        fs::write(&current, "cut\n").unwrap();
        assert_eq!(seen(&mut follow), ["cut"]);
        let long = "x".repeat(MAX_LINE * 2 + 5);
        append(dir.path(), "24", &format!("{long}\nafter\n"));
        assert_eq!(seen(&mut follow), ["after"]);
    }

    #[test]
    fn a_log_that_begins_while_it_is_followed_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        let (lines, mut follow) = past(dir.path(), &Filter::default(), 10).unwrap();
        assert!(lines.is_empty());
        append(dir.path(), "23", "first\n");
        assert_eq!(seen(&mut follow), ["first"]);
    }
}
