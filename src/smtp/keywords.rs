//! What a server says of itself in its answer to EHLO.

use super::Reply;

/// The extensions we use. RFC 5321 §2.4: keywords know no case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Keywords {
    pub(super) start_tls: bool,
    pub(super) size: bool,
    pub(super) eight_bit: bool,
    pub(super) utf8: bool,
    /// AUTH mechanisms, upper case.
    pub(super) auth: Vec<String>,
}

impl Keywords {
    pub(super) fn read(reply: &Reply) -> Self {
        let mut found = Self::default();
        // The first line is the server's name.
        for line in reply.lines.iter().skip(1) {
            let upper = line.to_ascii_uppercase();
            // `AUTH=LOGIN PLAIN` is how servers of the last century say it; some still do.
            let upper = upper.replacen("AUTH=", "AUTH ", 1);
            let mut words = upper.split_ascii_whitespace();
            match words.next() {
                Some("STARTTLS") => found.start_tls = true,
                Some("SIZE") => found.size = true,
                Some("8BITMIME") => found.eight_bit = true,
                Some("SMTPUTF8") => found.utf8 = true,
                Some("AUTH") => {
                    for word in words {
                        if !found.offers(word) {
                            found.auth.push(word.to_owned());
                        }
                    }
                }
                _ => {}
            }
        }
        found
    }

    pub(super) fn offers(&self, mechanism: &str) -> bool {
        self.auth.iter().any(|offered| offered == mechanism)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::reply::Parser, *};

    #[test]
    fn keywords_are_read_in_any_case_and_the_first_line_is_none() {
        let mut parser = Parser::default();
        let mut reply = None;
        for line in [
            "250-STARTTLS is my name",
            "250-size 157286400",
            "250-8BitMime",
            "250-AUTH login XOAUTH2",
            "250-AUTH=LOGIN PLAIN",
            "250 CHUNKING",
        ] {
            reply = parser.line(line.as_bytes()).unwrap();
        }
        let found = Keywords::read(&reply.unwrap());
        assert_eq!(
            found,
            Keywords {
                start_tls: false,
                size: true,
                eight_bit: true,
                utf8: false,
                auth: vec!["LOGIN".into(), "XOAUTH2".into(), "PLAIN".into()],
            }
        );
    }
}
