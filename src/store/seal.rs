//! Secrets at rest (I8): XChaCha20-Poly1305 with a random nonce and the row's place as associated
//! data, so that a value copied to another row, column or database does not decrypt.

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use rand::RngCore;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::{OpenError, StoreError, text::hex};

const FORM: u8 = 1;
const ID_LEN: usize = 16;
const NONCE_LEN: usize = 24;

/// Where a sealed value stands: part of what is authenticated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) table: &'static str,
    pub(super) row: &'a str,
    pub(super) column: &'static str,
}

/// The key that seals this database's secrets.
#[derive(Clone)]
pub(super) struct Keys {
    id: String,
    cipher: Arc<XChaCha20Poly1305>,
    /// Of another use: the tokens of conversations.
    thread: Arc<[u8; 32]>,
}

impl Keys {
    fn new(key: &[u8; 32]) -> Self {
        let mut digest = Sha256::new();
        digest.update(b"motion-email key id");
        digest.update(key);
        let mut id = hex(&digest.finalize());
        id.truncate(ID_LEN);
        Self {
            id,
            cipher: Arc::new(XChaCha20Poly1305::new(key.into())),
            thread: Arc::new(
                Sha256::new()
                    .chain_update("motion-email/thread tokens")
                    .chain_update(key)
                    .finalize()
                    .into(),
            ),
        }
    }

    /// The key of the tokens of conversations.
    pub(super) fn thread_key(&self) -> &[u8; 32] {
        &self.thread
    }

    /// Which key it is; says nothing about the key itself.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Reads the key file, or `None` where there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, OpenError> {
        let shown = path.display();
        let mut file = match fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(OpenError::Refused(format!(
                    "the key file {shown} cannot be read: {error}; make it readable for the service's user only"
                )));
            }
        };
        let metadata = file
            .metadata()
            .map_err(|error| OpenError::Refused(format!("the key file {shown}: {error}")))?;
        if metadata.mode() & 0o077 != 0 {
            return Err(OpenError::Refused(format!(
                "the key file {shown} can be read by others (mode {:04o}): run chmod 600 {shown}",
                metadata.mode() & 0o7777
            )));
        }
        let mut text = String::new();
        let broken = || {
            OpenError::Refused(format!(
                "the key file {shown} is not one line of base64 holding 32 octets: restore it from the backup"
            ))
        };
        Read::by_ref(&mut file)
            .take(1024)
            .read_to_string(&mut text)
            .map_err(|_| broken())?;
        let bytes = STANDARD.decode(text.trim()).map_err(|_| broken())?;
        let key: [u8; 32] = bytes.try_into().map_err(|_| broken())?;
        Ok(Some(Self::new(&key)))
    }

    /// Makes the key file with a fresh key; durable before it answers.
    pub(super) fn make(path: &Path) -> Result<Self, OpenError> {
        let mut key = [0_u8; 32];
        rand::rng().fill_bytes(&mut key);
        let write = || -> std::io::Result<()> {
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)?;
            file.write_all(STANDARD.encode(key).as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            let parent = path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty());
            fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
        };
        write().map_err(|error| {
            OpenError::Refused(format!(
                "the key file {} cannot be made: {error}; its directory must exist and be writable for the service's user",
                path.display()
            ))
        })?;
        Ok(Self::new(&key))
    }

    fn associated(&self, place: Place<'_>) -> String {
        format!("{}|{}|{}|{}", place.table, place.row, place.column, self.id)
    }

    /// Version byte, key id, nonce, ciphertext.
    pub(super) fn seal(&self, place: Place<'_>, secret: &SecretString) -> Vec<u8> {
        let mut nonce = [0_u8; NONCE_LEN];
        rand::rng().fill_bytes(&mut nonce);
        let payload = Payload {
            msg: secret.expose_secret().as_bytes(),
            aad: self.associated(place).as_bytes(),
        }
        .into_sealed(&self.cipher, &nonce);
        let mut sealed = Vec::with_capacity(1 + ID_LEN + NONCE_LEN + payload.len());
        sealed.push(FORM);
        sealed.extend_from_slice(self.id.as_bytes());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&payload);
        sealed
    }

    /// Opens what [`Keys::seal`] made for the same place; anything else is `Damaged`.
    pub(super) fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<SecretString, StoreError> {
        let damaged = |why: &str| StoreError::Damaged {
            what: "secret",
            detail: format!("{} of {} {}: {why}", place.column, place.table, place.row),
        };
        let body = match sealed.split_first() {
            Some((&FORM, body)) => body,
            Some(_) => return Err(damaged("unknown form")),
            None => return Err(damaged("empty")),
        };
        let (id, body) = body
            .split_at_checked(ID_LEN)
            .ok_or_else(|| damaged("cut off"))?;
        if id != self.id.as_bytes() {
            return Err(damaged("sealed with another key"));
        }
        let (nonce, body) = body
            .split_at_checked(NONCE_LEN)
            .ok_or_else(|| damaged("cut off"))?;
        let plain = self
            .cipher
            .decrypt(
                XNonce::from_slice(nonce),
                Payload {
                    msg: body,
                    aad: self.associated(place).as_bytes(),
                },
            )
            .map_err(|_| damaged("does not decrypt"))?;
        let text = String::from_utf8(plain).map_err(|_| damaged("not text"))?;
        Ok(SecretString::from(text))
    }
}

/// Sealing cannot fail for messages of the sizes that columns hold.
trait IntoSealed {
    fn into_sealed(self, cipher: &XChaCha20Poly1305, nonce: &[u8; NONCE_LEN]) -> Vec<u8>;
}

impl IntoSealed for Payload<'_, '_> {
    fn into_sealed(self, cipher: &XChaCha20Poly1305, nonce: &[u8; NONCE_LEN]) -> Vec<u8> {
        cipher
            .encrypt(XNonce::from_slice(nonce), self)
            .expect("XChaCha20-Poly1305 seals any message shorter than 256 GiB")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place<'static> = Place {
        table: "grants",
        row: "1",
        column: "refresh_token",
    };

    #[test]
    fn a_sealed_secret_opens_only_in_its_place_with_its_key_and_uncut() {
        let keys = Keys::new(&[7; 32]);
        let sealed = keys.seal(HERE, &SecretString::from("s3cret"));
        assert!(!sealed.windows(6).any(|window| window == b"s3cret"));
        assert_ne!(sealed, keys.seal(HERE, &SecretString::from("s3cret")));
        assert_eq!(keys.open(HERE, &sealed).unwrap().expose_secret(), "s3cret");
        for place in [
            Place { row: "2", ..HERE },
            Place {
                column: "access_token",
                ..HERE
            },
            Place {
                table: "mail_accounts",
                ..HERE
            },
        ] {
            assert!(keys.open(place, &sealed).is_err(), "{place:?}");
        }
        assert!(Keys::new(&[8; 32]).open(HERE, &sealed).is_err());
        for end in 0..sealed.len() {
            assert!(keys.open(HERE, &sealed[..end]).is_err(), "cut to {end}");
        }
        let mut flipped = sealed.clone();
        *flipped.last_mut().unwrap() ^= 1;
        assert!(keys.open(HERE, &flipped).is_err());
    }

    #[test]
    fn a_key_file_is_made_private_and_refused_when_others_can_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert!(Keys::read(&path).unwrap().is_none());
        let made = Keys::make(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(Keys::read(&path).unwrap().unwrap().id(), made.id());
        assert!(
            Keys::make(&path).is_err(),
            "an existing key is never replaced"
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let Err(OpenError::Refused(text)) = Keys::read(&path) else {
            panic!("a readable key file was taken");
        };
        assert!(text.contains("chmod 600"), "{text}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "short").unwrap();
        assert!(Keys::read(&path).is_err());
    }
}
