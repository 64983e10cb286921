//! `doctor --bundle`: everything that support asks for, in one file that may be given away.
//!
//! A gzipped tar, because every system where the service runs opens it and a person can look through it file by
//! file before giving it away.

mod collect;
mod redact;

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use serde_json::Value;

use super::failure::Failure;
use crate::config::Sources;

pub(super) use collect::ask;

/// What is in every bundle, for whoever opens it.
const README: &str = "\
This is a support bundle of motion-email, made by `motion-email doctor --bundle`.

  report.json            what the doctor found, check by check
  status.json            the daemon, its accounts and cloud providers as the API shows them
  outbox.json            how many outgoing mails are in which state, by account
  settings.txt           every setting with its value and where it was set
  system.json            version, machine, kernel, time zone, room on disks
  log/combined.log       the last lines of the log
  log/error.log          the last lines of the error log
  transcript/ACCOUNT.json  the last exchanges with the account's servers
  missing.txt            what could not be collected, and why

What is left out on purpose: passwords, client secrets, certificates' keys and tokens; mails, their subjects and
attachments; the names before the @ of every address that is not an account's own (domains stay, because trouble
often is one domain's). Texts that look like a token are replaced by ***. Accounts' own addresses, host names and
user names are in it, since nothing could be found out without them.

Look through it before you give it away.
";

/// The files of a bundle before they are packed.
pub(super) struct Parts {
    files: Vec<(String, String)>,
    missing: Vec<String>,
    report: Value,
    /// `null` before the daemon was asked.
    status: Value,
    sources: Sources,
    logs: PathBuf,
}

impl Parts {
    /// What is at hand without asking the daemon.
    pub(super) fn new(report: &Value, sources: &Sources, logs: &Path) -> Self {
        Self {
            files: Vec::new(),
            missing: Vec::new(),
            report: report.clone(),
            status: Value::Null,
            sources: sources.clone(),
            logs: logs.to_owned(),
        }
    }

    fn add(&mut self, name: &str, text: String) {
        self.files.push((name.to_owned(), text));
    }

    fn lacks(&mut self, what: &str, why: &str) {
        self.missing.push(format!("{what}: {why}"));
    }
}

/// Refuses a file that exists, before anything is done.
pub(super) fn may_write(file: &Path, force: bool) -> Result<(), Failure> {
    if !force && file.symlink_metadata().is_ok() {
        return Err(Failure::Nothing(format!(
            "{} exists already; another name, or --force replaces it.",
            file.display()
        )));
    }
    Ok(())
}

/// Packs and writes the bundle: readable by its owner only, and never half there under its name.
pub(super) fn write(file: &Path, force: bool, mut parts: Parts) -> Result<(), Failure> {
    collect::local(&mut parts);
    let failed = |source| Failure::File {
        path: file.to_owned(),
        source,
    };
    let packed = pack(&parts).map_err(failed)?;
    let fresh = fresh(file);
    let made = make(&fresh, &packed).and_then(|()| {
        if force {
            fs::rename(&fresh, file)
        } else {
            // Unlike a rename this never replaces what somebody else made meanwhile.
            fs::hard_link(&fresh, file)
        }
    });
    let _ = fs::remove_file(&fresh);
    made.map_err(failed)
}

/// A name beside the wanted one.
fn fresh(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    file.with_file_name(name)
}

fn make(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn pack(parts: &Parts) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    let missing = if parts.missing.is_empty() {
        "Nothing is missing.\n".to_owned()
    } else {
        format!("{}\n", parts.missing.join("\n"))
    };
    let own = [
        ("README.txt".to_owned(), README.to_owned()),
        ("missing.txt".to_owned(), missing),
    ];
    for (name, text) in own.iter().chain(&parts.files) {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        let path = format!("motion-email-support/{name}");
        tar.append_data(&mut header, path, text.as_bytes())?;
    }
    tar.into_inner()?.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_bundle_is_its_owners_only_and_replaces_nothing_without_force() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("b.tar.gz");
        let parts = || Parts::new(&Value::Null, &Sources::default(), dir.path());
        may_write(&file, false).unwrap();
        write(&file, false, parts()).unwrap();
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(may_write(&file, false).is_err());
        assert!(write(&file, false, parts()).is_err());
        may_write(&file, true).unwrap();
        write(&file, true, parts()).unwrap();
        let names: Vec<_> = fs::read_dir(dir.path()).unwrap().flatten().collect();
        assert_eq!(names.len(), 1, "nothing is left beside it: {names:?}");
        let mut tar =
            tar::Archive::new(flate2::read::GzDecoder::new(fs::File::open(&file).unwrap()));
        let mut readme = String::new();
        let mut first = tar.entries().unwrap().next().unwrap().unwrap();
        first.read_to_string(&mut readme).unwrap();
        assert_eq!(readme, README);
    }
}
