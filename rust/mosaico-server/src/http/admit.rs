//! The border of all routes of the HTTP port.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, AUTHORIZATION, CACHE_CONTROL, HOST,
    REFERRER_POLICY, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use mosaico_engine::state::engine::Engine;
use mosaico_storage::error::{Error, Result};
use mosaico_types::ErrorCode;
use mosaico_types::access::MonitoringLevel;
use mosaico_wire::status::grpc_code;
use mosaico_wire::{API_KEY_HEADER, PEER_HEADER, REQUEST_ID_HEADER};
use tonic::Status;

use super::arrow_body::Whole;
use super::call::HttpCall;
use super::failure::{Ended, Failure};
use super::parameters::{LINK, pairs};
use super::reader::Reader;
use super::served::{HttpServer, Served};
use crate::access::Access;
use crate::access::identity::{Caller, Identity, claimed, refused_link};
use crate::access::table::{Needs, Rule, Surface, find, is_download};
use crate::listen::HttpPeer;

/// Headers of all pages: links and data are private, and a link in a URL must not reach other sites.
const PRIVATE: [(HeaderName, &str); 3] = [
    (CACHE_CONTROL, "private, no-store"),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// Headers that scripts of an allowed origin may read.
const EXPOSED: &str = "accept-ranges, content-length, content-range, etag, retry-after, x-next-ns, x-request-id, x-timestamp-ns";

#[derive(Debug, Clone)]
pub(super) struct Guard {
    pub(super) http: HttpServer,
    /// The address of the listener.
    pub(super) bound: SocketAddr,
    pub(super) level: MonitoringLevel,
}

pub(super) async fn admit(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let Some(rule) = route.and_then(|route| find(Surface::Http, route.as_str())) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let is_bare = !has_credentials(request.headers());
    match rule.needs {
        Needs::Nothing => next.run(request).await,
        Needs::Monitoring(level) if guard.level >= level && is_bare => next.run(request).await,
        Needs::Monitoring(_) => monitor(&guard, rule, request, next).await,
        _ => page(&guard, rule, request, next).await,
    }
}

fn has_credentials(headers: &HeaderMap) -> bool {
    [AUTHORIZATION.as_str(), API_KEY_HEADER, PEER_HEADER].iter().any(|name| headers.contains_key(*name))
}

fn peer(request: &Request) -> Option<HttpPeer> {
    request.extensions().get::<ConnectInfo<HttpPeer>>().map(|ConnectInfo(peer)| peer.clone())
}

/// Answers a monitor that needs a key.
async fn monitor(guard: &Guard, rule: &'static Rule, request: Request, next: Next) -> Response {
    let (Some(served), Ok(engine)) = (guard.http.0.served.get(), guard.http.engine()) else {
        return (StatusCode::SERVICE_UNAVAILABLE, "starting: no API key is known yet\n").into_response();
    };
    let access = Access::of_monitors(Arc::clone(&served.keys), &engine.config, guard.bound, guard.level);
    let mut call = HttpCall::begin(rule, request.headers(), &engine, &served.audit);
    call.trail.is_from(peer(&request).and_then(|peer| peer.address()), access.is_audited);
    let certificate = peer(&request).and_then(|peer| peer.certificate().cloned());
    let caller = access.caller(request.headers(), request.uri().path(), certificate.as_ref()).await;
    let caller = noted(&call, request.headers(), caller);
    match caller.and_then(|caller| caller.check_rule(rule)) {
        Ok(()) => {
            let response = next.run(request).await;
            call.ends(tonic::Code::Ok);
            response
        }
        Err(error) => {
            call.ends(grpc_code(error.code()));
            if error.code() == ErrorCode::PermissionDenied {
                let header = [(WWW_AUTHENTICATE, "Bearer")];
                return (StatusCode::UNAUTHORIZED, header, format!("{error}\n")).into_response();
            }
            (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response()
        }
    }
}

/// Notes the caller for the audit log.
fn noted(call: &HttpCall, headers: &HeaderMap, caller: Result<Caller>) -> Result<Caller> {
    match &caller {
        Ok(caller) => call.trail.is_of(caller),
        Err(_) => call.trail.is_of_unknown(claimed(headers)),
    }
    caller
}

/// Answers a page or a player.
async fn page(guard: &Guard, rule: &'static Rule, request: Request, next: Next) -> Response {
    let engine = guard.http.engine();
    let (Some(served), Ok(engine)) = (guard.http.0.served.get(), engine) else {
        return Failure::from(Error::StoreUnavailable("starting".into())).into_response();
    };
    let mut call = HttpCall::begin(rule, request.headers(), &engine, &served.audit);
    let id = call.id.clone();
    let allowed = engine.config.http_allow_origin.clone();
    let answer = enter(guard, rule, served, engine, &call, request, next).await;
    let mut response = answer.unwrap_or_else(|failure| failure.into_response().map(tonic::body::Body::new));
    if let Some(Ended(code)) = response.extensions().get() {
        call.ends(*code);
    }
    let headers = response.headers_mut();
    for (name, value) in PRIVATE {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(REQUEST_ID_HEADER, id);
    if let Some(origin) = allowed.and_then(|origin| HeaderValue::try_from(origin).ok()) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        headers.append(VARY, HeaderValue::from_static("origin"));
    }
    response.map(|body| Body::new(Whole { body, call }))
}

/// Lets a request pass: first its connection and address, then its caller.
async fn enter(
    guard: &Guard,
    rule: &'static Rule,
    served: &Served,
    engine: Arc<Engine>,
    call: &HttpCall,
    mut request: Request,
    next: Next,
) -> Result<Response<tonic::body::Body>, Failure> {
    engine.check_owner()?;
    let access = Access::new(Arc::clone(&served.keys), &engine.config, Some(guard.bound));
    let peer =
        peer(&request).ok_or_else(|| Failure::from(Status::internal("a request without connection")))?;
    call.trail.is_from(peer.address(), access.is_audited);
    call.trail.concerns(&subject(request.uri().path()));
    let passing = served.gate.admit(&peer.connection)?;
    let link = pairs(request.uri()).find(|(name, _)| name == LINK);
    let caller = match link {
        Some((_, text)) => access.link(&text, access.now_ns()).await,
        None => access.caller(request.headers(), request.uri().path(), peer.certificate()).await,
    };
    let caller = noted(call, request.headers(), caller);
    // Missing, malformed and expired credentials get the answer of a link that is not valid.
    let one_text = |error: Error| match error.code() {
        ErrorCode::PermissionDenied => refused_link(),
        _ => error,
    };
    let caller = caller.map_err(one_text)?;
    if caller.identity == Identity::Anonymous && guard.bound.ip().is_loopback() {
        check_host(request.headers(), engine.config.http_url.as_deref())?;
    }
    let checked = caller.check_rule(rule);
    if caller.identity == Identity::Anonymous {
        checked.map_err(one_text)?
    } else {
        checked?
    }
    let charged = served.gate.charge(&caller, request.extensions())?;
    let download = match is_download(rule.call) {
        true => Some(served.gate.download()?),
        false => None,
    };
    let (peers, caller) = (Arc::clone(&served.peers), Arc::new(caller));
    request.extensions_mut().insert(Reader { engine, peers, caller });
    let response = next.run(request).await.map(tonic::body::Body::new);
    let (gate, held) = (Arc::clone(&served.gate), (passing, charged, download));
    Ok(response.map(|body| gate.until_its_end(body, Some(peer.connection), held)))
}

/// Refuses requests of a browser for another host name: a site of others can make its own name lead to this machine, and
/// its scripts would then read what only this machine may.
fn check_host(headers: &HeaderMap, http_url: Option<&str>) -> Result<(), Error> {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else { return Ok(()) };
    if is_own(host, http_url) {
        return Ok(());
    }
    let text = format!(
        "this port answers requests without an API key for this machine only, not for the host `{host}`; use localhost, or \
         start the daemon with --http-url and this host"
    );
    Err(Error::Refused(ErrorCode::PermissionDenied, text))
}

fn is_own(host: &str, http_url: Option<&str>) -> bool {
    let name = |authority: &str| match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name.to_ascii_lowercase(),
        _ => authority.to_ascii_lowercase(),
    };
    let of_url = http_url.and_then(|url| url.split("://").nth(1)?.split('/').next()).map(name);
    let host = name(host);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || bare.parse::<IpAddr>().is_ok()
        || of_url == Some(host)
}

/// The sequence or topic in a path, for the audit log.
fn subject(path: &str) -> String {
    if let Some(file) = path.strip_prefix("/sequences/") {
        return file.strip_suffix(".mcap").unwrap_or(file).to_owned();
    }
    let Some(path) = path.strip_prefix("/api/v1/sequences/") else { return String::new() };
    let (sequence, rest) = path.split_once('/').unwrap_or((path, ""));
    match rest.strip_prefix("topics/").and_then(|topic| topic.split('/').next()) {
        Some(topic) => format!("{sequence}/{}", topic.replace("%2F", "/")),
        None => sequence.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_not_ours() {
        for host in ["localhost", "LOCALHOST:1", "app.localhost:80", "127.0.0.1:9", "[::1]:9", "192.168.1.5"]
        {
            assert!(is_own(host, None), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:6727", "evil.example:127", "", "robots.example"]
        {
            assert!(!is_own(host, None) && !is_own(host, Some("https://robots.example.org/x")), "{host}");
        }
        assert!(is_own("robots.example.org", Some("https://robots.example.org:9726/x")));
    }

    #[test]
    fn the_audit_log_names_sequence_and_topic() {
        let found =
            ["/api/v1/sequences/a", "/api/v1/sequences/a/density", "/api/v1/sequences", "/api/v1/query"]
                .map(subject);
        assert_eq!(found, ["a", "a", "", ""]);
        assert_eq!(subject("/api/v1/sequences/a/topics/deep%2Ft/series"), "a/deep/t");
    }
}
