//! The mark that our Message-IDs carry, so that an answer finds its conversation even where the provider
//! replaced the id or the row is gone: `unique.conversation.mac`, with HMAC-SHA256 (RFC 2104) under a key of
//! its own. Strangers can copy it from mail they got, but not make one.

use sha2::{Digest, Sha256};

use super::{Store, seal::Keys, text::hex};
use crate::model::{AccountId, InteractionId};

/// Hexadecimal digits of the mac: 80 bits.
const MAC: usize = 20;
/// Digits of the unique part.
const UNIQUE: usize = 32;
/// A block of SHA-256.
const BLOCK: usize = 64;

/// Which conversation a token names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// By its row.
    Interaction(i64),
    /// By the unique part of the message that began it.
    Opened(String),
}

fn hmac(key: &[u8; 32], text: &str) -> String {
    let mut inner = [0x36_u8; BLOCK];
    let mut outer = [0x5c_u8; BLOCK];
    for (place, octet) in key.iter().enumerate() {
        for pad in [&mut inner, &mut outer] {
            if let Some(one) = pad.get_mut(place) {
                *one ^= octet;
            }
        }
    }
    let first = Sha256::new()
        .chain_update(inner)
        .chain_update(text)
        .finalize();
    hex(&Sha256::new()
        .chain_update(outer)
        .chain_update(first)
        .finalize())
}

fn mac(key: &[u8; 32], account: AccountId, unique: &str, thread: &str) -> String {
    let mut mac = hmac(key, &format!("thread/{account}/{unique}/{thread}"));
    mac.truncate(MAC);
    mac
}

/// A token for a message of this account, in this conversation or one of its own.
fn make(
    key: &[u8; 32],
    account: AccountId,
    interaction: Option<InteractionId>,
    unique: &str,
) -> String {
    let thread = interaction.map_or_else(|| "n".to_owned(), |id| format!("i{:x}", id.get()));
    let mac = mac(key, account, unique, &thread);
    format!("{unique}.{thread}.{mac}")
}

/// Reads the token of a Message-ID; `None` where it is none, or not ours, or another account's.
fn read(key: &[u8; 32], account: AccountId, id: &str) -> Option<Token> {
    let (local, _) = id.split_once('@')?;
    let mut parts = local.split('.');
    let (unique, thread, given) = (parts.next()?, parts.next()?, parts.next()?);
    let fits =
        unique.len() == UNIQUE && given.len() == MAC && local.len() <= 100 && local.is_ascii();
    if !fits {
        return None;
    }
    let [unique, thread, given] = [unique, thread, given].map(str::to_ascii_lowercase);
    let right = mac(key, account, &unique, &thread);
    // Without a look at where they differ first.
    let differ = right
        .bytes()
        .zip(given.bytes())
        .fold(0, |all, (a, b)| all | (a ^ b));
    if differ != 0 {
        return None;
    }
    if thread == "n" {
        return Some(Token::Opened(unique));
    }
    let row = thread.strip_prefix('i')?;
    i64::from_str_radix(row, 16).ok().map(Token::Interaction)
}

impl Keys {
    /// [`read`] with this database's key.
    pub(super) fn thread_of(&self, account: AccountId, id: &str) -> Option<Token> {
        read(self.thread_key(), account, id)
    }
}

impl Store {
    /// The local part for the Message-ID of a new message: unique, and naming its conversation in a way that
    /// only we can write. `None`: the message begins one.
    pub fn thread_token(&self, account: AccountId, interaction: Option<InteractionId>) -> String {
        let unique = uuid::Uuid::new_v4().simple().to_string();
        make(self.inner.keys.thread_key(), account, interaction, &unique)
    }

    /// The id carries a token of this account.
    pub fn is_thread_token(&self, account: AccountId, id: &str) -> bool {
        self.inner.keys.thread_of(account, id).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_only_with_its_key_and_for_its_account() {
        let (key, other) = ([7_u8; 32], [8_u8; 32]);
        let (ours, theirs) = (AccountId::new(1), AccountId::new(2));
        let unique = "0123456789abcdef0123456789abcdef";
        let begun = make(&key, ours, None, unique);
        let known = make(&key, ours, Some(InteractionId::new(300)), unique);
        let id = |token: &str| format!("{token}@corp.test");
        let opened = Some(Token::Opened(unique.to_owned()));
        assert_eq!(read(&key, ours, &id(&begun)), opened);
        assert_eq!(
            read(&key, ours, &id(&begun).to_uppercase()),
            opened,
            "servers change case"
        );
        assert_eq!(read(&key, ours, &format!("{begun}.t@corp.test")), opened);
        assert_eq!(read(&key, ours, &id(&known)), Some(Token::Interaction(300)));
        assert_eq!(read(&other, ours, &id(&known)), None);
        assert_eq!(read(&key, theirs, &id(&known)), None);
        for forged in [
            known.replace(".i12c.", ".i12d."),
            known.replace("0123", "0124"),
            begun.replace(".n.", ".i1."),
            known.get(..known.len() - 1).unwrap().to_owned(),
            String::new(),
            "...".to_owned(),
        ] {
            assert_eq!(read(&key, ours, &id(&forged)), None, "{forged}");
        }
    }

    #[test]
    fn the_hash_is_hmac() {
        // Key of 32 octets 0x00..0x1f, text "abc"; computed with another implementation.
        let mut key = [0_u8; 32];
        for (place, octet) in key.iter_mut().enumerate() {
            *octet = u8::try_from(place).unwrap();
        }
        assert_eq!(
            hmac(&key, "abc"),
            "f0133729c4163dede81e21cd47839256da58171238c8a0d874397c73b14e1e47"
        );
    }
}
