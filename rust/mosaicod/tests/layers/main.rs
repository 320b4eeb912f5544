//! The structure of the workspace, read from its sources: which crate may know which, which floor of a crate lies on
//! which, and no circle of files anywhere. An import that climbs fails here.

#![allow(clippy::unwrap_used, reason = "a test")]

mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use imports::{Graph, circles, graph};

/// Crates from the ground up, each with the crates of the workspace that it may name.
const CRATES: &[(&str, &[&str])] = &[
    ("mosaico-types", &[]),
    ("mosaico-tls", &[]),
    ("mosaico-wire", &["mosaico-types"]),
    ("mosaico-select", &["mosaico-types", "mosaico-wire"]),
    ("mosaico-client", &["mosaico-types", "mosaico-tls", "mosaico-wire", "mosaico-select"]),
    ("mosaico-storage", &["mosaico-types", "mosaico-wire", "mosaico-select"]),
    ("mosaico-catalog", &["mosaico-types", "mosaico-wire", "mosaico-select", "mosaico-storage"]),
    (
        "mosaico-engine",
        &["mosaico-types", "mosaico-wire", "mosaico-select", "mosaico-storage", "mosaico-catalog"],
    ),
    (
        "mosaico-server",
        &[
            "mosaico-types",
            "mosaico-tls",
            "mosaico-wire",
            "mosaico-select",
            "mosaico-storage",
            "mosaico-catalog",
            "mosaico-engine",
        ],
    ),
    (
        "mosaico-admin",
        &[
            "mosaico-types",
            "mosaico-tls",
            "mosaico-wire",
            "mosaico-select",
            "mosaico-storage",
            "mosaico-catalog",
            "mosaico-engine",
        ],
    ),
    ("mosaicod", &["mosaico-types", "mosaico-tls", "mosaico-server", "mosaico-admin"]),
    (
        "mosaico-py",
        &["mosaico-types", "mosaico-wire", "mosaico-select", "mosaico-client", "mosaico-server", "mosaicod"],
    ),
];

/// Floors of the crates that have several, from the ground up. Modules of one floor may know each other.
const FLOORS: &[(&str, &[&[&str]])] = &[
    (
        "mosaico-storage",
        &[
            &["error", "service_text", "damaged_chunk", "timer", "crash_points", "trace", "keyed_mutex"],
            &["format"],
            &["objects"],
            &["wal"],
        ],
    ),
    (
        "mosaico-engine",
        &[
            &["state"],
            &["access"],
            &["reconcile"],
            &["ingest"],
            &["coordinator"],
            &["read", "lifecycle"],
            &["query", "maintenance"],
            &["background"],
            &["startup"],
        ],
    ),
];

fn rust_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn source_graph(name: &str) -> Graph {
    graph(&rust_folder().join(name).join("src"))
}

#[test]
fn every_crate_is_in_the_table() {
    let folders = fs::read_dir(rust_folder()).unwrap().map(|entry| entry.unwrap().path());
    let found: BTreeSet<String> = folders
        .filter(|path| path.join("Cargo.toml").exists())
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    let known: BTreeSet<String> = CRATES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(found, known);
}

#[test]
fn crates_depend_downwards_only() {
    for (at, (name, allowed)) in CRATES.iter().enumerate() {
        let below: BTreeSet<&str> = CRATES[..at].iter().map(|(name, _)| *name).collect();
        assert!(allowed.iter().all(|dependency| below.contains(dependency)), "{name} climbs in the table");
        let manifest = fs::read_to_string(rust_folder().join(name).join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        let dependencies = dependencies.split("\n[").next().unwrap_or_default();
        for line in dependencies.lines().filter(|line| line.starts_with("mosaico")) {
            let dependency = line.split(['.', ' ', '=']).next().unwrap_or_default();
            assert!(allowed.contains(&dependency), "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn every_crate_of_the_daemon_says_what_it_owns() {
    for name in ["mosaico-storage", "mosaico-catalog", "mosaico-engine", "mosaico-server", "mosaico-admin"] {
        let head = fs::read_to_string(rust_folder().join(name).join("src/lib.rs")).unwrap();
        for part in ["//! Owns ", "//! May know: ", "Never belongs here: "] {
            assert!(head.contains(part), "the head comment of {name} lacks `{part}`");
        }
    }
}

#[test]
fn no_file_imports_a_higher_floor() {
    let mut climbing = Vec::new();
    for (name, floors) in FLOORS {
        let floor = |module: &str| {
            let top = module.split("::").next().unwrap_or_default();
            floors.iter().position(|floor| floor.contains(&top))
        };
        for (file, imports) in source_graph(name) {
            if file.is_empty() {
                continue;
            }
            let Some(here) = floor(&file) else {
                panic!("{name}: `{file}` is on no floor; add it to FLOORS")
            };
            for import in imports.iter().filter(|import| !import.is_empty()) {
                if floor(import).is_none_or(|there| there > here) {
                    climbing.push(format!("{name}: {file} imports {import}"));
                }
            }
        }
    }
    assert!(climbing.is_empty(), "imports that climb:\n{}", climbing.join("\n"));
}

#[test]
fn no_circle_of_files() {
    let mut found = Vec::new();
    for (name, _) in CRATES {
        let graph = source_graph(name);
        for circle in circles(&graph) {
            let ties = circle.iter().flat_map(|file| {
                let within = graph[file].iter().filter(|import| circle.contains(*import));
                within.map(move |import| format!("    {file} -> {import}"))
            });
            found.push(format!("{name}:\n{}", ties.collect::<Vec<_>>().join("\n")));
        }
    }
    assert!(found.is_empty(), "files that import each other:\n{}", found.join("\n"));
}

#[test]
fn a_circle_and_a_climb_would_be_seen() {
    let folder = tempfile::TempDir::new().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    fs::create_dir(folder.path().join("b")).unwrap();
    write("lib.rs", "mod a;\nmod b;\nmod c;\npub use b::Thing;\n");
    write("a.rs", "use crate::b::{self, inner::{Deep as D}, Thing};\n// use crate::c;\nfn f() {}\n");
    write("b/mod.rs", "pub mod inner;\npub struct Thing;\nfn g() { inner::work() }\n");
    write(
        "b/inner.rs",
        "fn work() { super::super::c::run() }\n#[cfg(test)]\nmod tests { use crate::a::f; }\n",
    );
    write("c.rs", "pub fn run() { crate::a::f() }\n");
    let graph = graph(folder.path());
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let expected: BTreeMap<String, BTreeSet<String>> = [
        ("", names(&["b"])),
        ("a", names(&["b", "b::inner"])),
        ("b", names(&["b::inner"])),
        ("b::inner", names(&["c"])),
        ("c", names(&["a"])),
    ]
    .map(|(file, imports)| (file.to_owned(), imports))
    .into();
    assert_eq!(graph, expected);
    assert_eq!(circles(&graph), [names(&["a", "b", "b::inner", "c"])]);
}
