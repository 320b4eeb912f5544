use std::collections::BTreeSet;

use prost_types::FileDescriptorSet;

use super::*;
use crate::service::reflection;

/// The calls of a surface in the table; fails if one is there twice.
fn listed(surface: Surface) -> BTreeSet<String> {
    let rules = TABLE.iter().filter(|rule| rule.surface == surface);
    let calls: Vec<String> = rules.map(|rule| rule.call.to_owned()).collect();
    let set: BTreeSet<String> = calls.iter().cloned().collect();
    assert_eq!(set.len(), calls.len(), "{calls:?}");
    set
}

/// The parts of `text` between each `before` and the next `after`.
fn between<'a>(text: &'a str, before: &'a str, after: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(before).skip(1).filter_map(move |rest| rest.split(after).next())
}

#[test]
fn every_method_of_every_service_is_in_the_table() {
    let methods = |set: FileDescriptorSet| -> Vec<String> {
        let services = set.file.into_iter().flat_map(|file| {
            let package = file.package.unwrap_or_default();
            file.service.into_iter().map(move |service| (package.clone(), service))
        });
        let methods = services.flat_map(|(package, service)| {
            let full = format!("{package}.{}", service.name.unwrap_or_default());
            let name = move |method: prost_types::MethodDescriptorProto| {
                format!("{full}/{}", method.name.unwrap_or_default())
            };
            service.method.into_iter().map(name).collect::<Vec<_>>()
        });
        methods.collect()
    };
    let decode = |bytes: &[u8]| <FileDescriptorSet as prost::Message>::decode(bytes).unwrap();
    let mut served: BTreeSet<String> = methods(reflection::descriptors()).into_iter().collect();
    served.extend(methods(decode(tonic_health::pb::FILE_DESCRIPTOR_SET)));
    served.extend(methods(decode(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)));
    assert!(served.len() >= 13, "{served:?}");
    assert_eq!(listed(Surface::Rpc), served);
    // The server adds no further service.
    let server = include_str!("../../server.rs");
    assert_eq!(server.matches(".add_service(").count(), 3);
}

#[test]
fn every_method_of_the_flight_service_is_written_here() {
    let service = include_str!("../../service/mod.rs");
    let of_trait = service.split("impl FlightService for Service").nth(1).unwrap();
    let methods: BTreeSet<String> = between(of_trait, "async fn ", "(")
        .map(|name| name.split('_').map(capitalized).collect::<String>())
        .map(|name| format!("arrow.flight.protocol.FlightService/{name}"))
        .collect();
    let flight = listed(Surface::Rpc).into_iter().filter(|call| call.contains("FlightService"));
    assert_eq!(flight.collect::<BTreeSet<_>>(), methods);
}

fn capitalized(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}

#[test]
fn every_action_is_in_the_table() {
    let wire = [
        include_str!("../../../../mosaico-wire/src/action.rs"),
        include_str!("../../../../mosaico-wire/src/event.rs"),
        include_str!("../../../../mosaico-wire/src/maintenance.rs"),
        include_str!("../../../../mosaico-wire/src/link.rs"),
    ];
    let named = wire.iter().flat_map(|text| {
        let names = text.split("pub mod name {").nth(1).unwrap().split("\n}").next().unwrap();
        between(names, "&str = \"", "\"").map(str::to_owned).collect::<Vec<_>>()
    });
    let named: BTreeSet<String> = named.filter(|name| name != action::EMPTY).collect();
    assert_eq!(listed(Surface::Action), named);
    // Each is dispatched: in `run`, or in the method itself.
    let actions = include_str!("../../service/actions.rs");
    let run = actions.split("pub(crate) async fn run(").nth(1).unwrap().split("\n}\n").next().unwrap();
    let dispatched = run.matches("name::").count();
    assert_eq!(dispatched + 1, named.len(), "an action in the dispatch is not in the table, or the reverse");
}

#[test]
fn every_route_is_in_the_table() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http");
    let files =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let code: Vec<String> = files.map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let routes = code.iter().flat_map(|text| between(text, ".route(\"", "\"")).map(str::to_owned);
    assert_eq!(listed(Surface::Http), routes.collect());
}

#[test]
fn peers_call_what_the_table_says() {
    let methods = between(include_str!("../../peers.rs"), "flight.do_", "(")
        .map(|name| format!("Do{}", capitalized(name)));
    let infos = between(include_str!("../../peers.rs"), "flight.get_flight_", "(")
        .map(|_| "GetFlightInfo".to_owned());
    let called: BTreeSet<String> = methods.chain(infos).collect();
    let peers = listed(Surface::Peer);
    assert_eq!(peers.iter().filter(|call| !call.contains(':')).cloned().collect::<BTreeSet<_>>(), called);
}

#[test]
fn names_of_methods_are_those_of_the_table() {
    for call in [name::GET_FLIGHT_INFO, name::DO_GET, name::DO_PUT] {
        assert!(find(Surface::Rpc, call).is_some(), "{call}");
    }
    assert_eq!(rpc("/grpc.health.v1.Health/Check").needs, HEALTH);
    assert_eq!(rpc("/x.Y/Z").needs, Needs::AnyRight);
}

/// A row of the table in docs/security.md.
fn documented(rule: &Rule) -> String {
    let call = match rule.surface {
        Surface::Rpc => {
            format!("`{}`", rule.call.replace("arrow.flight.protocol.", "").replace("FlightService/", ""))
        }
        Surface::Action => format!("`{}`", rule.call),
        Surface::Http => format!("`{} {}`", http_method(rule.call), rule.call),
        Surface::Peer => format!("`{}`", rule.call),
        Surface::Command => format!("`mosaicod {}`", rule.call),
    };
    let surface = match rule.surface {
        Surface::Rpc => "RPC",
        Surface::Action => "action",
        Surface::Http => "HTTP",
        Surface::Peer => "peer",
        Surface::Command => "command",
    };
    let needs = match rule.needs {
        Needs::Right(right) if rule.source == Source::Path => format!("`{right}`, or a link"),
        Needs::Right(right) => format!("`{right}`"),
        Needs::Nothing => "nothing".to_owned(),
        Needs::AnyRight => "any right".to_owned(),
        Needs::RightOfAction => "that of the action".to_owned(),
        Needs::Monitoring(level) => format!("`--monitoring {level}`, or any right"),
        Needs::StoreSecret => "the secret of the store".to_owned(),
        Needs::StoreFiles => "the files of the store".to_owned(),
    };
    let source = match rule.source {
        Source::Nothing => "–",
        Source::Store => "all sequences",
        Source::Visible => "those that it may read",
        Source::Sequence | Source::Topic(_) => "`name`",
        Source::NewSequence => "`name`, a new one",
        Source::Command => "`resource_locator`",
        Source::Ticket => "the ticket",
        Source::Path => "`name` in the path",
    };
    format!("| {surface} | {call} | {needs} | {source} |")
}

#[test]
fn the_table_in_the_docs_is_this_one() {
    let docs = include_str!("../../../../../docs/security.md");
    let surfaces = ["RPC", "action", "HTTP", "peer", "command"].map(|surface| format!("| {surface} | "));
    let rows: Vec<&str> =
        docs.lines().filter(|line| surfaces.iter().any(|surface| line.starts_with(surface))).collect();
    let expected: Vec<String> = TABLE.iter().map(documented).collect();
    assert_eq!(rows, expected, "expected:\n{}", expected.join("\n"));
}
