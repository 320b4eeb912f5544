//! Settings and their sources: the command line, the environment, a file, the defaults, in this order.
//!
//! The options of clap are the one list of settings. The file may contain each under its long name; each
//! secret (an option with a hidden variable) may be in a file of its own, which `--NAME-file` names. If two
//! options exclude each other, the one from the source with higher precedence wins.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches, value_parser};
use mosaico_server::Error;

use crate::args::Cli;
use crate::environment::Environment;
use crate::file;

const CONFIG: &str = "config";
const TWIN: &str = "-file";

/// Why the program does not run.
#[derive(Debug)]
pub(crate) enum Stop {
    /// An error of clap; also help and version.
    Usage(clap::Error),
    /// An invalid value that is not from the command line, with its source.
    Refused(String),
    /// A file that cannot be used.
    Startup(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Startup(error)
    }
}

/// The source of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    CommandLine,
    Variable {
        name: String,
        place: &'static str,
    },
    File(PathBuf),
    /// The file of a secret.
    Secret(PathBuf, Box<Origin>),
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::Variable { name, place } => write!(f, "{place} {name}"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Secret(path, origin) => write!(f, "{}, {origin}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

type Chosen = BTreeMap<String, (OsString, Origin)>;

/// The command to run, and its settings.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) cli: Cli,
    shown: Vec<String>,
}

impl Settings {
    /// Gathers the settings.
    pub(crate) fn gather(
        args: impl IntoIterator<Item = OsString>,
        environment: &Environment,
    ) -> Result<Self, Stop> {
        let args: Vec<OsString> = args.into_iter().collect();
        let full = with_files(Cli::command());
        let bare = without_variables(full.clone());
        let given = bare.clone().try_get_matches_from(&args).map_err(|error| match error.kind() {
            // The help lists the variables too.
            ErrorKind::DisplayHelp => {
                Stop::Usage(full.clone().try_get_matches_from(&args).err().unwrap_or(error))
            }
            _ => Stop::Usage(error),
        })?;
        let (mut command, mut given, mut names) = (&full, &given, Vec::new());
        while let Some((name, below)) = given.subcommand() {
            let Some(found) = command.find_subcommand(name) else {
                return Err(Stop::Usage(bare.clone().error(ErrorKind::InvalidSubcommand, "no such command")));
            };
            names.push(OsString::from(name));
            (command, given) = (found, below);
        }
        if command.has_subcommands() {
            return Err(Stop::Usage(bare.clone().error(ErrorKind::MissingSubcommand, "no command")));
        }
        let mut chosen = choose(command, given, environment, &all_options(&full))?;
        read_secrets(command, &mut chosen)?;
        let program = args.first().cloned().unwrap_or_else(|| "mosaicod".into());
        let mut line: Vec<OsString> = std::iter::once(program).chain(names).collect();
        for (option, (value, origin)) in &chosen {
            let arg = find(command, option)?;
            // An option that may be given several times.
            let several = given
                .get_raw(arg.get_id().as_str())
                .filter(|_| *origin == Origin::CommandLine && matches!(arg.get_action(), ArgAction::Append));
            let values: Vec<&OsStr> = several.map_or_else(|| vec![value.as_os_str()], Iterator::collect);
            for value in values {
                line.extend(on_line(arg, value).map_err(|what| refused(&chosen, option, &what))?);
            }
        }
        for (_, arg) in options(command).filter(|(_, arg)| is_repeated(arg)) {
            let values = given.get_raw(arg.get_id().as_str()).into_iter().flatten();
            line.extend(values.filter_map(|value| on_line(arg, value).ok().flatten()));
        }
        line.push("--".into());
        for place in command.get_positionals() {
            line.extend(given.get_raw(place.get_id().as_str()).into_iter().flatten().map(OsStr::to_owned));
        }
        let matches = bare.try_get_matches_from(line).map_err(|error| explain(&chosen, error))?;
        let cli = Cli::from_arg_matches(&matches).map_err(Stop::Usage)?;
        let mut below = &matches;
        while let Some((_, matches)) = below.subcommand() {
            below = matches;
        }
        let shown = show(command, below, &chosen);
        Ok(Self { cli, shown })
    }
}

/// Formats the settings as a file for `--config`, with the source of each value; hides secrets.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Adds the option for the configuration file, and the `-file` options of secrets.
fn with_files(command: Command) -> Command {
    edit(command, &|command| {
        let config = Arg::new(CONFIG)
            .long(CONFIG)
            .value_name("FILE")
            .env("MOSAICO_CONFIG")
            .value_parser(value_parser!(PathBuf))
            .help("Configuration in TOML: keys are these options; what is given here or in the environment wins");
        let twins: Vec<Arg> = command.get_arguments().filter_map(twin).collect();
        command.args(twins).arg(config)
    })
}

/// Changes each command that has no commands of its own.
fn edit(command: Command, change: &dyn Fn(Command) -> Command) -> Command {
    if !command.has_subcommands() {
        return change(command);
    }
    let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let below = |command: Command, name: &String| command.mut_subcommand(name, |below| edit(below, change));
    names.iter().fold(command, below)
}

fn twin(secret: &Arg) -> Option<Arg> {
    let long = secret.get_long().filter(|_| secret.is_hide_env_values_set())?;
    let twin = Arg::new(format!("{long}{TWIN}"))
        .long(format!("{long}{TWIN}"))
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .conflicts_with(secret.get_id())
        .help(format!("File that holds the value of --{long}"));
    Some(match secret.get_env() {
        Some(variable) => twin.env(format!("{}_FILE", variable.to_string_lossy())),
        None => twin,
    })
}

fn without_variables(command: Command) -> Command {
    edit(command, &|command| command.mut_args(|arg| arg.env(Resettable::Reset)))
}

/// The options of a command that can be configured.
fn options(command: &Command) -> impl Iterator<Item = (&str, &Arg)> {
    let options = command.get_arguments().filter_map(|arg| Some((arg.get_long()?, arg)));
    options.filter(|(long, _)| !["help", "version"].contains(long))
}

/// One file serves all commands.
fn all_options(command: &Command) -> Vec<&str> {
    let own = options(command).map(|(long, _)| long).filter(|long| *long != CONFIG);
    own.chain(command.get_subcommands().flat_map(all_options)).collect()
}

fn find<'a>(command: &'a Command, option: &str) -> Result<&'a Arg, Stop> {
    let found = options(command).find(|(long, _)| *long == option).map(|(_, arg)| arg);
    found.ok_or_else(|| Stop::Startup(Error::Startup(format!("there is no option `{option}`"))))
}

/// Whether an option can have several values. Only the command line sets it.
fn is_repeated(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

fn choose(
    command: &Command,
    given: &ArgMatches,
    environment: &Environment,
    known: &[&str],
) -> Result<Chosen, Stop> {
    let mut chosen = Chosen::new();
    let on_line = |arg: &Arg| {
        let id = arg.get_id().as_str();
        let set = given.value_source(id) == Some(ValueSource::CommandLine);
        let value = given.get_raw(id).filter(|_| set && !is_repeated(arg))?.next_back()?;
        Some((value.to_owned(), Origin::CommandLine))
    };
    add(command, &mut chosen, on_line);
    add(command, &mut chosen, |arg| {
        let name = arg.get_env()?.to_str()?;
        let (value, place) = environment.get(name)?;
        Some((value, Origin::Variable { name: name.to_owned(), place }))
    });
    if let Some((path, _)) = chosen.remove(CONFIG) {
        let path = PathBuf::from(path);
        let mut values = file::read(&path, known)?;
        add(command, &mut chosen, |arg| {
            let value = values.remove(arg.get_long()?)?;
            Some((value.into(), Origin::File(path.clone())))
        });
    }
    Ok(chosen)
}

/// Adds the values of one source for options that have no value yet.
fn add(command: &Command, chosen: &mut Chosen, mut place: impl FnMut(&Arg) -> Option<(OsString, Origin)>) {
    let mut found = Chosen::new();
    for (long, arg) in options(command) {
        let open = !chosen.contains_key(long) && !chosen.keys().any(|other| exclude(command, long, other));
        if let Some(value) = place(arg).filter(|_| open) {
            found.insert(long.to_owned(), value);
        }
    }
    chosen.extend(found);
}

fn exclude(command: &Command, one: &str, other: &str) -> bool {
    let names = |long: &str, excluded: &str| {
        let arg = options(command).find(|(name, _)| *name == long).map(|(_, arg)| arg);
        arg.is_some_and(|arg| {
            command.get_arg_conflicts_with(arg).iter().any(|arg| arg.get_long() == Some(excluded))
        })
    };
    names(one, other) || names(other, one)
}

/// Replaces the names of secrets' files by their contents.
fn read_secrets(command: &Command, chosen: &mut Chosen) -> Result<(), Error> {
    for (option, _) in options(command).filter(|(_, arg)| arg.is_hide_env_values_set()) {
        let Some((path, origin)) = chosen.remove(&format!("{option}{TWIN}")) else { continue };
        let path = PathBuf::from(path);
        let refused = |what: &dyn fmt::Display| {
            Error::Startup(format!("cannot read {} for --{option}: {what}", path.display()))
        };
        let text = std::fs::read_to_string(&path).map_err(|e| refused(&e))?;
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.is_empty() {
            return Err(refused(&"it is empty"));
        }
        let origin = Origin::Secret(path.clone(), Box::new(origin));
        chosen.insert(option.to_owned(), (secret.into(), origin));
    }
    Ok(())
}

/// An option in the form of the command line.
fn on_line(arg: &Arg, value: &OsStr) -> Result<Option<OsString>, String> {
    let long = arg.get_long().unwrap_or_default();
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return match value.to_str().map(str::to_ascii_lowercase).as_deref() {
            Some("true" | "yes" | "on" | "1") => Ok(Some(format!("--{long}").into())),
            Some("false" | "no" | "off" | "0") => Ok(None),
            _ => Err(format!("--{long} is either true or false")),
        };
    }
    let mut text = OsString::from(format!("--{long}="));
    text.push(value);
    Ok(Some(text))
}

fn refused(chosen: &Chosen, option: &str, what: &str) -> Stop {
    match chosen.get(option) {
        Some((_, origin)) => Stop::Refused(format!("{what} ({origin})")),
        None => Stop::Refused(what.to_owned()),
    }
}

/// Adds the source of a value to clap's error, if it is not the command line.
fn explain(chosen: &Chosen, error: clap::Error) -> Stop {
    let named = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(text)) => text.trim_start_matches("--").split([' ', '=', '[']).next(),
        _ => None,
    };
    let Some(option) =
        named.filter(|option| chosen.get(*option).is_some_and(|(_, origin)| *origin != Origin::CommandLine))
    else {
        return Stop::Usage(error);
    };
    let text = error.render().to_string();
    let what = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let secret = matches!(chosen.get(option), Some((_, Origin::Secret(..))));
    refused(chosen, option, if secret { "a secret is malformed" } else { what })
}

fn show(command: &Command, matches: &ArgMatches, chosen: &Chosen) -> Vec<String> {
    let line = |(long, arg): (&str, &Arg)| {
        let secret = |option: &str| find(command, option).is_ok_and(Arg::is_hide_env_values_set);
        if long == CONFIG || long.strip_suffix(TWIN).is_some_and(secret) {
            return None;
        }
        let origin = chosen.get(long).map_or(&Origin::Default, |(_, origin)| origin);
        let value = matches.get_raw(arg.get_id().as_str()).and_then(|mut raw| raw.next_back());
        Some(match value {
            None => format!("# {long} is not set"),
            Some(_) if arg.is_hide_env_values_set() => format!("# {long} is hidden  # {origin}"),
            Some(value) => format!("{long} = {}  # {origin}", in_toml(&value.to_string_lossy())),
        })
    };
    options(command).filter_map(line).collect()
}

/// Formats numbers and booleans as such, other values as text, which TOML writes as JSON does.
fn in_toml(text: &str) -> String {
    if file::is_plain(text) { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

#[cfg(test)]
mod tests;
