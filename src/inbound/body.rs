//! Getting the bodies of listed messages, and turning them into what the store takes.

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};

use super::{Parts, Settings, SyncError};
use crate::{
    blob::{Arrived, Blobs, Incoming, Packed, pack},
    diagnosis::{Context, Failure, explain},
    imap::{ImapError, Listed, Session, Step, quirks},
    mime,
    model::{FailureClass, ParsedMail, RawMail, Timestamp, fail_point},
    store::{Aside, AsideReason, IngestItem, NewMessage},
};

/// How Exchange Online begins a notice in the place of a mail.
const SUBSTITUTE: &str = "retrieval using the imap4 protocol failed";
/// Octets of a header block that are kept of a mail over the size limit.
const HEADER: u32 = 256 * 1024;

/// One listed message, decided: its octets, or why there are none.
#[derive(Debug)]
pub(super) struct Kept {
    listed: Listed,
    what: What,
}

#[derive(Debug)]
enum What {
    Mail(Bytes),
    /// Kept already, since it is larger than what is held in memory; its beginning for reading.
    Large {
        beginning: Bytes,
        arrived: Arrived,
    },
    Aside {
        reason: AsideReason,
        detail: String,
        headers: Option<Bytes>,
    },
}

impl Kept {
    pub(super) fn aside(listed: Listed, reason: AsideReason, detail: &str) -> Self {
        let what = What::Aside {
            reason,
            detail: detail.to_owned(),
            headers: None,
        };
        Self { listed, what }
    }
}

/// Fetches every wanted message, one result for each, in order. With `careful`, and where a message
/// is large, in slices; else all at once.
pub(super) async fn fetch(
    session: &mut Session,
    wanted: &[Listed],
    careful: bool,
    blobs: &Blobs,
    settings: &Settings,
) -> Result<Vec<Kept>, SyncError> {
    let whole = |one: &Listed| !careful && one.size <= settings.batch_octets;
    let mut found = Vec::new();
    if wanted.iter().all(whole) {
        found = match session.fetch(wanted).await {
            Ok(found) => found,
            // One of them is refused, perhaps: ask for each by itself.
            Err(error) if is_about_the_mail(&error) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
    }
    let mut kept = Vec::with_capacity(wanted.len());
    for one in wanted {
        let body = found.iter().find(|fetched| fetched.uid == one.uid);
        kept.push(match body.and_then(|fetched| fetched.body.clone()) {
            Some(body) => Kept {
                listed: *one,
                what: What::Mail(body),
            },
            None => by_slices(session, *one, blobs, settings).await?,
        });
    }
    Ok(kept)
}

/// A refusal of one message, not of our working for this account.
pub(super) fn is_about_the_mail(error: &ImapError) -> bool {
    match error {
        ImapError::Refused { code, text, .. } => {
            let passing = matches!(code.as_deref(), Some("UNAVAILABLE" | "INUSE" | "SERVERBUG"));
            // Exchange Online's words for an outage or a lost session are a plain NO or BAD.
            let ours = passing || quirks::is_about_the_session(text);
            let class = error.class();
            !ours && matches!(class, FailureClass::RetryLater | FailureClass::GiveUp)
        }
        _ => false,
    }
}

/// One message in slices, so that memory grows with what is there and not with what is announced. From
/// [`Settings::held`] octets on it goes to the objects as it comes, and only its beginning stays in memory.
async fn by_slices(
    session: &mut Session,
    one: Listed,
    blobs: &Blobs,
    settings: &Settings,
) -> Result<Kept, SyncError> {
    if one.size > settings.body_limit {
        return oversize(session, one, one.size).await;
    }
    let mut taking = Taking::new(one.size > settings.held, blobs).await?;
    loop {
        let offset = taking.size();
        // The server's size is not to be trusted: what has come counts as well.
        if offset > settings.body_limit {
            taking.discard().await;
            return oversize(session, one, offset).await;
        }
        let slice = session
            .fetch_slice(one.uid, offset, settings.slice_octets)
            .await;
        let slice = match slice {
            Ok(Some(slice)) => slice,
            // Some servers have no octets behind the end, not even none.
            Ok(None) if offset > 0 && offset >= one.size => Bytes::new(),
            Ok(None) => {
                taking.discard().await;
                let gone = vanished(session, one).await?;
                return Ok(gone.unwrap_or_else(|| {
                    Kept::aside(one, AsideReason::NoBody, "the server has no body for it")
                }));
            }
            Err(error) => {
                taking.discard().await;
                if !is_about_the_mail(&error) {
                    return Err(error.into());
                }
                // The words of a refusal do not tell a mail that is broken from a server that is, for
                // a while: only a refusal that is repeated counts, and the caller counts.
                return match vanished(session, one).await? {
                    Some(gone) => Ok(gone),
                    None => Err(error.into()),
                };
            }
        };
        // Fewer octets than asked for are the end only where the mail ends by its size: some servers give less at a
        // time than they are asked for, and a mail that is cut is no mail (I5).
        let octets = u64::try_from(slice.len()).unwrap_or(u64::MAX);
        let short = octets < u64::from(settings.slice_octets);
        let last = slice.is_empty() || (short && offset.saturating_add(octets) == one.size);
        taking.add(slice, settings.held, blobs).await?;
        if last {
            return Ok(Kept {
                listed: one,
                what: taking.finish().await?,
            });
        }
    }
}

/// Octets of the beginning of a large mail that are read: its headers and, nearly always, its text.
const BEGINNING: usize = 1024 * 1024;

/// A mail that comes in slices.
enum Taking {
    Held(BytesMut),
    Passed {
        beginning: BytesMut,
        incoming: Incoming,
    },
}

impl Taking {
    async fn new(large: bool, blobs: &Blobs) -> Result<Self, SyncError> {
        if !large {
            return Ok(Self::Held(BytesMut::new()));
        }
        Ok(Self::Passed {
            beginning: BytesMut::new(),
            incoming: blobs.incoming().await?,
        })
    }

    fn size(&self) -> u64 {
        match self {
            Self::Held(body) => u64::try_from(body.len()).unwrap_or(u64::MAX),
            Self::Passed { incoming, .. } => incoming.size(),
        }
    }

    async fn add(&mut self, slice: Bytes, held: u64, blobs: &Blobs) -> Result<(), SyncError> {
        if let Self::Held(body) = self {
            body.extend_from_slice(&slice);
            if u64::try_from(body.len()).unwrap_or(u64::MAX) <= held {
                return Ok(());
            }
            // Larger than the server said.
            let whole = std::mem::take(body).freeze();
            let mut incoming = blobs.incoming().await?;
            let beginning = BytesMut::from(whole.get(..BEGINNING).unwrap_or(&whole));
            incoming.write(whole).await?;
            *self = Self::Passed {
                beginning,
                incoming,
            };
            return Ok(());
        }
        if let Self::Passed {
            beginning,
            incoming,
        } = self
        {
            let room = BEGINNING.saturating_sub(beginning.len());
            beginning.extend_from_slice(slice.get(..room).unwrap_or(&slice));
            incoming.write(slice).await?;
        }
        Ok(())
    }

    async fn finish(self) -> Result<What, SyncError> {
        Ok(match self {
            Self::Held(body) => What::Mail(body.freeze()),
            Self::Passed {
                beginning,
                incoming,
            } => What::Large {
                beginning: beginning.freeze(),
                arrived: incoming.finish().await?,
            },
        })
    }

    async fn discard(self) {
        if let Self::Passed { incoming, .. } = self {
            incoming.discard().await;
        }
    }
}

/// No body: the message is gone, or (`None`) the server cannot give it (bad input 11, fault 38).
async fn vanished(session: &mut Session, one: Listed) -> Result<Option<Kept>, SyncError> {
    let listed = session.list(one.uid, Some(one.uid)).await?;
    Ok(listed.is_empty().then(|| {
        Kept::aside(
            one,
            AsideReason::Vanished,
            "gone before it could be fetched",
        )
    }))
}

async fn oversize(session: &mut Session, one: Listed, octets: u64) -> Result<Kept, SyncError> {
    let headers = session.fetch_header(one.uid, HEADER).await?;
    let what = What::Aside {
        reason: AsideReason::Oversize,
        detail: format!("{octets} octets or more; the body is still on the server"),
        headers,
    };
    Ok(Kept { listed: one, what })
}

/// Octets of mail read in one go on a thread that may block.
const SHEAF: usize = 128 * 1024;

/// A mail that was read.
struct Sheet {
    body: Bytes,
    parsed: Result<ParsedMail, String>,
    sha256: [u8; 32],
    packed: Packed,
}

/// Parses, hashes and keeps; what the blob store has taken is durable before the commit that refers
/// to it.
pub(super) async fn read(parts: &Parts, kept: Vec<Kept>) -> Result<Vec<IngestItem>, SyncError> {
    let bodies = kept.iter().filter_map(|kept| match &kept.what {
        What::Mail(body)
        | What::Large {
            beginning: body, ..
        } => Some(body.clone()),
        What::Aside { .. } => None,
    });
    let mut sheets = parse(parts, bodies.collect()).await?.into_iter();
    let mut items = Vec::with_capacity(kept.len());
    for Kept { listed, what } in kept {
        items.push(match what {
            What::Large { arrived, .. } => {
                let sheet = sheets.next().ok_or(SyncError::Stopping)?;
                let mut parsed = sheet.parsed;
                if let Ok(mail) = &mut parsed {
                    mail.truncated = true;
                }
                IngestItem::Message(Box::new(NewMessage {
                    uid: listed.uid,
                    internal_date: date(listed.internal_date, parsed.as_ref().ok()),
                    size: arrived.size,
                    sha256: arrived.sha256,
                    raw: RawMail::Object(arrived.key),
                    parsed,
                }))
            }
            What::Mail(_) => {
                let sheet = sheets.next().ok_or(SyncError::Stopping)?;
                let parsed = sheet.parsed;
                let size = u64::try_from(sheet.body.len()).unwrap_or(u64::MAX);
                let raw = parts.blobs.keep_packed(sheet.packed, sheet.body).await?;
                match parsed.as_ref().ok().and_then(substitute) {
                    Some(detail) => IngestItem::Aside(Aside {
                        uid: listed.uid,
                        reason: AsideReason::Unreadable,
                        detail,
                        raw: Some(raw),
                    }),
                    None => IngestItem::Message(Box::new(NewMessage {
                        uid: listed.uid,
                        internal_date: date(listed.internal_date, parsed.as_ref().ok()),
                        size,
                        sha256: sheet.sha256,
                        raw,
                        parsed,
                    })),
                }
            }
            What::Aside {
                reason,
                detail,
                headers,
            } => {
                let raw = match headers {
                    Some(headers) => Some(parts.blobs.keep(headers).await?),
                    None => None,
                };
                IngestItem::Aside(Aside {
                    uid: listed.uid,
                    reason,
                    detail,
                    raw,
                })
            }
        });
    }
    Ok(items)
}

/// What is said where the server gave a notice of its own in the place of a mail; `None` for a mail.
fn substitute(mail: &ParsedMail) -> Option<String> {
    let text = mail.text.as_deref().unwrap_or_default();
    let sender = format!("{} {}", mail.from.name, mail.from.address);
    if !quirks::is_substitute(&sender, &mail.subject, text) {
        return None;
    }
    let notice: String = [mail.subject.as_str(), text].join(" ");
    let refused = ImapError::Refused {
        during: Step::Fetch,
        code: None,
        text: match notice.to_ascii_lowercase().contains(SUBSTITUTE) {
            true => notice,
            false => format!("{SUBSTITUTE}: {notice}"),
        },
    };
    let said = explain(&Failure::Imap(refused), &Context::default());
    Some(format!("{} {} {}", said.what, said.why, said.next))
}

/// A mail is known again by its date, among others: without INTERNALDATE only what stands in the mail
/// itself will do, never the time of reading, or it would be announced again when it is read again (I4).
fn date(internal: Option<Timestamp>, parsed: Option<&ParsedMail>) -> Timestamp {
    internal
        .or_else(|| parsed.and_then(|mail| mail.date))
        .unwrap_or_else(|| Timestamp::from_millis(0))
}

/// Where blocking is allowed, a few at a time and small mails many in one go; in the order of `bodies`.
async fn parse(parts: &Parts, bodies: Vec<Bytes>) -> Result<Vec<Sheet>, SyncError> {
    let mut sheaves: Vec<Vec<Bytes>> = Vec::new();
    let mut octets = SHEAF;
    for body in bodies {
        octets = octets.saturating_add(body.len());
        match sheaves.last_mut() {
            Some(sheaf) if octets <= SHEAF => sheaf.push(body),
            _ => {
                octets = body.len();
                sheaves.push(vec![body]);
            }
        }
    }
    let reading = sheaves.into_iter().map(|sheaf| async move {
        let permit = parts.budget.parsing().acquire_owned().await;
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            sheaf.into_iter().map(one).collect::<Vec<_>>()
        });
        // Only the end of the runtime cancels it: nothing is stored then.
        work.await.map_err(|_gone| SyncError::Stopping)
    });
    let sheets = futures_util::future::try_join_all(reading).await?;
    Ok(sheets.into_iter().flatten().collect())
}

/// A parser that panics harms its mail only: it is kept and shown as unreadable (fault 58).
fn one(body: Bytes) -> Sheet {
    let parsed = std::panic::catch_unwind(|| {
        fail_point("inbound.parse");
        mime::parse(&body).map_err(|error| error.to_string())
    });
    Sheet {
        parsed: parsed.unwrap_or_else(|_panic| Err("the reader gave up on it".to_owned())),
        sha256: Sha256::digest(&body).into(),
        packed: pack(&body),
        body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_has_the_same_date_whenever_it_is_read() {
        let at = Timestamp::from_millis;
        let dated = mime::parse(b"Date: Thu, 1 Jan 1970 00:00:07 +0000\r\n\r\nx").unwrap();
        let undated = mime::parse(b"Subject: x\r\n\r\nx").unwrap();
        let cases = [
            (Some(at(5_000)), Some(&dated), at(5_000)),
            (None, Some(&dated), at(7_000)),
            (None, Some(&undated), at(0)),
            (None, None, at(0)),
        ];
        for (internal, parsed, expected) in cases {
            assert_eq!(date(internal, parsed), expected);
        }
    }

    #[test]
    fn an_outage_in_known_words_is_never_about_the_mail() {
        let refused = |code: Option<&str>, text: &str| ImapError::Refused {
            during: Step::Fetch,
            code: code.map(str::to_owned),
            text: text.to_owned(),
        };
        let cases = [
            (refused(None, "Message is corrupt"), true),
            (refused(Some("UNAVAILABLE"), "later"), false),
            (refused(None, "Server Unavailable. 15"), false),
        ];
        for (error, expected) in cases {
            assert_eq!(is_about_the_mail(&error), expected, "{error}");
        }
    }
}
