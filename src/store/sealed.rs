//! Sealing for secrets that are kept in files beside the database, with the database's own key.

use secrecy::SecretString;

use super::{Store, StoreError, seal::Place};

impl Store {
    /// Seals a secret for one place outside the database: `file` names the kind of file, `place` the record in
    /// it. [`Store::open_sealed`] opens it for the same place only (I8).
    pub fn seal_for(&self, file: &'static str, place: &str, secret: &SecretString) -> Vec<u8> {
        self.inner.keys.seal(outside(file, place), secret)
    }

    /// Opens what [`Store::seal_for`] made for the same place.
    ///
    /// # Errors
    /// `Damaged`: cut off, changed, from another place, or sealed with another key.
    pub fn open_sealed(
        &self,
        file: &'static str,
        place: &str,
        sealed: &[u8],
    ) -> Result<SecretString, StoreError> {
        self.inner.keys.open(outside(file, place), sealed)
    }
}

fn outside<'a>(file: &'static str, place: &'a str) -> Place<'a> {
    Place {
        table: file,
        row: place,
        column: "file",
    }
}
