//! Mailbox names as people write them and as the protocol does (modified UTF-7, RFC 3501 §5.1.3). Pure.

use base64::{
    Engine,
    alphabet::Alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// Base64 with `,` for `/` and without padding; a decoder lets stray bits at the end pass.
fn engine() -> Option<GeneralPurpose> {
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";
    let config = GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true);
    Some(GeneralPurpose::new(&Alphabet::new(letters).ok()?, config))
}

/// A name in modified UTF-7.
pub fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut wide: Vec<u8> = Vec::new();
    let flush = |wide: &mut Vec<u8>, out: &mut String| {
        if let (false, Some(engine)) = (wide.is_empty(), engine()) {
            out.push('&');
            out.push_str(&engine.encode(&wide));
            out.push('-');
            wide.clear();
        }
    };
    for letter in name.chars() {
        if (' '..='~').contains(&letter) {
            flush(&mut wide, &mut out);
            out.push(letter);
            if letter == '&' {
                out.push('-');
            }
        } else {
            let mut units = [0; 2];
            for unit in letter.encode_utf16(&mut units) {
                wide.extend(unit.to_be_bytes());
            }
        }
    }
    flush(&mut wide, &mut out);
    out
}

/// A name for people. What is no modified UTF-7 is shown as it is (many servers send plain UTF-8), control
/// characters as U+FFFD.
pub fn decode(name: &str) -> String {
    let shown = strictly(name).unwrap_or_else(|| name.to_owned());
    let clean = |letter: char| {
        if letter.is_control() {
            '\u{fffd}'
        } else {
            letter
        }
    };
    shown.chars().map(clean).collect()
}

fn strictly(name: &str) -> Option<String> {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((plain, shifted)) = rest.split_once('&') {
        out.push_str(plain);
        let (code, after) = shifted.split_once('-')?;
        if code.is_empty() {
            out.push('&');
        } else {
            let octets = engine()?.decode(code).ok()?;
            let units: Vec<u16> = octets
                .chunks(2)
                .map(|pair| <[u8; 2]>::try_from(pair).ok().map(u16::from_be_bytes))
                .collect::<Option<_>>()?;
            out.push_str(&String::from_utf16(&units).ok()?);
        }
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_out_and_come_back_as_the_protocol_has_them() {
        for (name, wire) in [
            ("INBOX", "INBOX"),
            ("Entwürfe", "Entw&APw-rfe"),
            ("R&D", "R&-D"),
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("a\"b\\c", "a\"b\\c"),
            ("😀", "&2D3eAA-"),
            ("", ""),
        ] {
            assert_eq!(encode(name), wire);
            assert_eq!(decode(wire), name);
        }
    }

    /// Bad input 15.
    #[test]
    fn broken_names_are_shown_as_they_are_and_never_with_control_characters() {
        for (wire, shown) in [
            ("&", "&"),
            ("&AAA", "&AAA"),
            ("&AAA-", "\u{fffd}"),
            ("&!!-", "&!!-"),
            ("&2D0-", "&2D0-"),
            ("Entwürfe", "Entwürfe"),
            ("a\0b\r\nA9 LOGOUT", "a\u{fffd}b\u{fffd}\u{fffd}A9 LOGOUT"),
            ("&AA0ACg-", "\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(decode(wire), shown, "{wire:?}");
        }
        let long = "&".repeat(10_240);
        assert_eq!(decode(&long), long);
    }
}
