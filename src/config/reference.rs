//! The documented env file, made from the table of keys.

use std::fmt::Write as _;

use super::built_in::{Place, built_in};
use super::keys::KEYS;

/// The text of `etc/motion-email.env`: every key with its meaning, its default on a server, and whether a reload applies it.
pub fn reference() -> String {
    let place = Place::system();
    let defaults = built_in(&place, &place.state, "");
    let mut text = String::from(
        "# Settings of motion-email, read by the daemon itself: at its start and at `systemctl reload motion-email`.\n\
         # Every key is shown with its default; remove the # in front of one to change it.\n\
         #\n\
         # Values may be quoted: 'as it is', \"with \\n, \\\" and \\\\\". Nothing is expanded. A later file wins over an earlier one\n\
         # (--env-file), the process's environment wins over files, command-line flags win over both. `motion-email check`\n\
         # names everything that is wrong, with file and line.\n\
         #\n\
         # A file that holds a password must not be readable by everyone: chmod 640.\n",
    );
    for key in KEYS {
        text.push('\n');
        for line in key.about {
            let _ = writeln!(text, "# {line}");
        }
        let when = if key.live {
            "a reload applies it"
        } else {
            "needs a restart"
        };
        let _ = writeln!(text, "# Allowed: {}; {when}.", key.allowed);
        let default = match key.name {
            "XC_EMAIL_NODE_NAME" => String::new(),
            _ => (key.text)(&defaults),
        };
        let _ = writeln!(text, "#{}={default}", key.name);
    }
    text
}
