use super::*;
use crate::args::Command as Asked;

/// The settings of `run`, with a `.env` and a configuration file.
fn gather(args: &[&str], variables: &str, config: &str) -> Result<Settings, Stop> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".env"), variables).unwrap();
    let file = folder.path().join("mosaicod.toml");
    std::fs::write(&file, config).unwrap();
    let environment = Environment::read(folder.path()).unwrap();
    let args = ["mosaicod", "run"].iter().chain(args).map(OsString::from);
    Settings::gather(args.chain(["--config".into(), file.into()]), &environment)
}

fn shown(args: &[&str], variables: &str, config: &str) -> String {
    gather(args, variables, config).unwrap().to_string()
}

/// The line about one option.
fn line(text: &str, option: &str) -> String {
    let starts = |line: &&str| line.trim_start_matches("# ").split(' ').next() == Some(option);
    text.lines().find(starts).unwrap_or_default().to_owned()
}

fn refusal(args: &[&str], variables: &str, config: &str) -> String {
    match gather(args, variables, config).unwrap_err() {
        Stop::Usage(error) => format!("usage: {}", error.render()),
        Stop::Refused(text) => text,
        Stop::Startup(error) => error.to_string(),
    }
}

#[test]
fn each_place_gives_way_to_the_one_before() {
    let (variables, config) = ("MOSAICO_DB_SCHEMA=environment", "database-schema = \"file\"");
    let schema = |args: &[&str], variables: &str, config: &str| {
        line(&shown(args, variables, config), "database-schema")
            .split(" # /")
            .next()
            .unwrap()
            .trim()
            .to_owned()
    };
    assert_eq!(
        schema(&["--database-schema", "line"], variables, config),
        "database-schema = \"line\"  # command line"
    );
    assert_eq!(schema(&[], variables, config), "database-schema = \"environment\"  # .env MOSAICO_DB_SCHEMA");
    assert_eq!(schema(&[], "", config), "database-schema = \"file\"");
    assert_eq!(schema(&[], "", ""), "database-schema = \"mosaicod\"  # default");
    assert_eq!(schema(&[], "MOSAICO_DB_SCHEMA=", config), "database-schema = \"file\"", "empty is not set");
}

#[test]
fn an_option_gives_way_to_one_that_excludes_it_in_a_better_place() {
    let text = shown(&["--local-store", "a"], "MOSAICO_STORE=b\nMOSAICO_STORE_BUCKET=c", "store = \"d\"");
    assert_eq!(line(&text, "local-store"), "local-store = \"a\"  # command line");
    assert_eq!(line(&text, "store"), "# store is not set");
    assert_eq!(line(&text, "store-bucket"), "# store-bucket is not set");
    let text = shown(&[], "MOSAICO_STORE=b", "local-store = \"a\"");
    assert_eq!(line(&text, "store"), "store = \"b\"  # .env MOSAICO_STORE");
    assert!(refusal(&[], "", "local-store = \"a\"\nstore = \"b\"").contains("cannot be used with"));
}

#[test]
fn every_option_may_stand_in_the_file() {
    let command = with_files(Cli::command());
    let run = command.find_subcommand("run").unwrap();
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "secret").unwrap();
    let mut tried = 0;
    for (option, arg) in options(run).filter(|(option, _)| *option != CONFIG) {
        let value = match arg.get_possible_values().first() {
            Some(value) => value.get_name().to_owned(),
            None if option.ends_with("-url") || option.ends_with("-origin") => "https://h:3".into(),
            None => "3".into(),
        };
        // A `-file` option names an existing file.
        let value = if option.ends_with(TWIN) { secret.path().display().to_string() } else { value };
        let needed = if option == "advertise" { "shared = true\n" } else { "" };
        let text = shown(&[], "", &format!("{needed}{option} = {value:?}"));
        let shown_line = line(&text, option.strip_suffix(TWIN).unwrap_or(option));
        assert!(shown_line.contains("mosaicod.toml"), "{option}: {shown_line}");
        tried += 1;
    }
    assert!(tried > 25, "{tried}");
}

#[test]
fn numbers_flags_and_times_are_what_they_are() {
    let text =
        shown(&["--host"], "", "port = 7000\nforce-ownership = true\nsync-interval = 0.5\nchunk-bytes = 0");
    assert_eq!(line(&text, "host"), "host = \"0.0.0.0\"  # command line");
    assert!(line(&text, "port").starts_with("port = 7000  # "));
    assert!(line(&text, "force-ownership").starts_with("force-ownership = true"));
    assert!(line(&text, "sync-interval").starts_with("sync-interval = 0.5"));
    assert_eq!(line(&text, "writer-timeout"), "writer-timeout = 600  # default");
    let Asked::Run(args) = gather(&["--local-store", "a"], "", "chunk-bytes = 0").unwrap().cli.command else {
        panic!("another command")
    };
    assert_eq!(args.config().unwrap().0.chunk_bytes, usize::MAX);
}

#[test]
fn wrong_values_are_refused_with_their_place() {
    let text = refusal(&[], "MOSAICO_DB_SCHEMA=ok", "port = \"sixty\"");
    assert!(text.contains("'sixty'") && text.contains("--port") && text.contains("mosaicod.toml"), "{text}");
    let text = refusal(&[], "MOSAICO_MAX_DB_CONNECTIONS=1", "");
    assert!(
        text.contains("--database-connections") && text.contains(".env MOSAICO_MAX_DB_CONNECTIONS"),
        "{text}"
    );
    assert!(refusal(&["--port", "x"], "", "").starts_with("usage: "));
    assert!(refusal(&[], "", "force-ownership = \"perhaps\"").contains("true or false"));
    assert!(refusal(&[], "", "prot = 1").contains("did you mean `port`?"));
    assert!(refusal(&[], "", "config = \"b.toml\"").contains("there is no option `config`"));
}

#[test]
fn secrets_come_from_files_and_are_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("url");
    std::fs::write(&secret, "postgres://u:hidden@h/d\n").unwrap();
    let path = secret.to_str().unwrap();
    let of = |settings: Settings| match settings.cli.command {
        Asked::Run(args) | Asked::Config(args) => args.config().unwrap().0.database,
        other => panic!("{other:?}"),
    };
    let expected = Some("postgres://u:hidden@h/d".to_owned());
    let base = ["--local-store", "a"];
    let settings = gather(&[&base[..], &["--database-file", path]].concat(), "", "").unwrap();
    let shown_line = line(&settings.to_string(), "database");
    assert!(!shown_line.contains("hidden@") && shown_line.contains(path), "{shown_line}");
    assert_eq!(of(settings), expected);
    let variable = format!("MOSAICO_REPOSITORY_DB_URL_FILE={path}");
    assert_eq!(of(gather(&base, &variable, "").unwrap()), expected);
    assert_eq!(of(gather(&base, "", &format!("database-file = {path:?}")).unwrap()), expected);
    let other = [&base[..], &["--database", "postgres://other"]].concat();
    assert_eq!(of(gather(&other, &variable, "").unwrap()).as_deref(), Some("postgres://other"));
    let text = shown(&base, "MOSAICO_REPOSITORY_DB_URL=postgres://u:hidden@h/d", "");
    assert!(!text.contains("hidden@"), "{text}");
    std::fs::write(&secret, "\n").unwrap();
    assert!(refusal(&[], &variable, "").contains("it is empty"));
    assert!(refusal(&["--database-file", "/no/such"], "", "").contains("/no/such"));
}

#[test]
fn what_has_no_name_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mosaicod.toml");
    std::fs::write(&file, "local-store = \"a\"\nhttp-port = 1").unwrap();
    let environment = Environment::read(folder.path()).unwrap();
    let line = ["mosaicod", "import", "--assume-finalized", "-odd", "--config"];
    let refused =
        Settings::gather(line.map(OsString::from).into_iter().chain([file.clone().into()]), &environment);
    assert!(matches!(refused, Err(Stop::Usage(_))), "an option that there is not");
    let line = ["mosaicod", "import", "s3://bucket", "--assume-finalized", "--config"];
    let line = line.map(OsString::from).into_iter().chain([file.into()]);
    match Settings::gather(line, &environment).unwrap().cli.command {
        Asked::Import(args) => assert!(args.source == "s3://bucket" && args.assume_finalized),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_malformed_file_of_variables_is_refused_without_its_lines() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".env"), "A=1\nsecret words here\n").unwrap();
    let error = Environment::read(folder.path()).unwrap_err().to_string();
    assert!(error.contains("after A") && !error.contains("secret"), "{error}");
}

#[test]
fn repeated_options_keep_all_values() {
    let line = ["mosaicod", "tls-init", "--host", "a", "folder", "--host=b"].map(OsString::from);
    match Settings::gather(line, &Environment::default()).unwrap().cli.command {
        Asked::TlsInit(args) => {
            assert_eq!(args.hosts, ["a", "b"]);
            assert_eq!(args.folder, std::path::Path::new("folder"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn tls_needs_a_pair_of_files() {
    let open = |line: &[&str], env: &str| match gather(&[&["--local-store", "a"], line].concat(), env, "") {
        Ok(Settings { cli, .. }) => match cli.command {
            Asked::Run(args) => args.tls.open().map(|tls| tls.is_some()).map_err(|e| e.to_string()),
            other => panic!("{other:?}"),
        },
        Err(stop) => panic!("{stop:?}"),
    };
    assert_eq!(open(&[], ""), Ok(false));
    assert_eq!(open(&["--tls=false", "--tls-cert", "a"], ""), Ok(false));
    assert!(open(&["--tls-cert", "a"], "").unwrap_err().contains("belong together"));
    assert!(open(&["--tls"], "").unwrap_err().contains("tls-init"));
    assert!(open(&[], "MOSAICOD_TLS_ENABLED=true").unwrap_err().contains("tls-init"));
    assert!(open(&["--tls-client-ca", "a"], "").unwrap_err().contains("--tls-client-ca needs"));
    let both = "MOSAICOD_TLS_CERT_FILE=/no/cert\nMOSAICOD_TLS_PRIVATE_KEY_FILE=/no/key";
    assert!(open(&[], both).unwrap_err().contains("/no/cert"));
}
