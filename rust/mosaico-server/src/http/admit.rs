//! The border of all routes of the HTTP port.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, CACHE_CONTROL, REFERRER_POLICY, VARY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
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
use super::pages::{Reader, parameters};
use super::served::{HttpServer, Served};
use crate::access::Access;
use crate::access::identity::{Caller, Identity, claimed, refused_link};
use crate::access::table::{Needs, Rule, Surface, find};
use crate::listen::HttpPeer;

/// Headers of all pages: links and data are private, and a link in a URL must not reach other sites.
const PRIVATE: [(HeaderName, &str); 3] = [
    (CACHE_CONTROL, "private, no-store"),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

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
        headers.insert(VARY, HeaderValue::from_static("origin"));
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
    let link = parameters(request.uri()).find(|(name, _)| name == "link");
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
    let checked = caller.check_rule(rule);
    if caller.identity == Identity::Anonymous {
        checked.map_err(one_text)?
    } else {
        checked?
    }
    let charged = served.gate.charge(&caller, request.extensions())?;
    let download = match rule.call.ends_with("/data") {
        true => Some(served.gate.download()?),
        false => None,
    };
    let (peers, caller) = (Arc::clone(&served.peers), Arc::new(caller));
    request.extensions_mut().insert(Reader { engine, peers, caller });
    let response = next.run(request).await.map(tonic::body::Body::new);
    let (gate, held) = (Arc::clone(&served.gate), (passing, charged, download));
    Ok(response.map(|body| gate.until_its_end(body, Some(peer.connection), held)))
}

/// The sequence or topic in a path, for the audit log.
fn subject(path: &str) -> String {
    let path = path.strip_prefix("/v1/sequences/").unwrap_or(path);
    path.strip_suffix("/data").unwrap_or(path).replacen("/topics/", "/", 1).replace("%2F", "/")
}
