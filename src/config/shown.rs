//! The settings as they may be shown to anybody: each with where it was set, secrets left out.

use super::{
    Sources,
    keys::{KEYS, Key},
    load::Gathered,
    parse,
};

/// One setting without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownSetting {
    /// The key.
    pub key: &'static str,
    /// Its value as text; `(set, not shown)` where it holds a secret.
    pub value: String,
    /// `FILE:LINE`, `environment`, the flag, or `default`.
    pub origin: String,
}

/// Every key as the sources have it, also where other keys are wrong. Reads the env files; blocks on that.
pub fn shown(sources: &Sources) -> Vec<ShownSetting> {
    let mut gathered = Gathered::of(sources);
    let defaults = gathered.defaults(sources);
    KEYS.iter()
        .map(|key| {
            let (origin, value) = gathered
                .find(key.name)
                .unwrap_or_else(|| ("default".to_owned(), (key.text)(&defaults)));
            ShownSetting {
                key: key.name,
                value: masked(key, value),
                origin,
            }
        })
        .collect()
}

/// A secret key's value only where there is no password in it.
fn masked(key: &Key, value: String) -> String {
    // What cannot be read as an address might be anything.
    let plain = url::Url::parse(&value)
        .is_ok_and(|url| url.password().is_none() && url.username().is_empty());
    let harmless = value.is_empty() || (plain && !parse::holds_password(&value));
    // `user:password@host` may stand in the wrong key, too.
    if (key.secret && !harmless) || (!key.secret && value.contains('@')) {
        "(set, not shown)".to_owned()
    } else {
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown_and_everything_else_is_with_its_origin() {
        let set = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let sources = Sources {
            environment: vec![
                set("XC_EMAIL_DATABASE_URL", "mysql://mail:canary@db.test/mail"),
                set("XC_EMAIL_HTTPS_PROXY", "http://proxy:canary@p.test:3128"),
                set("XC_EMAIL_NODE_NAME", "node-7"),
                set("XC_EMAIL_DRAIN", "nonsense"),
                set("XC_EMAIL_PUBLIC_URL", "https://me:canary-2@motion.example"),
            ],
            ..Sources::default()
        };
        let all = shown(&sources);
        assert!(!format!("{all:?}").contains("canary"), "{all:?}");
        let of = |key: &str| {
            let one = all.iter().find(|one| one.key == key).unwrap();
            (one.value.as_str(), one.origin.as_str())
        };
        assert_eq!(
            of("XC_EMAIL_DATABASE_URL"),
            ("(set, not shown)", "environment")
        );
        assert_eq!(of("XC_EMAIL_NODE_NAME"), ("node-7", "environment"));
        assert_eq!(of("XC_EMAIL_DRAIN"), ("nonsense", "environment"));
        assert_eq!(of("XC_EMAIL_RETRY_CAP").1, "default");
        assert_eq!(all.len(), KEYS.len());
        let sqlite = Sources {
            environment: vec![set("XC_EMAIL_DATABASE_URL", "sqlite:///var/lib/x.db")],
            ..Sources::default()
        };
        let all = shown(&sqlite);
        assert!(all.iter().any(|one| one.value == "sqlite:///var/lib/x.db"));
    }
}
