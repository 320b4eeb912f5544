//! Which file of a crate imports which: `use` trees and paths that begin with `crate`, `super` or a child module. Unit
//! tests at the end of a file do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Files by module path (the root is ""), with the modules that they import.
pub(crate) type Graph = BTreeMap<String, BTreeSet<String>>;

/// The graph of the sources in a folder.
pub(crate) fn graph(folder: &Path) -> Graph {
    let mut files = BTreeMap::new();
    collect(folder, "", &mut files);
    let edges = files.iter().map(|(module, text)| {
        let paths = paths(text).into_iter().filter_map(|path| resolve(&path, module, &files));
        let imports: BTreeSet<String> = paths.filter(|import| import != module).collect();
        (module.clone(), imports)
    });
    edges.collect()
}

fn collect(folder: &Path, module: &str, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let inside = match name.as_str() {
            "lib" | "main" | "mod" => module.to_owned(),
            _ if module.is_empty() => name,
            _ => format!("{module}::{name}"),
        };
        if path.is_dir() {
            collect(&path, &inside, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.insert(inside, code(&fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Without comments and unit tests.
fn code(text: &str) -> String {
    let until = ["\n#[cfg(test)]\nmod ", "\n#[cfg(all(test"].iter().filter_map(|mark| text.find(mark)).min();
    let lines = text[..until.unwrap_or(text.len())].lines();
    lines.map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// All paths, as segments: those of `use` trees, and others with at least two segments.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = String::new();
    let mut parts = code.split("use ");
    rest.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let begins = rest.trim_end_matches(' ');
        let is_use = begins.is_empty() || begins.ends_with(['\n', ')', '{', ';']) || begins.ends_with("pub");
        match part.split_once(';') {
            Some((tree, after)) if is_use => {
                expand(tree, &[], &mut found);
                rest.push_str(after);
            }
            _ => rest.push_str(part),
        }
    }
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let others = rest.split(|c| !is_path(c)).filter(|path| path.contains("::") && !path.starts_with(':'));
    found.extend(others.map(segments));
    found
}

fn segments(path: &str) -> Vec<String> {
    path.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// `a::{b, c::d as e}` → `a::b`, `a::c::d`.
fn expand(tree: &str, before: &[String], found: &mut Vec<Vec<String>>) {
    let (mut depth, mut start) = (0, 0);
    let ends = tree.char_indices().filter_map(|(at, c)| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => return Some(at),
            _ => {}
        }
        None
    });
    for end in ends.collect::<Vec<_>>().into_iter().chain([tree.len()]) {
        let item = tree[start..end].trim();
        start = end + 1;
        if let Some((head, inner)) = item.split_once('{') {
            let inner = inner.rsplit_once('}').map_or(inner, |(inner, _)| inner);
            expand(inner, &[before, &segments(head)[..]].concat(), found);
        } else if !item.is_empty() {
            let path = item.split(" as ").next().unwrap_or_default();
            found.push([before, &segments(path)[..]].concat());
        }
    }
}

/// The module of this crate that a path leads to; `None`: it leads to another crate.
fn resolve(path: &[String], module: &str, files: &BTreeMap<String, String>) -> Option<String> {
    let mut base: Vec<String> = segments(module);
    let rest = match path.first()?.as_str() {
        "crate" => {
            base.clear();
            &path[1..]
        }
        "super" => {
            let ups = path.iter().take_while(|segment| *segment == "super").count();
            base.truncate(base.len().saturating_sub(ups));
            &path[ups..]
        }
        "self" => &path[1..],
        child => {
            let child = [&base[..], &[child.to_owned()]].concat().join("::");
            if !files.contains_key(&child) {
                return None;
            }
            path
        }
    };
    let all = [&base[..], rest].concat();
    (0..=all.len()).rev().map(|end| all[..end].join("::")).find(|module| files.contains_key(module))
}

/// Groups of files that reach each other.
pub(crate) fn circles(graph: &Graph) -> Vec<BTreeSet<String>> {
    let reach: BTreeMap<&String, BTreeSet<&String>> =
        graph.keys().map(|file| (file, reachable(graph, file))).collect();
    let mut found: Vec<BTreeSet<String>> = Vec::new();
    for file in graph.keys().filter(|file| reach[file].contains(file)) {
        if found.iter().all(|circle| !circle.contains(file)) {
            let others = reach[file].iter().filter(|other| reach[**other].contains(file));
            found.push(others.map(|other| (*other).clone()).collect());
        }
    }
    found
}

fn reachable<'a>(graph: &'a Graph, from: &String) -> BTreeSet<&'a String> {
    let (mut found, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(file) = open.pop() {
        for import in graph.get(file).into_iter().flatten() {
            if found.insert(import) {
                open.push(import);
            }
        }
    }
    found
}
