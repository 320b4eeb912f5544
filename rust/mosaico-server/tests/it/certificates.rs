//! Client certificates with rights of their own.

use std::path::Path;

use mosaico_admin::{KeyInfo, KeyState, NewKey};
use mosaico_server::{AnonymousLevel, Config};
use mosaico_types::ErrorCode;
use mosaico_types::access::{KeyLimits, Scope};
use serde_json::json;
use tempfile::TempDir;

use crate::common::*;
use crate::keyed::*;
use crate::tls::{Secured, created, local, mutual, with_certificate};

/// The common name in the certificates of `tls-init`.
const NAME: &str = "mosaico-client";

async fn grant(folder: &Path, name: &str, scope: &str) -> mosaico_server::Result<KeyInfo> {
    let scopes = vec![Scope::parse(scope, None).unwrap()];
    let new = NewKey { description: "robot".into(), scopes, limits: KeyLimits::default(), expires_ns: None };
    keys(folder).create_for_certificate(new, name.to_owned()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_has_the_rights_of_its_key() {
    let folder = TempDir::new().unwrap();
    let (store, tls) = (folder.path().join("store"), created(&folder, "tls"));
    record(&store, &["a-1", "b-1"]).await;
    let other = key(&store, &["b-*:read"]).await;
    let http_url = Some("https://robots.example".to_owned());
    let server = Secured::start(Config { http_url, ..closed(&store) }, mutual(&tls)).await;
    let (port, files) = (server.address.port(), with_certificate(&tls, &tls));
    let refusal = local(port, &files).await.unwrap_err();
    assert!(refusal.contains("valid API key"), "a certificate alone opens nothing: {refusal}");

    let info = grant(&store, NAME, "a-*:read,write").await.unwrap();
    assert_eq!((info.state, info.certificate.as_deref()), (KeyState::Valid, Some(NAME)));
    until(async || local(port, &files).await.is_ok()).await;
    let session = Session { client: local(port, &files).await.unwrap(), header: None };
    assert_eq!(session.names().await.unwrap(), ["a-1"]);
    session.act("sequence_create", json!({"name": "a-2", "user_metadata": {}})).await.unwrap();
    let denied =
        session.act("sequence_create", json!({"name": "b-2", "user_metadata": {}})).await.unwrap_err();
    assert!(is_refused(&denied) && denied.message().contains(&info.fingerprint.to_string()), "{denied}");
    let ticket = session.ticket("a-1/t").await.unwrap();
    assert!(session.read(ticket).await.unwrap() > 1, "tickets are those of the key");
    session.act("sequence_link", json!({"name": "a-1", "expires_in_s": 60})).await.unwrap();
    // A key in a call takes precedence, also one that is not valid.
    let header = |text: String| Some((mosaico_wire::API_KEY_HEADER, text));
    let with_key = Session { header: header(other.text()), ..session.clone() };
    assert_eq!(with_key.names().await.unwrap(), ["b-1"]);
    let with_wrong = Session { header: header(forged(&other).text()), ..session.clone() };
    assert!(is_refused(&with_wrong.names().await.unwrap_err()));

    let twice = grant(&store, NAME, "b-*:read").await.unwrap_err();
    assert_eq!(twice.code(), ErrorCode::AlreadyExists, "{twice}");
    for bad in ["", "line\nbreak"] {
        assert_eq!(grant(&store, bad, "*:read").await.unwrap_err().code(), ErrorCode::InvalidInput);
    }
    keys(&store).revoke(info.fingerprint).await.unwrap();
    session.until_refused(true).await;
    grant(&store, NAME, "b-*:read").await.unwrap();
    until(async || session.names().await.is_ok_and(|names| names == ["b-1"])).await;
    drop((session, with_key, with_wrong));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_whose_rights_ended_is_not_anonymous() {
    let folder = TempDir::new().unwrap();
    let (store, tls) = (folder.path().join("store"), created(&folder, "tls"));
    record(&store, &["a-1"]).await;
    let anonymous = Some(AnonymousLevel::Read);
    let server = Secured::start(Config { anonymous, ..config(&store) }, mutual(&tls)).await;
    let session = Session {
        client: local(server.address.port(), &with_certificate(&tls, &tls)).await.unwrap(),
        header: None,
    };
    assert_eq!(
        session.names().await.unwrap(),
        ["a-1"],
        "a certificate without a key has the level of everybody"
    );
    let info = grant(&store, NAME, "none:read").await.unwrap();
    until(async || session.names().await.is_ok_and(|names| names.is_empty())).await;
    keys(&store).revoke(info.fingerprint).await.unwrap();
    session.until_refused(true).await;
    keys(&store).purge(false).await.unwrap();
    session.until_refused(false).await;
    drop(session);
    server.stop().await;
}
