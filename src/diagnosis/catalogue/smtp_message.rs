//! What submission servers say about one message or one recipient, and about their own passing trouble.

use super::{
    Row, entry,
    smtp::{Mark, When, mark},
};
use crate::model::Action::{Retry, ThisMessageOnly};

pub(super) const MESSAGE: &[Row<Mark>] = &[
    (
        mark(&[], &[(5, 3, 3)], When::Always),
        entry(
            "smtp_too_many_recipients",
            Retry,
            "{server} takes fewer recipients at once than this message has.",
            "",
            "Nothing: the rest is sent in further transactions by itself.",
        ),
    ),
    (
        mark(
            &[
                "sendsizelimit",
                "recipsizelimit",
                "message size exceeds",
                "exceeded google's message size",
                "message too large",
            ],
            &[(2, 3, 3), (2, 11, 12), (3, 4, 4)],
            When::Final,
        ),
        entry(
            "smtp_message_too_large",
            ThisMessageOnly,
            "The message is larger than {server} or a recipient takes.",
            "Attachments grow by a third on the way.",
            "Send it with smaller attachments or a link; or an Exchange administrator raises the limit: \
             Set-Mailbox -Identity {mailbox} -MaxSendSize 100MB (at most 150MB).",
        ),
    ),
    (
        mark(
            &["multiple from addresses are not allowed", "bare line feed"],
            &[(1, 20, 20), (6, 11, 11), (7, 512, 512)],
            When::Final,
        ),
        entry(
            "smtp_message_malformed",
            ThisMessageOnly,
            "{server} does not take the form of this message.",
            "",
            "Correct the From field where the message came ready-made; else report it with the log lines around it.",
        ),
    ),
    (
        mark(
            &["recipient not found", "user unknown", "no such user"],
            &[(1, 1, 1), (1, 10, 10), (4, 1, 1), (5, 0, 0)],
            When::Final,
        ),
        entry(
            "smtp_no_such_recipient",
            ThisMessageOnly,
            "A recipient's address does not exist.",
            "",
            "Correct the address and send the message again.",
        ),
    ),
    (
        mark(&[], &[(7, 509, 509)], When::Final),
        entry(
            "smtp_dmarc_refused",
            ThisMessageOnly,
            "A recipient's server refuses the message because the domain of {mailbox} asks it to (DMARC).",
            "The message is not signed or sent as that domain's policy demands.",
            "The administrator of the sender's domain sets up DKIM and SPF for {server}; then send the message again.",
        ),
    ),
    (
        mark(
            &[],
            &[
                (7, 1, 1),
                (7, 12, 12),
                (7, 124, 124),
                (7, 133, 136),
                (7, 504, 505),
                (7, 507, 507),
                (7, 513, 513),
            ],
            When::Final,
        ),
        entry(
            "smtp_recipient_refuses",
            ThisMessageOnly,
            "A recipient does not take mail from {mailbox}, or not this message.",
            "The recipient's server restricts who may write.",
            "Ask the recipient to allow the sender, or write by another way.",
        ),
    ),
    (
        mark(
            &["prx2", "prx4", "prx5", "temporary server error"],
            &[],
            When::Passing,
        ),
        entry(
            "smtp_proxy_trouble",
            Retry,
            "{server} did not reach its own back end.",
            "",
            "{itself}",
        ),
    ),
    (
        mark(&[], &[(2, 1, 2)], When::Passing),
        entry(
            "smtp_recipient_later",
            Retry,
            "A recipient's mailbox takes no mail at the moment.",
            "It is full, or gets too much at once.",
            "Nothing: this copy is tried again by itself until the message's time is over.",
        ),
    ),
    (
        mark(
            &[
                "service not available",
                "server busy",
                "insufficient system resources",
                "try again later",
            ],
            &[(3, 0, 2), (4, 2, 2), (4, 5, 5), (5, 0, 0), (7, 0, 0)],
            When::Passing,
        ),
        entry(
            "smtp_server_busy",
            Retry,
            "{server} is overloaded or closes down at the moment.",
            "",
            "{itself} If it lasts for hours, see the provider's service health.",
        ),
    ),
];
