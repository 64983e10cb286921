//! From sources to a [`Config`].

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use secrecy::SecretString;

use super::built_in::{Place, built_in};
use super::env_file::{self, is_ours};
use super::keys::{KEYS, Key};
use super::mistakes::{meant, shown};
use super::parse;
use super::{Config, Mistake, Mistakes, Sources};

/// The largest file that is read.
const MAX_FILE: u64 = 1 << 20;

/// One setting from one place: a figment provider of its own, so that figment knows file and line of every value.
struct Setting {
    /// `file:line`, `environment`, `--flag`.
    origin: String,
    key: String,
    value: String,
}

impl Provider for Setting {
    fn metadata(&self) -> Metadata {
        Metadata::named("setting").source(figment::Source::Custom(self.origin.clone()))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        // Always text: figment's own environment provider would make 0123 a number.
        let value = Value::from(self.value.clone());
        Ok(Profile::Default.collect(Dict::from([(self.key.clone(), value)])))
    }
}

/// What the sources say, and what is wrong with how they say it.
#[derive(Default)]
pub(super) struct Gathered {
    figment: Figment,
    mistakes: Vec<Mistake>,
}

impl Gathered {
    pub(super) fn of(sources: &Sources) -> Self {
        let mut gathered = Self::default();
        let default = sources.default_file.iter();
        let default = default.filter(|file| sources.env_files.is_empty() && file.exists());
        for file in sources.env_files.iter().chain(default) {
            gathered.file(file);
        }
        for (key, value) in sources.environment.iter().filter(|(key, _)| is_ours(key)) {
            let setting = Setting {
                origin: "environment".to_owned(),
                key: key.clone(),
                value: value.clone(),
            };
            if value.contains('\u{fffd}') {
                gathered.wrong(&setting.origin, Some(key), "is not UTF-8 text".to_owned());
            } else {
                gathered.take(setting);
            }
        }
        for flag in &sources.flags {
            gathered.take(Setting {
                origin: flag.name.to_owned(),
                key: flag.key.to_owned(),
                value: flag.value.clone(),
            });
        }
        gathered
    }

    fn wrong(&mut self, origin: &str, key: Option<&str>, what: String) {
        self.mistakes.push(Mistake {
            origin: origin.to_owned(),
            key: key.map(str::to_owned),
            what,
        });
    }

    /// A later setting wins; an unknown key is a mistake.
    fn take(&mut self, setting: Setting) {
        if Key::find(&setting.key).is_some() {
            self.figment = std::mem::take(&mut self.figment).merge(setting);
            return;
        }
        let what = match meant(&setting.key, KEYS.iter().map(|key| key.name)) {
            Some(name) => format!("there is no such key; did you mean {name}?"),
            None => "there is no such key; `motion-email check --keys` lists all".to_owned(),
        };
        self.wrong(&setting.origin, Some(&setting.key), what);
    }

    fn file(&mut self, file: &Path) {
        let name = file.display().to_string();
        let (bytes, public) = match read(file) {
            Ok(read) => read,
            Err(what) => return self.wrong(&name, None, what),
        };
        let (entries, faults) = env_file::read(&bytes);
        for fault in faults {
            let origin = format!("{name}:{}", fault.line);
            self.wrong(&origin, fault.key.as_deref(), fault.what.to_owned());
        }
        for entry in entries {
            let origin = format!("{name}:{}", entry.line);
            let secret = Key::find(&entry.key).is_some_and(|key| key.secret);
            if secret && public && parse::holds_password(&entry.value) {
                let what =
                    format!("holds a password, and everyone may read the file; chmod 640 {name}");
                self.wrong(&origin, Some(&entry.key), what);
            }
            self.take(Setting {
                origin,
                key: entry.key,
                value: entry.value,
            });
        }
    }

    /// Where a key is set and to what; `None` where it is not.
    pub(super) fn find(&self, key: &str) -> Option<(String, String)> {
        let value = self.figment.find_value(key).ok()?;
        let source = self.figment.find_metadata(key)?.source.as_ref()?;
        Some((source.custom()?.to_owned(), value.as_str()?.to_owned()))
    }

    /// Puts a key's value, if there is one, into the config.
    fn apply(&mut self, key: &Key, config: &mut Config) {
        let Some((origin, value)) = self.find(key.name) else {
            return;
        };
        if let Err(wrong) = (key.set)(config, value.trim()) {
            let value = match value.trim() {
                "" => "an empty value".to_owned(),
                // `user:password@host` may stand in the wrong key, too.
                value if key.secret || value.contains('@') => "its value (not shown)".to_owned(),
                value => shown(value),
            };
            let what = format!("{value} {wrong}; allowed: {}", key.allowed);
            self.wrong(&origin, Some(key.name), what);
        }
    }

    /// The database URL from its file.
    fn url_file(&mut self, config: &mut Config) {
        const KEY: &str = "XC_EMAIL_DATABASE_URL_FILE";
        let Some(file) = config.database_url_file.clone() else {
            return;
        };
        let origin = self.find(KEY).map(|(origin, _)| origin).unwrap_or_default();
        if let Some((other, _)) = self.find("XC_EMAIL_DATABASE_URL") {
            let what = format!("XC_EMAIL_DATABASE_URL is set too ({other}); set one of them");
            self.wrong(&origin, Some(KEY), what);
        }
        let url = read(&file).and_then(|(bytes, public)| {
            let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())?;
            let url = parse::database_url(text.trim())?;
            if public && parse::holds_password(&url) {
                return Err("holds a password, and everyone may read it; chmod 640".to_owned());
            }
            Ok(url)
        });
        match url {
            Ok(url) => config.database_url = SecretString::from(url),
            Err(what) => self.wrong(&origin, Some(KEY), format!("{}: {what}", file.display())),
        }
    }

    /// The defaults, with what lies in the data directory following that directory.
    pub(super) fn defaults(&mut self, sources: &Sources) -> Config {
        let place = Place::of(sources);
        let mut config = built_in(&place, &place.state, &sources.host_name);
        // A mistake in it is reported when the key is applied.
        if let Some((_, text)) = self.find("XC_EMAIL_DATA_DIR")
            && let Ok(dir) = parse::path(text.trim())
        {
            config = built_in(&place, &dir, &sources.host_name);
        }
        config
    }
}

/// A regular file's bytes, and whether everyone may read it; or what is wrong with it.
fn read(path: &Path) -> Result<(Vec<u8>, bool), String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    // Asked before opening: opening a pipe would wait for ever.
    let metadata = std::fs::metadata(path).map_err(cannot)?;
    if !metadata.is_file() {
        return Err("is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(cannot)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err("is larger than 1 MiB".to_owned());
    }
    Ok((bytes, is_public(path)))
}

/// Whether everyone may read a file: by its own mode and by those of all directories above it.
fn is_public(path: &Path) -> bool {
    let may = |path: &Path, bit: u32| {
        std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & bit != 0)
    };
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    may(&path, 0o004) && path.ancestors().skip(1).all(|above| may(above, 0o001))
}

/// Reads all sources anew. Blocks on file reads; call it where that does no harm.
pub fn load(sources: &Sources) -> Result<Config, Mistakes> {
    let mut gathered = Gathered::of(sources);
    let mut config = gathered.defaults(sources);
    for key in KEYS {
        gathered.apply(key, &mut config);
    }
    gathered.url_file(&mut config);
    if config.retry_first > config.retry_cap {
        let key = "XC_EMAIL_RETRY_FIRST";
        let origin = gathered
            .find(key)
            .or_else(|| gathered.find("XC_EMAIL_RETRY_CAP"));
        let origin = origin.map(|(origin, _)| origin).unwrap_or_default();
        let what = "is more than XC_EMAIL_RETRY_CAP; the first wait has to be the shortest";
        gathered.wrong(&origin, Some(key), what.to_owned());
    }
    match Mistakes::of(gathered.mistakes) {
        Some(mistakes) => Err(mistakes),
        None => Ok(config),
    }
}

/// What a command needs to find a running daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// `XC_EMAIL_SOCKET`.
    pub socket: PathBuf,
    /// `XC_EMAIL_LOG_DIR`.
    pub log_dir: PathBuf,
    /// Whether somebody set the socket; else it is the default of whoever asks, and the daemon may be another user's.
    pub socket_is_set: bool,
    /// The same for the log directory.
    pub log_dir_is_set: bool,
}

/// Only what a command needs: mistakes in other keys do not keep an operator from asking a running daemon, and an
/// unreadable default file is no mistake, because only the daemon has to be able to read it.
pub fn paths(sources: &Sources) -> Result<Paths, Mistakes> {
    let mut sources = sources.clone();
    sources.default_file = sources.default_file.filter(|file| read(file).is_ok());
    let mut gathered = Gathered::of(&sources);
    let named = |mistake: &Mistake| {
        let files = sources.env_files.iter();
        files
            .clone()
            .any(|file| mistake.origin == file.display().to_string())
    };
    gathered.mistakes.retain(named);
    let mut config = gathered.defaults(&sources);
    for name in ["XC_EMAIL_SOCKET", "XC_EMAIL_LOG_DIR"] {
        if let Some(key) = Key::find(name) {
            gathered.apply(key, &mut config);
        }
    }
    let paths = Paths {
        socket: config.socket,
        log_dir: config.log_dir,
        socket_is_set: gathered.find("XC_EMAIL_SOCKET").is_some(),
        log_dir_is_set: gathered.find("XC_EMAIL_LOG_DIR").is_some(),
    };
    match Mistakes::of(gathered.mistakes) {
        Some(mistakes) => Err(mistakes),
        None => Ok(paths),
    }
}
