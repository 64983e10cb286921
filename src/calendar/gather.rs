//! What is stored, and what lanes show at this moment, as entries.

use std::collections::BTreeMap;

use super::{Entry, Settings, mailboxes, providers};
use crate::{
    model::{AccountId, ClientCertificate, CloudProvider, CloudProviderId, Grant, Timestamp},
    oauth::{CertificateError, check_certificate},
    store::{Contacts, FreshnessRow, Page, Store, StoreError},
};

/// Providers read at a time.
const PAGE: i64 = 500;

/// What the calendar is made of.
pub(super) struct Facts {
    pub(super) providers: Vec<(CloudProvider, Option<Grant>)>,
    pub(super) mailboxes: Vec<Mailbox>,
}

/// An account's freshness with what its lanes show here.
pub(super) struct Mailbox {
    pub(super) row: FreshnessRow,
    /// Its lanes run in this process.
    pub(super) here: bool,
}

impl Mailbox {
    fn new(mut row: FreshnessRow, live: Option<&Contacts>) -> Self {
        if let Some(live) = live {
            // What runs here knows better than what was written down, also where a clock was set back.
            row.contacts.inbound = live.inbound.or(row.contacts.inbound);
            row.contacts.outbound = live.outbound.or(row.contacts.outbound);
        }
        Self {
            row,
            here: live.is_some(),
        }
    }

    /// What another node's lanes show is written down minutes later.
    fn settings(&self, settings: &Settings) -> Settings {
        if self.here {
            return *settings;
        }
        let lag = (settings.write_every() + settings.look_every()) * 2;
        Settings {
            notice_after: settings.notice_after + lag,
            warn_after: settings.warn_after + lag,
            proof: settings.proof,
        }
    }

    pub(super) fn entries(&self, settings: &Settings, now: Timestamp) -> [Entry; 2] {
        mailboxes::entries(&self.row, &self.settings(settings), now)
    }
}

impl Facts {
    pub(super) async fn read(store: &Store, live: &[Contacts]) -> Result<Self, StoreError> {
        let mut providers = Vec::new();
        for page in 0.. {
            let rows = store.provider_list(Page {
                limit: PAGE,
                offset: PAGE.saturating_mul(page),
            });
            let rows = rows.await?.rows;
            let last = i64::try_from(rows.len()).unwrap_or(0) < PAGE;
            providers.extend(rows);
            if last {
                break;
            }
        }
        // One that does not decrypt is left out there and silences no other (I6).
        let grants = store.grant_list().await?.into_iter();
        let mut grants: BTreeMap<CloudProviderId, Grant> =
            grants.map(|grant| (grant.provider, grant)).collect();
        let providers = providers.into_iter().map(|provider| {
            let grant = grants.remove(&provider.id);
            (provider, grant)
        });
        let live: BTreeMap<AccountId, &Contacts> =
            live.iter().map(|one| (one.account, one)).collect();
        let rows = store.freshness(None).await?;
        let mailboxes = rows
            .into_iter()
            .map(|row| {
                let live = live.get(&row.contacts.account).copied();
                Mailbox::new(row, live)
            })
            .collect();
        Ok(Self {
            providers: providers.collect(),
            mailboxes,
        })
    }

    /// All entries, by what ends first; what has no end comes last.
    pub(super) fn entries(&self, settings: &Settings, now: Timestamp) -> Vec<Entry> {
        let providers = self
            .providers
            .iter()
            .flat_map(|(one, grant)| provider(one, grant.as_ref(), now));
        let mailboxes = self
            .mailboxes
            .iter()
            .flat_map(|mailbox| mailbox.entries(settings, now));
        let mut entries: Vec<Entry> = providers.chain(mailboxes).collect();
        // Stable: providers before accounts, each by id.
        entries.sort_by_key(|entry| (entry.due.is_none(), entry.due));
        entries
    }
}

/// Every entry there is, by what ends first. `live` is what the lanes of this process show; it wins over what
/// was written down.
///
/// # Errors
/// The database.
pub async fn all(
    store: &Store,
    live: &[Contacts],
    settings: &Settings,
    now: Timestamp,
) -> Result<Vec<Entry>, StoreError> {
    Ok(Facts::read(store, live).await?.entries(settings, now))
}

/// The entries of one provider: its credentials in order of use, then its sign-in.
pub fn provider(provider: &CloudProvider, grant: Option<&Grant>, now: Timestamp) -> Vec<Entry> {
    let certificate = provider.entered.certificate.as_ref();
    let ends = certificate.and_then(|certificate| ends(certificate, now));
    providers::entries(provider, grant, ends, now)
}

/// The entries of one account: inbound, outbound.
pub fn account(
    row: &FreshnessRow,
    live: Option<&Contacts>,
    settings: &Settings,
    now: Timestamp,
) -> [Entry; 2] {
    Mailbox::new(row.clone(), live).entries(settings, now)
}

/// When a certificate ends; `None` where it cannot be used anyway.
fn ends(certificate: &ClientCertificate, now: Timestamp) -> Option<Timestamp> {
    match check_certificate(certificate, now) {
        Ok(facts) => Some(facts.not_after),
        Err(CertificateError::Expired { at }) => Some(at),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use openssl::{asn1::Asn1Time, hash::MessageDigest, pkey::PKey, rsa::Rsa, x509::X509};

    use super::*;

    #[test]
    fn a_certificates_own_date_counts_also_once_it_is_over() {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let at = |seconds| Asn1Time::from_unix(seconds).unwrap();
        let mut builder = X509::builder().unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.set_not_before(&at(1_700_000_000)).unwrap();
        builder.set_not_after(&at(1_800_000_000)).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        let text = |pem: Vec<u8>| String::from_utf8(pem).unwrap();
        let mut certificate = ClientCertificate {
            certificate: text(builder.build().to_pem().unwrap()),
            private_key: text(key.private_key_to_pem_pkcs8().unwrap()).into(),
        };
        let end = Timestamp::from_millis(1_800_000_000_000);
        for now in [1_750_000_000_000, 1_800_000_000_000, 1_900_000_000_000] {
            let now = Timestamp::from_millis(now);
            assert_eq!(ends(&certificate, now), Some(end), "{now:?}");
        }
        certificate.certificate = "nonsense".into();
        assert_eq!(ends(&certificate, end), None);
    }
}
