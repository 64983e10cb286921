//! Where settings come from.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Read when no env file is named, where it exists.
pub const DEFAULT_FILE: &str = "/etc/motion-email/motion-email.env";

/// A setting given by a command-line flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// As the operator typed it, for mistakes: `--socket`.
    pub name: &'static str,
    /// The key it sets.
    pub key: &'static str,
    /// Its value.
    pub value: String,
}

/// Where settings come from; kept by the daemon, because a reload reads them again.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Env files, later ones win; each must be there.
    pub env_files: Vec<PathBuf>,
    /// Read instead when `env_files` is empty and this one exists.
    pub default_file: Option<PathBuf>,
    /// The process's environment; what is not UTF-8 has U+FFFD in it.
    pub environment: Vec<(String, String)>,
    /// Settings from the command line.
    pub flags: Vec<Flag>,
    /// Whether the process is root's: the system's directories are the defaults then.
    pub root: bool,
    /// The machine's name, as it is; the default of the node's name.
    pub host_name: String,
}

impl Sources {
    /// Those of this process: its environment, user and machine; without `env_files` the [`DEFAULT_FILE`].
    pub fn of_process(env_files: Vec<PathBuf>, flags: Vec<Flag>) -> Self {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        Self {
            env_files,
            default_file: Some(PathBuf::from(DEFAULT_FILE)),
            environment: std::env::vars_os()
                .map(|(key, value)| (text(key), text(value)))
                .collect(),
            flags,
            root: std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0),
            host_name: std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default(),
        }
    }

    /// A variable of the environment, unless it is empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }
}
