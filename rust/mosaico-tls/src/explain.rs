//! Failed handshakes in words: what is wrong, and what to do.

use std::error::Error as StdError;
use std::io;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
use time::OffsetDateTime;

const NAME_A_CA: &str =
    "give the file of its CA certificate (tls_cert_path, --tls-ca or MOSAICO_TLS_CERT_FILE)";
const GIVE_A_CERTIFICATE: &str = "give a certificate that its --tls-client-ca signed, with its key \
     (client_cert_path and client_key_path, --client-cert and --client-key, or \
     MOSAICO_TLS_CLIENT_CERT_FILE and MOSAICO_TLS_CLIENT_KEY_FILE)";

/// What precedes the name of an alert in the texts of rustls.
const ALERT: &str = "received fatal alert: ";

/// The reason why a client's connection failed, if it is one of TLS.
pub fn explain(error: &(dyn StdError + 'static)) -> Option<String> {
    let Some(error) = find(error) else { return alert_in_texts(error) };
    Some(match error {
        Error::InvalidCertificate(reason) => {
            let what = certificate(reason, "the daemon's certificate");
            let remedy = match reason {
                CertificateError::UnknownIssuer | CertificateError::BadSignature => format!("; {NAME_A_CA}"),
                _ => String::new(),
            };
            format!("{what}{remedy}")
        }
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the port does not use TLS; connect without TLS (grpc://, without enable_tls, tls_cert_path and \
             --tls), or start the daemon with --tls-cert and --tls-key"
                .into()
        }
        Error::AlertReceived(alert) => {
            explain_alert(*alert).unwrap_or_else(|| format!("the TLS handshake failed: {error}"))
        }
        Error::NoApplicationProtocol => NO_GRPC.into(),
        other => format!("the TLS handshake failed: {other}"),
    })
}

/// HTTP/2 keeps only the text of an error of its connection.
fn alert_in_texts(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if let Some((_, name)) = text.split_once(ALERT) {
            let alert = KNOWN_ALERTS.into_iter().find(|alert| format!("{alert:?}") == name);
            return alert.and_then(explain_alert);
        }
        cause = error.source();
    }
    None
}

const NO_GRPC: &str = "the port uses TLS, but does not serve gRPC; connect to the daemon's gRPC port";

const KNOWN_ALERTS: [AlertDescription; 7] = [
    AlertDescription::CertificateRequired,
    AlertDescription::CertificateExpired,
    AlertDescription::UnknownCA,
    AlertDescription::BadCertificate,
    AlertDescription::CertificateUnknown,
    AlertDescription::DecryptError,
    AlertDescription::NoApplicationProtocol,
];

fn explain_alert(alert: AlertDescription) -> Option<String> {
    Some(match alert {
        AlertDescription::CertificateRequired => {
            format!("the daemon requires a client certificate; {GIVE_A_CERTIFICATE}")
        }
        AlertDescription::CertificateExpired => "the client certificate has expired; renew it".into(),
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::DecryptError => {
            format!("the daemon refused the client certificate; {GIVE_A_CERTIFICATE}")
        }
        AlertDescription::NoApplicationProtocol => NO_GRPC.into(),
        _ => return None,
    })
}

/// The reason why a daemon refused a client's handshake, for the log of the daemon.
pub(crate) fn explain_refusal(error: &io::Error) -> String {
    match find(error) {
        Some(Error::NoCertificatesPresented) => {
            "the client has no certificate, and --tls-client-ca requires one".into()
        }
        Some(Error::InvalidCertificate(reason)) => certificate(reason, "the client's certificate"),
        Some(Error::AlertReceived(AlertDescription::UnknownCA)) => {
            "the client does not trust the CA of this daemon's certificate".into()
        }
        Some(Error::AlertReceived(alert)) => {
            format!("the client refused this daemon's certificate ({alert:?})")
        }
        Some(other) => other.to_string(),
        None => error.to_string(),
    }
}

fn certificate(reason: &CertificateError, whose: &str) -> String {
    match reason {
        // A bad signature: the issuer has the name of a trusted CA, and another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            format!("{whose} is not signed by a trusted CA")
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<String> = presented.iter().map(|name| plain_name(name)).collect();
            let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
            format!(
                "{whose} is for {names}, not for `{}`; connect with a name that is in the certificate, or issue \
                 one with this name",
                expected.to_str()
            )
        }
        CertificateError::NotValidForName => format!("{whose} is for another host"),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("{whose} expired on {}; renew it", day(*not_after))
        }
        CertificateError::Expired => format!("{whose} has expired; renew it"),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("{whose} is valid only from {}; check the clocks", day(*not_before))
        }
        CertificateError::NotValidYet => format!("{whose} is not valid yet; check the clocks"),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            format!("{whose} is not made for this use (extended key usage)")
        }
        // The text of webpki.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            format!("{whose} is that of a CA; issue one that the CA signs")
        }
        other => format!("{whose} is refused: {other}"),
    }
}

/// The name in a text such as `DnsName("example.org")` or `IpAddress(127.0.0.1)`, without control characters.
fn plain_name(text: &str) -> String {
    let inner = |kind: &str, end: &str| text.strip_prefix(kind)?.strip_suffix(end);
    let name = inner("DnsName(\"", "\")").or_else(|| inner("IpAddress(", ")")).unwrap_or(text);
    name.chars().filter(|c| !c.is_control()).collect()
}

fn day(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    date(seconds)
}

/// The day of a time in seconds since 1970.
pub(crate) fn date(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds)
        .map_or_else(|_| "an unknown day".into(), |time| time.date().to_string())
}

/// The error of rustls in a chain of causes.
fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // An I/O error's source is that of the error inside, which is skipped otherwise.
        let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = match inside {
            Some(inside) => Some(inside as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_found_inside_of_other_errors() {
        let refused = || io::Error::other(Error::AlertReceived(AlertDescription::CertificateRequired));
        let text = explain(&io::Error::other(refused())).unwrap();
        assert!(text.contains("requires a client certificate") && text.contains("--client-cert"), "{text}");
        assert_eq!(explain(&io::Error::from(io::ErrorKind::ConnectionReset)), None);
        for alert in KNOWN_ALERTS {
            let typed = Error::AlertReceived(alert);
            let text = explain(&typed);
            assert!(text.is_some());
            assert_eq!(explain(&io::Error::other(typed.to_string())), text, "{alert:?}");
        }
    }

    #[test]
    fn names_are_shown_without_their_kinds() {
        assert_eq!(plain_name("DnsName(\"a.example.org\")"), "a.example.org");
        assert_eq!(plain_name("IpAddress(10.0.0.7)"), "10.0.0.7");
        assert_eq!(plain_name("DnsName(\"a\u{1b}[2J\")"), "a[2J");
        assert_eq!(plain_name("Unsupported(0x01)"), "Unsupported(0x01)");
    }

    #[test]
    fn a_date_is_a_date() {
        assert_eq!(date(1_796_083_200), "2026-12-01");
    }
}
