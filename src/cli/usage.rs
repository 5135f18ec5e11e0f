//! Converts an argument parser error into one sentence: the reason, a suggestion, and the help of the subcommand.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, CommandFactory, Parser};

use super::{Arguments, Failure};
use crate::config::redacted;

/// The parser's message consists of a paragraph, tips, a usage line and a hint; the paragraph is the reason.
pub(super) fn failure(error: &clap::Error, arguments: &[OsString]) -> Failure {
    if arguments.get(1).is_some_and(|argument| argument == "help") {
        // The parser suggests nothing for `clientele help usr`, but does for `clientele usr`.
        let named = [&arguments[..1], &arguments[2..]].concat();
        if let Err(error) = Arguments::try_parse_from(&named)
            && error.kind() == ErrorKind::InvalidSubcommand
        {
            return failure(&error, &named);
        }
    }
    let command = command(arguments);
    // The parser quotes unknown arguments, which may be a misplaced database address or contain blank lines.
    let text = redact(error, &error.render().to_string());
    let reason = text.split("\n\n").next().unwrap_or_default();
    let reason = reason.strip_prefix("error: ").unwrap_or(reason);
    Failure::misconfigured(format!("{reason}{} (see {command} --help)", suggestion(error)))
}

/// The message of a command whose subcommand is missing.
pub(super) fn missing_subcommand(arguments: &[OsString]) -> Failure {
    let command = command(arguments);
    Failure::misconfigured(format!("a subcommand is missing (see {command} --help)"))
}

/// Redacts `text`, the parser's message. The parser quotes unknown arguments, which may be a misplaced database
/// address.
fn redact(error: &clap::Error, text: &str) -> String {
    let quoted = error.context().filter_map(|(kind, value)| match (kind, value) {
        (
            ContextKind::InvalidArg | ContextKind::InvalidSubcommand | ContextKind::InvalidValue,
            ContextValue::String(value),
        ) if !value.is_empty() => Some(value),
        _ => None,
    });
    quoted.fold(text.to_owned(), |text, value| text.replace(value, &redacted(value)))
}

fn suggestion(error: &clap::Error) -> String {
    let similar = [
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedArg,
        ContextKind::SuggestedValue,
    ];
    let names = similar.into_iter().filter_map(|kind| error.get(kind));
    let names = names.flat_map(|names| match names {
        ContextValue::String(name) => std::slice::from_ref(name),
        ContextValue::Strings(names) => names,
        _ => &[],
    });
    let names: Vec<String> = names.map(|name| format!("'{name}'")).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!("; did you mean {}?", names.join(" or ")),
    }
}

/// The command in the arguments, as far as it can be parsed: `clientele user add`.
fn command(arguments: &[OsString]) -> String {
    // `clientele help user add` is about `clientele user add`.
    let is_help = |index: usize, argument: &OsString| index == 1 && argument == "help";
    let arguments = arguments.iter().enumerate();
    let arguments = arguments.filter_map(|(index, argument)| (!is_help(index, argument)).then_some(argument));
    let parser = Arguments::command().ignore_errors(true);
    let matches = parser.try_get_matches_from(arguments).ok();
    let (mut path, mut level) = ("clientele".to_owned(), matches.as_ref());
    while let Some((name, inner)) = level.and_then(ArgMatches::subcommand) {
        path.push(' ');
        path.push_str(name);
        level = Some(inner);
    }
    path
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::{super::Arguments, command};

    #[test]
    fn every_argument_and_subcommand_has_a_description() {
        fn collect(path: &str, command: &Command, missing: &mut Vec<String>) {
            if command.get_about().is_none() {
                missing.push(path.to_owned());
            }
            for argument in command.get_arguments() {
                if argument
                    .get_help()
                    .is_none_or(|help| help.to_string().trim().is_empty())
                {
                    missing.push(format!("{path}: {}", argument.get_id()));
                }
            }
            for subcommand in command.get_subcommands().filter(|command| command.get_name() != "help") {
                collect(&format!("{path} {}", subcommand.get_name()), subcommand, missing);
            }
        }
        let mut root = Arguments::command();
        root.build();
        let mut missing = Vec::new();
        collect("clientele", &root, &mut missing);
        assert_eq!(missing, [""; 0]);
    }

    #[test]
    fn arguments_name_a_command() {
        for (arguments, named) in [
            (&[][..], "clientele"),
            (&["--colour"], "clientele"),
            (&["usr"], "clientele"),
            (&["user", "ad"], "clientele user"),
            (&["user", "add", "remove", "--colour"], "clientele user add"),
            (&["--config", "user", "token", "list"], "clientele token list"),
            (&["--config=user", "token", "list"], "clientele token list"),
            (&["user", "--set", "a=b", "add"], "clientele user add"),
            (&["help", "user", "ad"], "clientele user"),
        ] {
            let arguments: Vec<_> = ["clientele"].iter().chain(arguments).map(Into::into).collect();
            assert_eq!(command(&arguments), named, "{arguments:?}");
        }
    }
}
