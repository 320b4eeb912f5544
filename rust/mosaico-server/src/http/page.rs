//! The page: the files of `web/dist`, which are part of the program if they were there when it was built.

use axum::body::Body;
use axum::extract::Path;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

/// A file of the page.
struct File {
    /// Below `web/dist`.
    path: &'static str,
    content: &'static [u8],
    brotli: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
    /// Of the content.
    tag: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/page_files.rs"));

const INDEX: &str = "index.html";

/// Without the page.
const MISSING: &str = include_str!("page_missing.html");

/// Only files of this daemon, no inline script. Notebooks on this machine may frame the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
     media-src 'self' blob:; font-src 'self'; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'self' http://localhost:* http://127.0.0.1:*";

const EVERYWHERE: [(HeaderName, &str); 3] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (CONTENT_SECURITY_POLICY, POLICY),
];

/// Names of assets contain a hash of their content.
const FOREVER: &str = "public, max-age=31536000, immutable";

/// `GET /`.
pub(super) async fn index(headers: HeaderMap) -> Response {
    match find(INDEX) {
        Some(file) => respond(file, "no-cache", &headers),
        None => with_policy(
            (StatusCode::OK, [(CONTENT_TYPE, content_type(INDEX)), (CACHE_CONTROL, "no-store")], MISSING)
                .into_response(),
        ),
    }
}

/// `GET /icon.svg`.
pub(super) async fn icon(headers: HeaderMap) -> Response {
    match find("icon.svg") {
        Some(file) => respond(file, "no-cache", &headers),
        None => with_policy((StatusCode::NOT_FOUND, "no such file\n").into_response()),
    }
}

/// `GET /assets/{*path}`.
pub(super) async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    match find(&format!("assets/{path}")) {
        Some(file) => respond(file, FOREVER, &headers),
        None => with_policy((StatusCode::NOT_FOUND, "no such file\n").into_response()),
    }
}

fn find(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

fn respond(file: &'static File, caching: &'static str, headers: &HeaderMap) -> Response {
    let tag = HeaderValue::from_static(file.tag);
    let accepted = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let accepted: Vec<&str> = accepted.flat_map(|text| text.split(',')).filter_map(coding).collect();
    let stored = [("br", file.brotli), ("gzip", file.gzip)];
    let encoded = stored.into_iter().find(|(name, content)| content.is_some() && accepted.contains(name));
    let mut response = if headers.get_all(IF_NONE_MATCH).iter().any(|known| known == tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let content = encoded.and_then(|(_, content)| content).unwrap_or(file.content);
        ([(CONTENT_TYPE, content_type(file.path))], Body::from(content)).into_response()
    };
    let head = response.headers_mut();
    if let Some((name, _)) = encoded {
        head.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    head.insert(ETAG, tag);
    head.insert(VARY, HeaderValue::from_static("accept-encoding"));
    head.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    with_policy(response)
}

fn with_policy(mut response: Response) -> Response {
    for (name, value) in EVERYWHERE {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The name of a coding, unless the client refuses it.
fn coding(text: &str) -> Option<&str> {
    let (name, weight) = text.split_once(';').unwrap_or((text, ""));
    let is_refused = weight.trim().strip_prefix("q=").is_some_and(|weight| weight.parse() == Ok(0.0));
    (!is_refused).then(|| name.trim())
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map" | "webmanifest") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("wasm") => "application/wasm",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static SCRIPT: File = File {
        path: "assets/a-1.js",
        content: b"plain",
        brotli: Some(b"br"),
        gzip: Some(b"gz"),
        tag: "\"1\"",
    };

    fn answer(name: &'static str, value: &'static str) -> Response {
        let headers =
            HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))]);
        respond(&SCRIPT, FOREVER, &headers)
    }

    #[test]
    fn the_best_coding_that_the_client_takes_is_sent() {
        let coded = |accepted: &'static str| {
            let answer = answer("accept-encoding", accepted);
            answer.headers().get(CONTENT_ENCODING).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(coded("gzip, deflate, br").as_deref(), Some("br"));
        assert_eq!(coded("gzip;q=0.5").as_deref(), Some("gzip"));
        assert_eq!(coded("br;q=0, gzip").as_deref(), Some("gzip"));
        assert_eq!(coded("identity"), None);
    }

    #[test]
    fn files_are_cached_and_scripts_are_ours() {
        let whole = answer("accept", "*/*");
        assert_eq!(whole.headers()[CACHE_CONTROL], FOREVER);
        assert_eq!(whole.headers()[CONTENT_TYPE], "text/javascript; charset=utf-8");
        let policy = whole.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer("if-none-match", "\"1\"").status(), StatusCode::NOT_MODIFIED);
        assert_eq!(answer("if-none-match", "\"2\"").status(), StatusCode::OK);
    }
}
