//! Sign-ins on their way into a grant: adopted, held for an administrator's word, or refused. Who is
//! expected, whose the grant is and what becomes of it are read and written in one transaction.

use secrecy::SecretString;
use serde_json::json;
use sqlx::any::AnyRow;

use super::{
    Store, StoreError,
    grant::{Sealed, adopt, names},
    seal::{Keys, Place},
    text::{Columns, cut},
    tx::{Step, Tx},
};
use crate::model::{
    CloudProviderId, EventKind, Grant, HELD_FOR, HeldSignIn, NewEvent, NewTokens, Person,
    SignInVerdict, Timestamp, judge_sign_in, names_not_shown, same_name,
};

/// What became of a sign-in.
#[derive(Clone, Debug)]
pub enum SettledSignIn {
    /// It is the provider's grant now.
    Adopted(Box<Grant>),
    /// It waits for an administrator; the old grant is untouched.
    Held(HeldSignIn),
    /// The grant is this other person's; nothing was stored.
    OtherPerson(Person),
    /// The platform does not say who signed in, and somebody is expected; nothing was stored.
    Nameless,
}

/// What became of an administrator's word for a held sign-in.
#[derive(Clone, Debug)]
pub enum ConfirmedSignIn {
    /// It is the provider's grant now.
    Adopted(Box<Grant>),
    /// Nothing is held, or its time is over.
    Nothing,
    /// Somebody else is held: the word was for another sign-in.
    OtherName(String),
    /// Accounts came to expect these names as well since the administrator was told; the held sign-in names them
    /// from now on.
    MoreNames(Vec<String>),
}

fn place<'a>(row: &'a str, column: &'static str) -> Place<'a> {
    Place {
        table: "held_sign_ins",
        row,
        column,
    }
}

fn held(row: &AnyRow) -> Result<HeldSignIn, StoreError> {
    let id: i64 = row.col("provider_id")?;
    Ok(HeldSignIn {
        provider: CloudProviderId::new(id),
        person: Person {
            user_name: Some(row.col("signed_in_as")?),
            tenant_id: row.col("tenant_id")?,
            object_id: row.col("object_id")?,
        },
        expected: names(row, "held sign-in", id, "expected")?,
        replaces: row.col("replaces")?,
        held_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
    })
}

/// The names that the accounts of a provider expect to have signed in: the delegate, or the user name
/// where there is none. Each once, without regard to case.
async fn expected(tx: &mut Tx, provider: CloudProviderId) -> Result<Vec<String>, StoreError> {
    let rows = tx.all(sqlx::query(EXPECTED).bind(provider.get())).await?;
    distinct(&rows)
}

fn distinct(rows: &[AnyRow]) -> Result<Vec<String>, StoreError> {
    let mut found: Vec<String> = Vec::new();
    for row in rows {
        let name: String = row.col("name")?;
        if !found.iter().any(|known| same_name(known, &name)) {
            found.push(name);
        }
    }
    Ok(found)
}

const EXPECTED: &str = "SELECT DISTINCT COALESCE(delegate, login_user) AS name FROM mail_accounts WHERE provider_id = ? AND removed_at IS NULL ORDER BY name";

/// Whose the grant is, and for which names they were confirmed. Does not open the tokens: a grant that
/// does not decrypt is cured by signing in.
async fn pinned(
    tx: &mut Tx,
    provider: CloudProviderId,
) -> Result<(Option<Person>, Vec<String>), StoreError> {
    let read = "SELECT provider_id, signed_in_as, tenant_id, object_id, confirmed_for FROM grants WHERE provider_id = ?";
    let row = tx.first(sqlx::query(read).bind(provider.get())).await?;
    let row = row.ok_or(StoreError::Missing {
        what: "cloud provider",
    })?;
    let person = Person {
        user_name: row.col("signed_in_as")?,
        tenant_id: row.col("tenant_id")?,
        object_id: row.col("object_id")?,
    };
    let confirmed = names(&row, "grant", provider.get(), "confirmed_for").unwrap_or_default();
    Ok(((person != Person::default()).then_some(person), confirmed))
}

/// What is remembered as confirmed once `person` has the grant: all that is expected now, and what was
/// confirmed before where they had it already.
fn remembered(
    person: &Person,
    pinned: Option<&Person>,
    confirmed: Vec<String>,
    expected: Vec<String>,
) -> Vec<String> {
    let mut all = match pinned {
        Some(pinned) if pinned.is(person) => confirmed,
        _ => Vec::new(),
    };
    for name in expected {
        if !all.iter().any(|known| same_name(known, &name)) {
            all.push(name);
        }
    }
    all
}

/// Drops what is held for a provider.
pub(super) async fn forget(tx: &mut Tx, provider: CloudProviderId) -> Result<u64, StoreError> {
    let gone = "DELETE FROM held_sign_ins WHERE provider_id = ?";
    tx.run(sqlx::query(gone).bind(provider.get())).await
}

struct Settle {
    provider: CloudProviderId,
    tokens: NewTokens,
    new_identity: bool,
    keys: Keys,
    now: Timestamp,
}
impl Step for Settle {
    type Answer = SettledSignIn;
    const DOING: &'static str = "storing a sign-in";

    async fn apply(&self, tx: &mut Tx) -> Result<SettledSignIn, StoreError> {
        let (before, confirmed) = pinned(tx, self.provider).await?;
        let expected = expected(tx, self.provider).await?;
        let person = self.tokens.person();
        let verdict = judge_sign_in(
            &person,
            before.as_ref(),
            &confirmed,
            &expected,
            self.new_identity,
        );
        match verdict {
            SignInVerdict::Adopt => {
                let sealed = Sealed::new(&self.keys, self.provider, &self.tokens, self.now);
                let remembered = remembered(&person, before.as_ref(), confirmed, expected);
                let grant = adopt(tx, &self.keys, &sealed, &remembered).await?;
                forget(tx, self.provider).await?;
                Ok(SettledSignIn::Adopted(Box::new(grant)))
            }
            SignInVerdict::Hold(names) => self.hold(tx, person, before, names).await,
            SignInVerdict::Nameless => Ok(SettledSignIn::Nameless),
            SignInVerdict::OtherPerson => {
                Ok(SettledSignIn::OtherPerson(before.unwrap_or_default()))
            }
        }
    }
}

impl Settle {
    async fn hold(
        &self,
        tx: &mut Tx,
        person: Person,
        before: Option<Person>,
        names: Vec<String>,
    ) -> Result<SettledSignIn, StoreError> {
        let user_name = cut(person.user_name.as_deref().unwrap_or_default(), 320);
        let held = HeldSignIn {
            provider: self.provider,
            replaces: before
                .filter(|before| !before.is(&person))
                .and_then(|before| before.user_name),
            person: Person {
                user_name: Some(user_name.clone()),
                ..person
            },
            expected: names,
            held_at: self.now,
            expires_at: self.now.plus(HELD_FOR),
        };
        let row = self.provider.to_string();
        let seal = |column, secret: &SecretString| self.keys.seal(place(&row, column), secret);
        forget(tx, self.provider).await?;
        tx.run(
            sqlx::query(
                "INSERT INTO held_sign_ins (provider_id, signed_in_as, tenant_id, object_id, expected, replaces, access_token, access_expires_at, refresh_token, scopes, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(self.provider.get())
            .bind(user_name)
            .bind(held.person.tenant_id.as_deref().map(|text| cut(text, 255)))
            .bind(held.person.object_id.as_deref().map(|text| cut(text, 255)))
            .bind(json!(held.expected).to_string())
            .bind(held.replaces.clone())
            .bind(seal("access_token", &self.tokens.access_token))
            .bind(self.tokens.access_expires_at.millis())
            .bind(
                self.tokens
                    .refresh_token
                    .as_ref()
                    .map(|token| seal("refresh_token", token)),
            )
            .bind(self.tokens.scopes.as_deref().map(|text| cut(text, 10_000)))
            .bind(held.held_at.millis())
            .bind(held.expires_at.millis()),
        )
        .await?;
        let event = NewEvent {
            kind: EventKind::GrantHeld,
            account: None,
            provider: Some(self.provider),
            once: format!("grant.held/{}/{}", self.provider, self.now.millis()),
            payload: json!({
                "signedInAs": held.person.user_name,
                "expected": held.expected,
                "replaces": held.replaces,
            }),
        };
        tx.event(&event, self.now).await?;
        Ok(SettledSignIn::Held(held))
    }
}

struct Confirm {
    provider: CloudProviderId,
    signed_in_as: String,
    keys: Keys,
    now: Timestamp,
}
impl Step for Confirm {
    type Answer = ConfirmedSignIn;
    const DOING: &'static str = "confirming a sign-in";

    async fn apply(&self, tx: &mut Tx) -> Result<ConfirmedSignIn, StoreError> {
        let read = "SELECT provider_id, signed_in_as, tenant_id, object_id, expected, replaces, access_token, access_expires_at, refresh_token, scopes, created_at, expires_at FROM held_sign_ins WHERE provider_id = ? AND expires_at > ?";
        let query = sqlx::query(read).bind(self.provider.get());
        let Some(row) = tx.first(query.bind(self.now.millis())).await? else {
            return Ok(ConfirmedSignIn::Nothing);
        };
        let held = held(&row)?;
        if !held.person.is_called(&self.signed_in_as) {
            let name = held.person.user_name.unwrap_or_default();
            return Ok(ConfirmedSignIn::OtherName(name));
        }
        let (before, confirmed) = pinned(tx, self.provider).await?;
        let theirs = before.as_ref().is_some_and(|one| one.is(&held.person));
        let expected = expected(tx, self.provider).await?;
        let more = names_not_shown(&held, if theirs { &confirmed } else { &[] }, &expected);
        if !more.is_empty() {
            let told = [held.expected, more.clone()].concat();
            let put = "UPDATE held_sign_ins SET expected = ? WHERE provider_id = ?";
            let put = sqlx::query(put).bind(json!(told).to_string());
            tx.run(put.bind(self.provider.get())).await?;
            return Ok(ConfirmedSignIn::MoreNames(more));
        }
        let name = self.provider.to_string();
        let open =
            |column: &'static str, sealed: &[u8]| self.keys.open(place(&name, column), sealed);
        let refresh_token = row.col::<Option<Vec<u8>>>("refresh_token")?;
        let tokens = NewTokens {
            access_token: open("access_token", &row.col::<Vec<u8>>("access_token")?)?,
            access_expires_at: row.time("access_expires_at")?,
            refresh_token: refresh_token
                .map(|sealed| open("refresh_token", &sealed))
                .transpose()?,
            scopes: row.col("scopes")?,
            signed_in_as: held.person.user_name.clone(),
            tenant_id: held.person.tenant_id.clone(),
            object_id: held.person.object_id.clone(),
        };
        let remembered = remembered(&held.person, before.as_ref(), confirmed, expected);
        let sealed = Sealed::new(&self.keys, self.provider, &tokens, self.now);
        let grant = adopt(tx, &self.keys, &sealed, &remembered).await?;
        forget(tx, self.provider).await?;
        Ok(ConfirmedSignIn::Adopted(Box::new(grant)))
    }
}

struct Discard(CloudProviderId);
impl Step for Discard {
    type Answer = bool;
    const DOING: &'static str = "discarding a sign-in";

    async fn apply(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        Ok(forget(tx, self.0).await? > 0)
    }
}

struct Expire(Timestamp);
impl Step for Expire {
    type Answer = u64;
    const DOING: &'static str = "dropping sign-ins that nobody confirmed";

    async fn apply(&self, tx: &mut Tx) -> Result<u64, StoreError> {
        let gone = "DELETE FROM held_sign_ins WHERE expires_at <= ?";
        tx.run(sqlx::query(gone).bind(self.0.millis())).await
    }
}

struct ConfirmName {
    provider: CloudProviderId,
    signed_in_as: String,
    name: String,
}
impl Step for ConfirmName {
    type Answer = bool;
    const DOING: &'static str = "confirming who signed in";

    async fn apply(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        let (before, confirmed) = pinned(tx, self.provider).await?;
        let Some(person) = before.filter(|before| before.is_called(&self.signed_in_as)) else {
            return Ok(false);
        };
        let all = remembered(&person, Some(&person), confirmed, vec![self.name.clone()]);
        let put = "UPDATE grants SET confirmed_for = ? WHERE provider_id = ? AND signed_in_as = ?";
        let put = sqlx::query(put)
            .bind(json!(all).to_string())
            .bind(self.provider.get())
            .bind(person.user_name);
        Ok(tx.run(put).await? == 1)
    }
}

impl Store {
    /// Stores the tokens of a sign-in by [`judge_sign_in`], in one transaction with what it is judged by:
    /// adopted (as [`Store::grant_adopt`], pinned, a held one dropped), held (replacing a held one, with
    /// its event), or not at all. Doing it again is harmless.
    pub async fn sign_in_settle(
        &self,
        provider: CloudProviderId,
        tokens: &NewTokens,
        new_identity: bool,
        now: Timestamp,
    ) -> Result<SettledSignIn, StoreError> {
        let step = Settle {
            provider,
            tokens: tokens.clone(),
            new_identity,
            keys: self.inner.keys.clone(),
            now,
        };
        self.write(step).await
    }

    /// Makes the held sign-in of `signed_in_as` the provider's grant, pinned, and remembers them as
    /// confirmed for every name that accounts expect now. One commit.
    pub async fn held_sign_in_confirm(
        &self,
        provider: CloudProviderId,
        signed_in_as: &str,
        now: Timestamp,
    ) -> Result<ConfirmedSignIn, StoreError> {
        let step = Confirm {
            provider,
            signed_in_as: signed_in_as.to_owned(),
            keys: self.inner.keys.clone(),
            now,
        };
        self.write(step).await
    }

    /// Drops the held sign-in; false where there was none.
    pub async fn held_sign_in_discard(
        &self,
        provider: CloudProviderId,
    ) -> Result<bool, StoreError> {
        self.write(Discard(provider)).await
    }

    /// The held sign-ins whose time is not over, by provider. Their tokens stay sealed.
    pub async fn held_sign_in_list(&self, now: Timestamp) -> Result<Vec<HeldSignIn>, StoreError> {
        let mut reader = self.read("listing held sign-ins").await?;
        let read = "SELECT provider_id, signed_in_as, tenant_id, object_id, expected, replaces, created_at, expires_at FROM held_sign_ins WHERE expires_at > ? ORDER BY provider_id";
        let rows = reader.all(sqlx::query(read).bind(now.millis())).await?;
        rows.iter().map(held).collect()
    }

    /// Deletes the held sign-ins whose time is over; how many there were. Writes only where there are any.
    pub async fn held_sign_in_expire(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut reader = self.read("looking for held sign-ins").await?;
        let over = "SELECT COUNT(*) AS n FROM held_sign_ins WHERE expires_at <= ?";
        let over = reader.count(sqlx::query(over).bind(now.millis())).await?;
        drop(reader);
        if over == 0 {
            return Ok(0);
        }
        self.write(Expire(now)).await
    }

    /// The names that the accounts of a provider expect to have signed in, each once.
    pub async fn expected_sign_ins(
        &self,
        provider: CloudProviderId,
    ) -> Result<Vec<String>, StoreError> {
        let mut reader = self.read("reading who is expected").await?;
        distinct(
            &reader
                .all(sqlx::query(EXPECTED).bind(provider.get()))
                .await?,
        )
    }

    /// An administrator confirmed that `signed_in_as`, whose grant it is, is right for accounts that expect
    /// `name`. False: the grant is somebody else's (meanwhile).
    pub async fn grant_confirm_name(
        &self,
        provider: CloudProviderId,
        signed_in_as: &str,
        name: &str,
    ) -> Result<bool, StoreError> {
        let step = ConfirmName {
            provider,
            signed_in_as: signed_in_as.to_owned(),
            name: cut(name, 320),
        };
        self.write(step).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::differing;

    #[test]
    fn what_was_confirmed_stays_with_the_person_and_goes_with_them() {
        let person = |name: &str| Person {
            user_name: Some(name.to_owned()),
            ..Person::default()
        };
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let (anna, bob) = (person("anna@x"), person("bob@x"));
        let same = remembered(
            &anna,
            Some(&anna),
            names(&["info@x"]),
            names(&["INFO@x", "b@x"]),
        );
        assert_eq!(same, ["info@x", "b@x"]);
        let other = remembered(&bob, Some(&anna), names(&["info@x"]), names(&["b@x"]));
        assert_eq!(other, ["b@x"]);
        let first = remembered(&bob, None, Vec::new(), names(&["b@x"]));
        assert_eq!(first, ["b@x"]);
        assert_eq!(
            differing(&bob, &names(&["B@x", "BOB@x"]), &first),
            Vec::<String>::new()
        );
    }
}
