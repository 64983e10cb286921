//! What a reload changes.

use super::Config;
use super::keys::KEYS;

/// The keys whose value changed: those that a running daemon takes over, and those that need a restart. Values are not
/// in it, because some are secrets.
pub fn reload_diff(old: &Config, new: &Config) -> (Vec<&'static str>, Vec<&'static str>) {
    let changed = KEYS.iter().filter(|key| (key.text)(old) != (key.text)(new));
    let (live, rest): (Vec<_>, Vec<_>) = changed.partition(|key| key.live);
    let names = |keys: Vec<&super::keys::Key>| keys.into_iter().map(|key| key.name).collect();
    (names(live), names(rest))
}
