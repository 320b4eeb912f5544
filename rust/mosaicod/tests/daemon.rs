//! The real binary: what it prints, how it ends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mosaicod"));
    command.env_remove("RUST_LOG").env_remove("MOSAICO_STORE");
    command
}

fn run(args: &[&str]) -> Output {
    command().args(args).output().unwrap()
}

/// Starts a daemon on a free port and returns the line that it printed.
fn start(store: &Path, more: &[&str]) -> (Child, String) {
    let mut child = command()
        .args(["run", "--port", "0", "--local-store"])
        .arg(store)
        .args(more)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line)
}

fn stop(mut child: Child, signal: &str) -> Option<i32> {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    child.wait().unwrap().code()
}

/// The one line on standard error of a start that has to fail.
fn refusal(output: &Output, code: i32) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(output.stdout.is_empty());
    text
}

#[test]
fn one_line_when_ready_and_a_graceful_end() {
    for signal in ["-TERM", "-INT"] {
        let folder = TempDir::new().unwrap();
        let (child, line) = start(folder.path(), &[]);
        let expected = concat!("mosaicod ", env!("CARGO_PKG_VERSION"), " listening on grpc://127.0.0.1:");
        assert!(line.starts_with(expected), "{line}");
        assert!(line.trim_end().ends_with(&format!(", store {}", folder.path().display())), "{line}");
        assert_eq!(stop(child, signal), Some(0));
    }
}

#[test]
fn host_without_a_value_means_all_addresses() {
    let folder = TempDir::new().unwrap();
    let (child, line) = start(folder.path(), &["--host"]);
    assert!(line.contains("grpc://0.0.0.0:"), "{line}");
    assert_eq!(stop(child, "-TERM"), Some(0));
}

#[test]
fn a_store_folder_has_one_daemon() {
    let folder = TempDir::new().unwrap();
    let (child, _) = start(folder.path(), &[]);
    let second = command().args(["run", "--port", "0", "--local-store"]).arg(folder.path()).output().unwrap();
    assert!(refusal(&second, 1).contains("in use by another server"));
    assert_eq!(stop(child, "-KILL"), None);
    let (child, _) = start(folder.path(), &[]);
    assert_eq!(stop(child, "-TERM"), Some(0));
}

#[test]
fn what_cannot_start_says_why() {
    let folder = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let store = folder.path().to_str().unwrap();
    assert!(refusal(&run(&["run", "--port", &port, "--local-store", store]), 1).contains(&port));
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let output = run(&["run", "--port", "0", "--local-store", file.to_str().unwrap()]);
    assert!(refusal(&output, 1).contains("cannot use the store folder"));
    assert!(refusal(&run(&["run", "--port", "0", "--store", "s3://bucket"]), 1).contains("s3://"));
    assert!(refusal(&run(&["run", "--port", "0"]), 1).contains("--local-store"));
    let output = run(&["run", "--port", "0", "--local-store", store, "--row-group-bytes", "0"]);
    assert!(refusal(&output, 1).contains("row_group_bytes"));
    let mut loud = command();
    loud.env("RUST_LOG", "mosaico_server=loud").args(["run", "--port", "0", "--local-store", store]);
    assert!(refusal(&loud.output().unwrap(), 1).contains("RUST_LOG"));
}

#[test]
fn settings_come_from_files_too() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(".env", "MOSAICO_CONFIG=daemon.toml\nMOSAICO_DB_SCHEMA=robots\n");
    write("daemon.toml", "local-store = \"store\"\nport = 0\nhttp-port = 0\n");
    let there = |arg: &str| {
        let mut command = command();
        command.current_dir(folder.path()).arg(arg);
        command
    };
    let shown = String::from_utf8(there("config").output().unwrap().stdout).unwrap();
    assert!(shown.contains("database-schema = \"robots\"  # .env MOSAICO_DB_SCHEMA\n"), "{shown}");
    assert!(shown.contains("http-port = 0  # daemon.toml\n"), "{shown}");
    let mut child = there("run").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains(", http://127.0.0.1:") && line.ends_with(", store store\n"), "{line}");
    assert!(folder.path().join("store").is_dir());
    assert_eq!(stop(child, "-TERM"), Some(0));
    write("daemon.toml", "prot = 0");
    assert!(refusal(&there("run").output().unwrap(), 1).contains("did you mean `port`?"));
}

#[test]
fn the_http_port_is_beside_the_other_one_unless_it_is_off_or_taken() {
    let folder = TempDir::new().unwrap();
    let ready = |arguments: &[&str]| {
        let store = folder.path().join("store");
        let mut command = command();
        command.args(["run", "--local-store"]).arg(store).args(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut log = child.stderr.take().unwrap();
        assert_eq!(stop(child, "-TERM"), Some(0));
        let mut text = String::new();
        log.read_to_string(&mut text).unwrap();
        (line, text)
    };
    assert!(ready(&["--port", "0"]).0.contains(", http://127.0.0.1:"));
    assert!(!ready(&["--port", "0", "--http-port", "off"]).0.contains("http:"));
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap().port();
    let (line, log) = ready(&["--port", &(taken - 1).to_string()]);
    assert!(line.contains("listening on grpc://") && !line.contains("http:"), "{line}");
    assert!(log.contains(&format!("no page and no HTTP API: cannot listen on 127.0.0.1:{taken}")), "{log}");
    drop(other);
    let (line, _) = ready(&["--port", &(taken - 1).to_string()]);
    assert!(line.contains(&format!(", http://127.0.0.1:{taken}, ")), "{line}");
}

#[test]
fn usage() {
    let version = run(&["--version"]);
    assert_eq!(
        String::from_utf8(version.stdout).unwrap(),
        concat!("mosaicod ", env!("CARGO_PKG_VERSION"), "\n")
    );
    assert_eq!(run(&["--help"]).status.code(), Some(0));
    assert_eq!(run(&["run", "--no-such-flag"]).status.code(), Some(2));
    assert_eq!(run(&["run", "--port", "70000"]).status.code(), Some(2));
}

#[test]
fn every_command_is_in_the_table_of_rights() {
    let docs = include_str!("../../../docs/security.md");
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    let commands = help.split("Commands:").nth(1).unwrap().split("\n\n").next().unwrap();
    let commands: Vec<&str> = commands.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() >= 9, "{commands:?}");
    // They open no store.
    for command in commands.into_iter().filter(|command| !["config", "help", "tls-init"].contains(command)) {
        let row = format!("| command | `mosaicod {command}` | ");
        assert!(docs.contains(&row), "{row} is not in docs/security.md");
    }
}

#[test]
fn options_of_api_keys_may_be_given_several_times() {
    let folder = TempDir::new().unwrap();
    let store = folder.path().join("store");
    let store = store.to_str().unwrap();
    let scopes = ["--scope", "a-*:read", "--scope", "b-*:write", "--scope", "c:delete"];
    let output = run(&[&["api-key", "create", "--json", "--local-store", store], &scopes[..]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains(r#""scopes":["a-*:read","b-*:write","c:delete"]"#), "{text}");
    // Settings come from everywhere, as for other commands.
    let mut list = command();
    list.args(["api-key", "list"]).env("MOSAICO_STORE", store);
    let listed = String::from_utf8(list.output().unwrap().stdout).unwrap();
    assert!(listed.contains("b-*:write") && !listed.contains("msco_"), "{listed}");
    assert_eq!(run(&["api-key"]).status.code(), Some(2));
    assert_eq!(run(&["api-key", "--help"]).status.code(), Some(0));
    let refused = run(&["api-key", "create", "--local-store", store]);
    assert!(refusal(&refused, 1).contains("--permissions"));
}

#[test]
fn new_files_belong_to_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let store = folder.path().join("new/store");
    let (child, _) = start(&store, &[]);
    assert_eq!(stop(child, "-TERM"), Some(0));
    let mut paths = vec![store];
    while let Some(path) = paths.pop() {
        let mode = path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{} has the mode {mode:o}", path.display());
        if path.is_dir() {
            paths.extend(path.read_dir().unwrap().map(|entry| entry.unwrap().path()));
        }
    }
}
