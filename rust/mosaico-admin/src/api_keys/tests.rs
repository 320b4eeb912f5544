use super::*;
use mosaico_engine::access::keys::KeyRing;
use mosaico_types::access::Right;

fn new_key(scope: &str) -> NewKey {
    let scopes = vec![Scope::parse(scope, None).unwrap()];
    NewKey { description: "robot".into(), scopes, limits: KeyLimits::default(), expires_ns: None }
}

fn keys(folder: &Path) -> ApiKeys {
    let author = Author { who: "user 7".into(), from: "host".into() };
    ApiKeys::create_store(&Config::new(StoreLocation::Local(folder.to_owned())), author).unwrap()
}

async fn ring(keys: &ApiKeys) -> KeyRing {
    KeyRing::new(keys.store.get_json(&api_keys_file()).await.unwrap().unwrap())
}

#[tokio::test]
async fn a_key_lives_until_it_is_revoked_and_purged() {
    let folder = tempfile::TempDir::new().unwrap();
    let keys = keys(&folder.path().join("new"));
    let (token, info) = keys.create(new_key("a-*:read")).await.unwrap();
    let (other, _) = keys.create(new_key("*:read,write")).await.unwrap();
    assert_eq!((info.state, info.last_used_ns), (KeyState::Valid, None));
    let found = ring(&keys).await.find(&token, now_ns()).unwrap().grant();
    assert!(found.allows(Right::Read, "a-1") && !found.allows(Right::Write, "a-1"));
    assert_eq!(keys.purge(false).await.unwrap(), []);
    for _ in 0..2 {
        assert_eq!(keys.revoke(token.fingerprint()).await.unwrap().state, KeyState::Revoked);
    }
    assert!(ring(&keys).await.find(&token, now_ns()).is_none());
    assert_eq!(keys.purge(false).await.unwrap(), [token.fingerprint()]);
    let unknown = keys.status(token.fingerprint()).await.unwrap_err();
    assert!(unknown.to_string().contains(&token.fingerprint().to_string()), "{unknown}");
    assert!(ring(&keys).await.find(&other, now_ns()).is_some());
    assert_eq!(keys.purge(true).await.unwrap(), [other.fingerprint()]);
}

#[tokio::test]
async fn only_the_hash_of_a_key_is_stored() {
    let folder = tempfile::TempDir::new().unwrap();
    let keys = keys(folder.path());
    let (token, _) = keys.create(new_key("*:read")).await.unwrap();
    let bytes = std::fs::read_to_string(folder.path().join("api-keys.json")).unwrap();
    let secret = std::str::from_utf8(token.secret()).unwrap();
    assert!(bytes.contains(&token.fingerprint().to_string()) && !bytes.contains(secret), "{bytes}");
}

#[tokio::test]
async fn expiry() {
    let folder = tempfile::TempDir::new().unwrap();
    let keys = keys(folder.path());
    let late = NewKey { expires_ns: Some(now_ns() - 1), ..new_key("*:read") };
    assert!(keys.create(late).await.is_err());
    let expires = now_ns() + 60_000_000_000;
    let (token, info) = keys.create(NewKey { expires_ns: Some(expires), ..new_key("*:read") }).await.unwrap();
    assert_eq!(info.expires_ns, Some(expires));
    let ring = ring(&keys).await;
    assert!(ring.find(&token, expires - 1).is_some() && ring.find(&token, expires).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_commands_lose_no_key() {
    let folder = tempfile::TempDir::new().unwrap();
    let made: Vec<_> = (0..8)
        .map(|_| {
            let keys = keys(folder.path());
            tokio::spawn(async move { keys.create(new_key("*:read")).await.unwrap().0 })
        })
        .collect();
    for token in futures::future::join_all(made).await {
        let fingerprint = token.unwrap().fingerprint();
        assert_eq!(keys(folder.path()).status(fingerprint).await.unwrap().state, KeyState::Valid);
    }
}

#[tokio::test]
async fn a_key_is_changed() {
    let folder = tempfile::TempDir::new().unwrap();
    let keys = keys(folder.path());
    let (token, _) = keys.create(new_key("a-*:read")).await.unwrap();
    let key = token.fingerprint();
    let limits = KeyLimits { calls: Some(3), bytes: Some(9), ..KeyLimits::default() };
    let soon = now_ns() + 60_000_000_000;
    let update = KeyUpdate { limits, expires_ns: Some(Some(soon)), ..KeyUpdate::default() };
    let found = keys.update(key, update).await.unwrap();
    assert_eq!((found.limits, found.expires_ns, found.description.as_str()), (limits, Some(soon), "robot"));
    let update = KeyUpdate {
        description: Some("robot 8".into()),
        limits: KeyLimits { calls: Some(4), ..KeyLimits::default() },
        ..KeyUpdate::default()
    };
    let found = keys.update(key, update).await.unwrap();
    assert_eq!((found.limits.calls, found.limits.bytes, found.expires_ns), (Some(4), Some(9), Some(soon)));
    let update = KeyUpdate { no_limits: true, expires_ns: Some(None), ..KeyUpdate::default() };
    let found = keys.update(key, update).await.unwrap();
    assert!(found.limits.is_empty() && found.expires_ns.is_none() && found.description == "robot 8");
    assert!(ring(&keys).await.find(&token, now_ns()).is_some(), "the secret stays");
    let past = KeyUpdate { expires_ns: Some(Some(now_ns() - 1)), ..KeyUpdate::default() };
    assert!(keys.update(key, past).await.unwrap_err().to_string().contains("expire at once"));
    keys.revoke(key).await.unwrap();
    let error = keys.update(key, KeyUpdate::default()).await.unwrap_err().to_string();
    assert!(error.contains("revoked") && error.contains("create another"), "{error}");
}

#[tokio::test]
async fn a_certificate_gets_no_second_valid_key_by_an_update() {
    let folder = tempfile::TempDir::new().unwrap();
    let keys = keys(folder.path());
    let soon = NewKey { expires_ns: Some(now_ns() + 50_000_000), ..new_key("*:read") };
    let first = keys.create_for_certificate(soon, "robot-7".into()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(60)).await;
    let second = keys.create_for_certificate(new_key("*:read"), "robot-7".into()).await.unwrap();
    let longer = KeyUpdate { expires_ns: Some(None), ..KeyUpdate::default() };
    let error = keys.update(first.fingerprint, longer.clone()).await.unwrap_err().to_string();
    assert!(error.contains(&second.fingerprint.to_string()), "{error}");
    keys.revoke(second.fingerprint).await.unwrap();
    assert_eq!(keys.update(first.fingerprint, longer).await.unwrap().state, KeyState::Valid);
}

#[tokio::test]
async fn the_record_has_each_change_with_its_author() {
    let folder = tempfile::TempDir::new().unwrap();
    let keys = keys(folder.path());
    let (token, _) = keys.create(new_key("*:read")).await.unwrap();
    let key = token.fingerprint();
    let description = KeyUpdate { description: Some("robot 8".into()), ..KeyUpdate::default() };
    for _ in 0..2 {
        // The second time, nothing changes.
        keys.update(key, description.clone()).await.unwrap();
    }
    keys.revoke_links().await.unwrap();
    for _ in 0..2 {
        keys.revoke(key).await.unwrap();
        keys.purge(false).await.unwrap();
        if keys.status(key).await.is_err() {
            break;
        }
    }
    assert_eq!(keys.purge(false).await.unwrap(), []);
    let record: ApiKeysRecord = keys.store.get_json(&api_keys_file()).await.unwrap().unwrap();
    let calls: Vec<&str> = record.changes.iter().map(|change| change.call.as_str()).collect();
    let expected = ["api_key_create", "api_key_update", "link_revoke_all", "api_key_revoke", "api_key_purge"];
    assert_eq!(calls, expected);
    assert!(
        record.changes.iter().all(|change| (change.who.as_str(), change.from.as_str()) == ("user 7", "host"))
    );
    assert!(record.changes.iter().all(|change| change.subject == key.to_string() || change.subject == "*"));
}
