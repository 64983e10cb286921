//! Bounds on what an IMAP server may send.
