//! What may be typed, and that the help says so.

use clap::{CommandFactory, Parser};

use crate::cli::args::{Backfill, Cli};

#[test]
fn every_command_has_help_with_an_example() {
    fn look(command: &clap::Command, path: &str) {
        let path = format!("{path} {}", command.get_name());
        let help = command
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        assert!(help.contains("Example:\n  "), "{path} has no example");
        assert!(
            command.get_about().is_some(),
            "{path} does not say what it does"
        );
        for argument in command.get_arguments() {
            assert!(
                argument.get_help().is_some(),
                "{path} {argument} has no help"
            );
        }
        command
            .get_subcommands()
            .for_each(|below| look(below, &path));
    }
    let command = Cli::command();
    command.clone().debug_assert();
    look(&command, "");
    let help = command.get_after_help().unwrap().to_string();
    for code in ["0 ", "1 ", "64", "69", "75", "78"] {
        assert!(
            help.contains(&format!("\n  {code}")),
            "{code} is not documented"
        );
    }
}

#[test]
fn the_examples_of_the_help_are_right() {
    fn look(command: &clap::Command, found: &mut usize) {
        let help = command
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        for line in help
            .lines()
            .filter_map(|line| line.trim().split_once("motion-email "))
        {
            let line = line.1.split(" > ").next().unwrap().replace('\'', "");
            let words = std::iter::once("motion-email").chain(line.split_whitespace());
            // A quoted argument of two words comes as two here; none of them begins with a dash.
            if let Err(error) = Cli::try_parse_from(words)
                && !line.contains("Your order")
            {
                panic!("{line}: {error}");
            }
            *found += 1;
        }
        command
            .get_subcommands()
            .for_each(|below| look(below, found));
    }
    let mut found = 0;
    look(&Cli::command(), &mut found);
    assert!(found > 30, "{found}");
}

#[test]
fn no_secret_is_taken_from_the_command_line() {
    fn look(command: &clap::Command) {
        for argument in command.get_arguments() {
            let name = argument.get_id().as_str();
            let secret = ["password", "secret", "token"]
                .iter()
                .any(|word| name.contains(word));
            let harmless = !argument.get_action().takes_values()
                || ["_file", "_expires"].iter().any(|end| name.ends_with(end));
            assert!(!secret || harmless, "{name}");
        }
        command.get_subcommands().for_each(look);
    }
    look(&Cli::command());
}

#[test]
fn wrong_command_lines_are_usage_errors() {
    for line in [
        "",
        "frobnicate",
        "run --json --frobnicate",
        "provider add --name N",
        "provider add --name N --service yahoo --application-id A",
        "provider show x",
        "provider edit 1 --proxy proxy:3128",
        "provider edit 1 --proxy http://u:secret@p:3128",
        "provider edit 1 --proxy direct --proxy-file f",
        "account add --name N --key K --address a@b.c --list 1 --service pigeon",
        "account edit K --provider 1 --password-file f",
        "account edit K --imap-port 70000",
        "account edit K --imap-verify none",
        "account edit K --imap-pin AB:CD",
        "account edit K --imap-ca-file f --ca-file g",
        "account edit K --proxy proxy:3128",
        "account edit K --proxy http://u:secret@p:3128",
        "account edit K --proxy direct --proxy-file f",
        "account edit K --backfill yesterday",
        "message list --limit 0",
        "message list --limit 501",
        "send --account K --subject S",
        "send --account K --to a@b.c",
        "send --account K --to a@b.c --subject S --text T --text-file F",
        "logs -n -1",
    ] {
        let words = std::iter::once("motion-email").chain(line.split_whitespace());
        let error = Cli::try_parse_from(words).expect_err(line);
        assert!(error.use_stderr() || line.is_empty(), "{line}: {error}");
    }
}

#[test]
fn a_backfill_is_a_word_or_a_time() {
    for (text, sent) in [
        ("none", "none"),
        ("ALL", "all"),
        ("2026-01-31T08:00:00+01:00", "2026-01-31T07:00:00Z"),
    ] {
        assert_eq!(Backfill::parse(text).unwrap().0, sent);
    }
    assert!(Backfill::parse("2026-01-31").unwrap().0.ends_with('Z'));
    assert!(Backfill::parse("2026-02-31").is_err());
}
