//! Certificates for development: a CA, a server certificate and a client certificate.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use crate::files::FileError;

const CA_YEARS: i64 = 10;
const YEARS: i64 = 2;

/// Clocks may differ by this.
const BEFORE: Duration = Duration::days(1);

/// Names under which a machine reaches itself.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The common name of the client certificate.
const CLIENT: &str = "mosaico-client";

/// The files that were created.
#[derive(Debug, Clone)]
pub struct Created {
    /// Certificate of the CA, which both ends trust.
    pub ca: PathBuf,
    /// Certificate of the server.
    pub server: PathBuf,
    /// Its private key.
    pub server_key: PathBuf,
    /// Certificate of a client.
    pub client: PathBuf,
    /// Its private key.
    pub client_key: PathBuf,
    /// Names and addresses in the server's certificate.
    pub hosts: Vec<String>,
}

/// Creates a CA, a server certificate for this machine and `hosts`, and a client certificate in `folder`.
/// Only the owner can read the keys.
///
/// # Errors
/// If one of the files exists, `hosts` contains something that is not a name or an IP address, or the folder
/// cannot be written.
pub fn create_development_files(folder: &Path, hosts: &[String]) -> Result<Created, FileError> {
    let path = |name: &str| folder.join(name);
    let (ca, ca_key) = (path("ca.pem"), path("ca-key.pem"));
    let created = Created {
        ca: ca.clone(),
        server: path("server.pem"),
        server_key: path("server-key.pem"),
        client: path("client.pem"),
        client_key: path("client-key.pem"),
        hosts: all_hosts(hosts),
    };
    let all = [&ca, &ca_key, &created.server, &created.server_key, &created.client, &created.client_key];
    if let Some(existing) = all.into_iter().find(|path| path.exists()) {
        let what = "it exists already and is not overwritten; choose another folder, or remove it first";
        return Err(FileError::new(existing, what));
    }
    let failed = |e: rcgen::Error| FileError::new(folder, e.to_string());
    let issuer = authority().map_err(failed)?;
    let server = issue(&created.hosts, &created.hosts[0], SERVER_USES, &issuer).map_err(|e| {
        FileError::new(&created.server, format!("a host of {} is not allowed: {e}", created.hosts.join(", ")))
    })?;
    let client = issue(&[], CLIENT, &[ExtendedKeyUsagePurpose::ClientAuth], &issuer).map_err(failed)?;
    let unwritable = |e: io::Error| FileError::new(folder, e.to_string());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unwritable)?;
    for (path, text, mode) in [
        (&ca_key, issuer.authority_key, 0o600),
        (&ca, issuer.authority, 0o644),
        (&created.server_key, server.1, 0o600),
        (&created.server, server.0, 0o644),
        (&created.client_key, client.1, 0o600),
        (&created.client, client.0, 0o644),
    ] {
        write_new(path, &text, mode).map_err(|e| FileError::new(path, e.to_string()))?;
    }
    Ok(created)
}

/// A daemon of a cluster is also a client of the others.
const SERVER_USES: &[ExtendedKeyUsagePurpose] =
    &[ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    authority: String,
    authority_key: String,
}

fn authority() -> Result<Authority, rcgen::Error> {
    let mut params = params(&[], "Mosaico development CA", CA_YEARS)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let authority = params.self_signed(&key)?.pem();
    let authority_key = key.serialize_pem();
    Ok(Authority { issuer: Issuer::new(params, key), authority, authority_key })
}

/// A certificate and its key, as PEM.
fn issue(
    hosts: &[String],
    name: &str,
    uses: &[ExtendedKeyUsagePurpose],
    authority: &Authority,
) -> Result<(String, String), rcgen::Error> {
    let mut params = params(hosts, name, YEARS)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = uses.to_vec();
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    Ok((params.signed_by(&key, &authority.issuer)?.pem(), key.serialize_pem()))
}

fn params(hosts: &[String], name: &str, years: i64) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = OffsetDateTime::now_utc();
    params.not_before = now - BEFORE;
    params.not_after = now + Duration::days(365 * years);
    Ok(params)
}

fn all_hosts(hosts: &[String]) -> Vec<String> {
    let local = LOCAL.into_iter().map(str::to_owned);
    let mut all: Vec<String> = Vec::new();
    for host in hosts.iter().cloned().chain(local) {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let same = |other: &String| match (other.parse::<IpAddr>(), host.parse::<IpAddr>()) {
            (Ok(one), Ok(other)) => one == other,
            _ => *other == host,
        };
        if !all.iter().any(same) {
            all.push(host);
        }
    }
    all
}

fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn keys_are_private_and_nothing_is_overwritten() {
        let folder = tempfile::TempDir::new().unwrap();
        let folder = folder.path().join("tls");
        let created = create_development_files(&folder, &["robots.example.org".to_owned()]).unwrap();
        assert_eq!(created.hosts, ["robots.example.org", "localhost", "127.0.0.1", "::1"]);
        for key in ["ca-key.pem", "server-key.pem", "client-key.pem"] {
            let mode = fs::metadata(folder.join(key)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{key}");
        }
        fs::remove_file(&created.ca).unwrap();
        let before = fs::read(&created.server_key).unwrap();
        let error = create_development_files(&folder, &[]).unwrap_err();
        assert!(error.to_string().contains("not overwritten"), "{error}");
        assert_eq!(fs::read(&created.server_key).unwrap(), before);
        assert!(!created.ca.exists());
    }

    #[test]
    fn a_host_that_is_none_is_refused() {
        let folder = tempfile::TempDir::new().unwrap();
        let error =
            create_development_files(&folder.path().join("tls"), &["caf\u{e9}".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("caf\u{e9}"), "{error}");
    }
}
