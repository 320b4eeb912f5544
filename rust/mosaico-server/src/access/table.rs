//! The only table of calls: every RPC, action, HTTP route, call between daemons and command, with the right
//! that it needs and the place of its sequence's name. A call that is not here is refused. `docs/security.md`
//! shows this table, and a test compares both.

use mosaico_types::access::MonitoringLevel;
use mosaico_types::access::Right::{self, Admin, Delete, Read, Write};
use mosaico_wire::action::name as action;
use mosaico_wire::{event, link, maintenance};

/// How a call arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Surface {
    /// A gRPC method, by its name in `package.Service/Method`.
    Rpc,
    /// A type of `DoAction`.
    Action,
    /// A route of the HTTP port.
    Http,
    /// A call of another daemon of the store.
    Peer,
    /// A command of `mosaicod`, which opens the store itself.
    Command,
}

/// What the caller of a call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Right(Right),
    /// Nothing: the call says nothing about the daemon.
    Nothing,
    /// Any right: the call says nothing about the store.
    AnyRight,
    /// The right of its action.
    RightOfAction,
    /// At least this level of monitoring without a key; else a valid key.
    Monitoring(MonitoringLevel),
    /// The secret of the store, as a proof in the header `mosaico-peer`.
    StoreSecret,
    /// Access to the files or the bucket of the store.
    StoreFiles,
}

/// The resource that a call reports as missing, if its sequence does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The one that it names.
    Itself,
    /// The sequence of the topic that it names.
    Sequence,
}

/// Where the sequence of a call is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The call concerns no data.
    Nothing,
    /// It concerns the whole store: the right must cover all sequences.
    Store,
    /// Its answer contains only sequences that the caller may read.
    Visible,
    /// `name` in the body: a sequence.
    Sequence,
    /// `name` in the body: a sequence that does not exist yet.
    NewSequence,
    /// In the path of the URL; a link names it too.
    Path,
    /// `name` in the body: a topic.
    Topic(Missing),
    /// `resource_locator` in the command of the descriptor.
    Command,
    /// The ticket.
    Ticket,
}

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) surface: Surface,
    pub(crate) call: &'static str,
    pub(crate) needs: Needs,
    pub(crate) source: Source,
}

const fn row(surface: Surface, call: &'static str, needs: Needs, source: Source) -> Rule {
    Rule { surface, call, needs, source }
}

const fn rpc_row(call: &'static str, needs: Needs, source: Source) -> Rule {
    row(Surface::Rpc, call, needs, source)
}

const fn action_row(call: &'static str, right: Right, source: Source) -> Rule {
    row(Surface::Action, call, Needs::Right(right), source)
}

const fn http_row(call: &'static str, source: Source) -> Rule {
    row(Surface::Http, call, Needs::Right(Read), source)
}

const fn command_row(call: &'static str) -> Rule {
    row(Surface::Command, call, Needs::StoreFiles, Source::Store)
}

const HEALTH: Needs = Needs::Monitoring(MonitoringLevel::Health);

/// The only route that has a body: conditions may be long.
pub(crate) const HTTP_QUERY: &str = "/api/v1/query";

/// The files of sequences.
const HTTP_FILE: &str = "/sequences/{file}";

/// Whether the answers of a route are large.
pub(crate) fn is_download(route: &str) -> bool {
    route == HTTP_FILE || route.ends_with("/data")
}

/// The method of a route.
pub(crate) fn http_method(route: &str) -> &'static str {
    if route == HTTP_QUERY { "POST" } else { "GET" }
}

/// What an RPC needs that no service has: its answer tells only that it does not exist.
const UNKNOWN: Rule = rpc_row("", Needs::AnyRight, Source::Nothing);

pub(crate) const TABLE: &[Rule] = &[
    rpc_row("arrow.flight.protocol.FlightService/ListFlights", Needs::Right(Read), Source::Visible),
    rpc_row("arrow.flight.protocol.FlightService/GetFlightInfo", Needs::Right(Read), Source::Command),
    rpc_row("arrow.flight.protocol.FlightService/DoGet", Needs::Right(Read), Source::Ticket),
    rpc_row("arrow.flight.protocol.FlightService/DoPut", Needs::Right(Write), Source::Command),
    rpc_row("arrow.flight.protocol.FlightService/DoAction", Needs::RightOfAction, Source::Nothing),
    rpc_row("arrow.flight.protocol.FlightService/Handshake", Needs::AnyRight, Source::Nothing),
    rpc_row("arrow.flight.protocol.FlightService/GetSchema", Needs::AnyRight, Source::Nothing),
    rpc_row("arrow.flight.protocol.FlightService/PollFlightInfo", Needs::AnyRight, Source::Nothing),
    rpc_row("arrow.flight.protocol.FlightService/ListActions", Needs::AnyRight, Source::Nothing),
    rpc_row("arrow.flight.protocol.FlightService/DoExchange", Needs::AnyRight, Source::Nothing),
    rpc_row("grpc.health.v1.Health/Check", HEALTH, Source::Nothing),
    rpc_row("grpc.health.v1.Health/Watch", HEALTH, Source::Nothing),
    rpc_row("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Needs::AnyRight, Source::Nothing),
    action_row(action::SEQUENCE_CREATE, Write, Source::NewSequence),
    action_row(action::SEQUENCE_FINALIZE, Write, Source::Sequence),
    // With the key of its writer: the end of a recording that failed.
    action_row(action::SEQUENCE_ABORT, Write, Source::Sequence),
    action_row(action::SEQUENCE_DELETE, Delete, Source::Sequence),
    action_row(action::SEQUENCE_SYSTEM_INFO, Read, Source::Sequence),
    action_row(action::SEQUENCE_NOTIFY_CREATE, Write, Source::Sequence),
    action_row(action::SEQUENCE_NOTIFY_LIST, Read, Source::Sequence),
    action_row(action::SEQUENCE_NOTIFY_PURGE, Delete, Source::Sequence),
    action_row(action::TOPIC_CREATE, Write, Source::Topic(Missing::Sequence)),
    action_row(action::TOPIC_DELETE, Delete, Source::Topic(Missing::Sequence)),
    action_row(action::TOPIC_SYSTEM_INFO, Read, Source::Topic(Missing::Itself)),
    action_row(action::TOPIC_NOTIFY_CREATE, Write, Source::Topic(Missing::Itself)),
    action_row(action::TOPIC_NOTIFY_LIST, Read, Source::Topic(Missing::Itself)),
    action_row(action::TOPIC_NOTIFY_PURGE, Delete, Source::Topic(Missing::Itself)),
    action_row(action::QUERY, Read, Source::Visible),
    action_row(action::LAYER_CREATE, Write, Source::Store),
    action_row(action::LAYER_UPDATE, Write, Source::Store),
    action_row(action::LAYER_DELETE, Delete, Source::Store),
    action_row(action::LAYER_LIST, Read, Source::Store),
    action_row(event::name::EVENT_LIST, Read, Source::Visible),
    action_row(event::name::SEQUENCE_KEEP_ALIVE, Write, Source::Sequence),
    action_row(event::name::SEQUENCE_END, Write, Source::Sequence),
    action_row(link::name::SEQUENCE_LINK, Read, Source::Sequence),
    action_row(maintenance::name::CATALOG_REBUILD, Admin, Source::Store),
    row(Surface::Http, "/healthz", HEALTH, Source::Nothing),
    row(Surface::Http, "/readyz", HEALTH, Source::Nothing),
    row(Surface::Http, "/metrics", Needs::Monitoring(MonitoringLevel::Metrics), Source::Nothing),
    row(Surface::Http, "/", Needs::Nothing, Source::Nothing),
    row(Surface::Http, "/icon.svg", Needs::Nothing, Source::Nothing),
    row(Surface::Http, "/assets/{*path}", Needs::Nothing, Source::Nothing),
    http_row(HTTP_FILE, Source::Path),
    http_row("/api/v1/info", Source::Nothing),
    http_row("/api/v1/events", Source::Visible),
    http_row(HTTP_QUERY, Source::Visible),
    http_row("/api/v1/sequences", Source::Visible),
    http_row("/api/v1/sequences/{name}", Source::Path),
    http_row("/api/v1/sequences/{name}/density", Source::Path),
    http_row("/api/v1/sequences/{name}/topics/{topic}/series", Source::Path),
    http_row("/api/v1/sequences/{name}/topics/{topic}/messages", Source::Path),
    http_row("/api/v1/sequences/{name}/topics/{topic}/frame", Source::Path),
    http_row("/api/v1/sequences/{name}/topics/{topic}/data", Source::Path),
    row(Surface::Peer, "DoGet", Needs::StoreSecret, Source::Ticket),
    row(Surface::Peer, "GetFlightInfo", Needs::StoreSecret, Source::Command),
    row(Surface::Peer, "DoAction: catalog_rebuild", Needs::StoreSecret, Source::Store),
    command_row("run"),
    command_row("rebuild"),
    command_row("check"),
    command_row("gc"),
    command_row("compact"),
    command_row("stats"),
    command_row("import"),
    command_row("api-key"),
    command_row("link"),
];

/// The RPCs that check a name themselves.
pub(crate) mod name {
    pub(crate) const GET_FLIGHT_INFO: &str = "arrow.flight.protocol.FlightService/GetFlightInfo";
    pub(crate) const DO_GET: &str = "arrow.flight.protocol.FlightService/DoGet";
    pub(crate) const DO_PUT: &str = "arrow.flight.protocol.FlightService/DoPut";
}

/// The rule of a call.
pub(crate) fn find(surface: Surface, call: &str) -> Option<&'static Rule> {
    TABLE.iter().find(|rule| rule.surface == surface && rule.call == call)
}

/// The rule of the RPC at the path of a request.
pub(crate) fn rpc(path: &str) -> &'static Rule {
    find(Surface::Rpc, path.strip_prefix('/').unwrap_or(path)).unwrap_or(&UNKNOWN)
}

#[cfg(test)]
mod tests;
