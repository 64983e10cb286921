//! Each command that a text of ours names can be typed as it stands there: sources, README, settings and packaging.

use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, error::ErrorKind};

use crate::cli::args::Cli;

/// Words behind the program's name that are prose.
const PROSE: [&str; 14] = [
    "a", "about", "and", "at", "command", "ends", "has", "is", "key", "needs", "on", "starts",
    "stops", "works",
];

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path
            .extension()
            .is_some_and(|kind| kind == "rs" || kind == "md")
        {
            found.push(path);
        }
    }
}

/// A Rust source's long strings go over lines that end in a backslash.
fn joined(text: &str) -> String {
    let mut lines = text.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |all, line| all + line.trim_start())
}

/// The words of a command, as far as it can reach: up to the end of the quotation or the sentence. What stands for
/// something is replaced by something.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for word in text.split([' ', '\n']) {
        let end = word.find(['`', '"', '\'', ';', ',', ')', '(', '|', '\\', '<']);
        let stop = end.is_some() || word.ends_with(['.', ':']);
        let word = word.get(..end.unwrap_or(word.len())).unwrap_or_default();
        let word = word.trim_end_matches(['.', ':']).trim_matches(['[', ']']);
        if word.is_empty() {
            // A quoted value; what is behind it is not looked at.
            if end == Some(0) && !words.is_empty() {
                words.push("3".to_owned());
            }
            break;
        }
        let stands_for =
            word.starts_with('{') || word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        words.push(match word {
            "DATE" => "2027-05-01".to_owned(),
            "ID" => "3".to_owned(),
            _ if stands_for => "3".to_owned(),
            _ => word.to_owned(),
        });
        if stop {
            break;
        }
    }
    words
}

/// What is wrong with the command at the beginning of these words; prose may follow it.
fn wrong(words: &[String]) -> Option<String> {
    let first = words.first()?;
    if PROSE.contains(&first.as_str())
        || first.starts_with(|c: char| !c.is_ascii_lowercase() && c != '-')
    {
        return None;
    }
    let mut last = String::new();
    for length in (1..=words.len()).rev() {
        let line = ["motion-email"]
            .into_iter()
            .chain(words.iter().take(length).map(String::as_str));
        match Cli::command().try_get_matches_from(line) {
            Err(error)
                if !matches!(
                    error.kind(),
                    ErrorKind::MissingRequiredArgument
                        | ErrorKind::MissingSubcommand
                        | ErrorKind::DisplayHelp
                        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                        | ErrorKind::DisplayVersion
                ) =>
            {
                last = error.to_string();
            }
            answer => {
                let subcommand =
                    answer.is_err_and(|error| error.kind() != ErrorKind::MissingRequiredArgument);
                let next = words
                    .get(length)
                    .filter(|word| subcommand && !PROSE.contains(&word.as_str()));
                // A flag that ends the text stands there without its value.
                let last_word = words.len() - 1;
                let mut rest = words.iter().enumerate().skip(length);
                let flag = rest.find(|(at, word)| {
                    word.starts_with("--")
                        && !(*at == last_word && last.contains("a value is required"))
                });
                let flag = flag.map(|(_, word)| word);
                return next.or(flag).map(|word| format!("{word}: {last}"));
            }
        }
    }
    Some(last)
}

#[test]
fn every_command_that_a_text_names_is_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    files(&root.join("src"), &mut all);
    all.extend(
        [
            "README.md",
            "etc/motion-email.env",
            "packaging/install",
            "systemd/motion-email.service",
        ]
        .map(|file| root.join(file)),
    );
    let (mut seen, mut bad) = (0, Vec::new());
    for file in all {
        let text = joined(&std::fs::read_to_string(&file).unwrap());
        for rest in text.split("motion-email ").skip(1) {
            seen += 1;
            let words = words(rest);
            if let Some(why) = wrong(&words) {
                bad.push(format!(
                    "{}: motion-email {}\n  {why}",
                    file.display(),
                    words.join(" ")
                ));
            }
        }
    }
    assert!(seen > 120, "only {seen} were found");
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn a_command_that_is_none_is_found() {
    for text in [
        "provder authenticate 3",
        "provider authenticate 3 --nonsense",
        "provider authenicate 3.",
        "account edit KEY --imap-verif full",
    ] {
        assert!(wrong(&words(text)).is_some(), "{text}");
    }
    for text in [
        "provider authenticate {id}).",
        "account resume KEY and wait",
        "is ready",
    ] {
        assert_eq!(wrong(&words(text)), None, "{text}");
    }
}
