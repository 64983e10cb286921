//! The parts of a mail: its first text, its first HTML, and everything else as an attachment.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use mailparse::{DispositionType, MailHeaderMap, ParsedMail as Tree, body::Body};

use super::parse_text as text;
use crate::model::{Attachment, ParsedMail};

/// Parts that are looked at.
const PARTS: usize = 1_000;
/// Nesting that is followed; what is deeper is left in the raw mail.
const DEPTH: usize = 32;
/// Octets of decoded text that are kept.
const TEXT: usize = 10 * 1024 * 1024;

/// Fills in the body fields.
pub(super) fn read(mail: &Tree<'_>, parsed: &mut ParsedMail) {
    let mut waiting = vec![(mail, 0)];
    let mut number = 0;
    while let Some((part, depth)) = waiting.pop() {
        let place = number;
        number += 1;
        if usize::try_from(place).is_ok_and(|place| place >= PARTS) {
            parsed.truncated = true;
            return;
        }
        if !part.subparts.is_empty() {
            if depth >= DEPTH {
                parsed.truncated = true;
                continue;
            }
            // Last in, first out: the first child is looked at next, so places are depth-first.
            waiting.extend(part.subparts.iter().rev().map(|child| (child, depth + 1)));
            continue;
        }
        leaf(part, place, parsed);
    }
}

fn leaf(part: &Tree<'_>, place: u32, parsed: &mut ParsedMail) {
    let disposition = part.get_content_disposition();
    let attached = disposition.disposition == DispositionType::Attachment;
    let content_type = text::line(&part.ctype.mimetype.to_ascii_lowercase(), 200).0;
    let slot = match content_type.as_str() {
        "text/plain" if parsed.text.is_none() => Some(&mut parsed.text),
        "text/html" if parsed.html.is_none() => Some(&mut parsed.html),
        // A multipart without parts: its text is all there is.
        kind if kind.starts_with("multipart/") && parsed.text.is_none() => Some(&mut parsed.text),
        _ => None,
    };
    if let (Some(slot), false) = (slot, attached) {
        let (shown, cut) = decoded_text(part);
        *slot = Some(shown);
        parsed.truncated |= cut;
        return;
    }
    let content_id = part
        .headers
        .get_first_value("Content-ID")
        .map(|id| text::line(id.trim().trim_start_matches('<').trim_end_matches('>'), 500).0)
        .filter(|id| !id.is_empty());
    let given = disposition
        .params
        .get("filename")
        .or_else(|| part.ctype.params.get("name"))
        .map_or_else(|| unnamed(&content_type, place), String::clone);
    parsed.attachments.push(Attachment {
        part: place,
        file_name: text::file_name(&given),
        inline: !attached && content_id.is_some(),
        content_id,
        size: decoded_size(part),
        content_type,
    });
}

fn unnamed(content_type: &str, place: u32) -> String {
    let extension = match content_type {
        "message/rfc822" => "eml",
        "text/plain" => "txt",
        "text/html" => "html",
        "text/calendar" => "ics",
        "image/png" => "png",
        "image/jpeg" => "jpg",
        "image/gif" => "gif",
        "application/pdf" => "pdf",
        _ => "bin",
    };
    format!("part-{place}.{extension}")
}

/// The decoded text, in characters. True where it was cut.
fn decoded_text(part: &Tree<'_>) -> (String, bool) {
    let mut octets = decoded(part);
    // A character takes at least an octet in every charset; cut before the work, not after it.
    let long = octets.len() > TEXT;
    if long {
        octets.truncate(TEXT);
        while octets.last().is_some_and(|octet| *octet & 0xc0 == 0x80) {
            octets.pop();
        }
        if octets.last().is_some_and(|octet| *octet >= 0xc0) {
            octets.pop();
        }
    }
    let charset = part.ctype.charset.to_ascii_lowercase();
    let unlabelled = matches!(charset.as_str(), "" | "us-ascii" | "ascii");
    let shown = match String::from_utf8(octets) {
        // Many senders forget the label, few write valid UTF-8 by chance.
        Ok(shown) if unlabelled || matches!(charset.as_str(), "utf-8" | "utf8") => shown,
        Ok(shown) => in_charset(&charset, shown.as_bytes()),
        Err(error) => in_charset(&charset, error.as_bytes()),
    };
    let (shown, cut) = text::body(shown, TEXT);
    (shown, cut || long)
}

/// Octets in a charset as characters: the parser does that for the body of a mail, so it is given one.
fn in_charset(charset: &str, octets: &[u8]) -> String {
    let label: String = charset
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':' | '.'))
        .take(40)
        .collect();
    let mut mail = format!(
        "Content-Type: text/plain; charset=\"{label}\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    )
    .into_bytes();
    mail.extend_from_slice(octets);
    mailparse::parse_mail(&mail)
        .and_then(|mail| mail.get_body())
        .unwrap_or_else(|_| String::from_utf8_lossy(octets).into_owned())
}

/// The part's octets with the transfer encoding taken off, as far as it goes.
fn decoded(part: &Tree<'_>) -> Vec<u8> {
    match part.get_body_encoded() {
        Body::Base64(body) => body
            .get_decoded()
            .unwrap_or_else(|_| loose_base64(body.get_raw())),
        Body::QuotedPrintable(body) => body
            .get_decoded()
            .unwrap_or_else(|_| body.get_raw().to_vec()),
        Body::SevenBit(body) | Body::EightBit(body) => body.get_raw().to_vec(),
        Body::Binary(body) => body.get_raw().to_vec(),
    }
}

/// What can be decoded of base64 with garbage in it: everything up to the padding.
fn loose_base64(raw: &[u8]) -> Vec<u8> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let engine = GeneralPurpose::new(&alphabet::STANDARD, config);
    let mut letters: Vec<u8> = raw
        .iter()
        .copied()
        .take_while(|octet| *octet != b'=')
        .filter(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/'))
        .collect();
    if letters.len() % 4 == 1 {
        letters.pop();
    }
    engine.decode(letters).unwrap_or_default()
}

/// The decoded size, without decoding base64.
fn decoded_size(part: &Tree<'_>) -> u64 {
    let size = match part.get_body_encoded() {
        Body::Base64(body) => {
            let is_letter = |o: &&u8| o.is_ascii_alphanumeric() || matches!(o, b'+' | b'/');
            // Four letters carry three octets; a rest of two or three carries one or two.
            body.get_raw().iter().filter(is_letter).count() * 3 / 4
        }
        Body::QuotedPrintable(body) => body.get_decoded().map_or(body.get_raw().len(), |d| d.len()),
        Body::SevenBit(body) | Body::EightBit(body) => body.get_raw().len(),
        Body::Binary(body) => body.get_raw().len(),
    };
    u64::try_from(size).unwrap_or(u64::MAX)
}
