//! The facts of a certificate: the identity in it, and its end.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use yasna::models::{GeneralizedTime, TaggedDerValue, UTCTime};
use yasna::tags::{TAG_GENERALIZEDTIME, TAG_IA5STRING, TAG_PRINTABLESTRING, TAG_UTCTIME, TAG_UTF8STRING};
use yasna::{ASN1Error, ASN1ErrorKind, ASN1Result, BERReader, BERReaderSeq, Tag};

const COMMON_NAME: &[u64] = &[2, 5, 4, 3];
const ALTERNATIVE_NAMES: &[u64] = &[2, 5, 29, 17];

/// Tags of alternative names that are texts: mail address, DNS name, URI.
const TEXT_NAMES: [u64; 3] = [1, 2, 6];

/// The identity of a client, from its certificate, which a trusted CA signed. Request handlers find it among
/// the extensions of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PeerIdentity(Arc<str>);

impl PeerIdentity {
    /// The common name of the subject; without one, the first alternative name (DNS name, URI or mail
    /// address). `None`: the certificate has neither, or the name contains control characters.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let facts = Facts::read(certificate)?;
        let name = facts.common_name.or(facts.alternative_name)?;
        (!name.is_empty() && !name.chars().any(char::is_control)).then(|| Self(name.into()))
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The end of a certificate's validity, in seconds since 1970.
pub(crate) fn expires(certificate: &CertificateDer<'_>) -> Option<i64> {
    Some(Facts::read(certificate)?.expires)
}

/// What this crate needs from a certificate (RFC 5280, section 4.1) that rustls has verified, or loads.
struct Facts {
    common_name: Option<String>,
    alternative_name: Option<String>,
    expires: i64,
}

impl Facts {
    fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let read = |reader: BERReader<'_, '_>| {
            reader.read_sequence(|parts| {
                let facts = parts.next().read_sequence(Self::read_signed)?;
                skip(parts, 2)?; // the algorithm and the signature
                Ok(facts)
            })
        };
        yasna::parse_der(certificate, read).ok()
    }

    fn read_signed(parts: &mut BERReaderSeq<'_, '_>) -> ASN1Result<Self> {
        parts.read_optional(|version| version.read_tagged(Tag::context(0), |number| number.read_u8()))?;
        skip(parts, 3)?; // serial number, algorithm, issuer
        let expires = parts.next().read_sequence(|times| {
            skip(times, 1)?;
            time(&times.next().read_tagged_der()?)
        })?;
        let mut common_name = None;
        parts.next().read_sequence_of(|set| {
            set.read_set_of(|part| {
                part.read_sequence(|part| {
                    let oid = part.next().read_oid()?;
                    let value = part.next().read_tagged_der()?;
                    if oid.components().as_slice() == COMMON_NAME && common_name.is_none() {
                        common_name = text(&value);
                    }
                    Ok(())
                })
            })
        })?;
        skip(parts, 1)?; // the public key
        for unused in [1, 2] {
            parts.read_optional(|id| {
                id.read_tagged_implicit(Tag::context(unused), |bits| bits.read_bitvec_bytes())
            })?;
        }
        let extensions = |reader: BERReader<'_, '_>| reader.read_tagged(Tag::context(3), alternative_name);
        let alternative_name = parts.read_optional(extensions)?.flatten();
        Ok(Self { common_name, alternative_name, expires })
    }
}

fn skip(parts: &mut BERReaderSeq<'_, '_>, count: usize) -> ASN1Result<()> {
    (0..count).try_for_each(|_| parts.next().read_der().map(drop))
}

/// The first name among the extensions of a certificate.
fn alternative_name(extensions: BERReader<'_, '_>) -> ASN1Result<Option<String>> {
    let mut found = None;
    extensions.read_sequence_of(|extension| {
        extension.read_sequence(|parts| {
            let oid = parts.next().read_oid()?;
            parts.read_optional(|critical| critical.read_bool())?;
            let value = parts.next().read_bytes()?;
            if oid.components().as_slice() == ALTERNATIVE_NAMES {
                let names = yasna::parse_der(&value, |names| {
                    names.collect_sequence_of(|name| name.read_tagged_der())
                })?;
                let is_text = |name: &&TaggedDerValue| TEXT_NAMES.map(Tag::context).contains(&name.tag());
                let name = names.iter().find(is_text).map(|name| name.value().to_vec());
                found = name.and_then(|name| String::from_utf8(name).ok());
            }
            Ok(())
        })
    })?;
    Ok(found)
}

fn text(value: &TaggedDerValue) -> Option<String> {
    let known = [TAG_UTF8STRING, TAG_PRINTABLESTRING, TAG_IA5STRING].contains(&value.tag());
    String::from_utf8(value.value().to_vec()).ok().filter(|text| known && !text.is_empty())
}

fn time(value: &TaggedDerValue) -> ASN1Result<i64> {
    let time = match value.tag() {
        TAG_UTCTIME => UTCTime::parse(value.value()).map(|time| time.datetime().unix_timestamp()),
        TAG_GENERALIZEDTIME => {
            GeneralizedTime::parse(value.value()).map(|time| time.datetime().unix_timestamp())
        }
        _ => None,
    };
    time.ok_or_else(|| ASN1Error::new(ASN1ErrorKind::Invalid))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

    use super::*;

    fn certificate(common: Option<&str>, names: &[SanType]) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "fleet");
        if let Some(common) = common {
            params.distinguished_name.push(DnType::CommonName, common);
        }
        params.subject_alt_names = names.to_vec();
        params.not_after = time::OffsetDateTime::from_unix_timestamp(1_796_083_200).unwrap();
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn name(certificate: &CertificateDer<'_>) -> Option<String> {
        PeerIdentity::of(certificate).map(|identity| identity.to_string())
    }

    #[test]
    fn the_name_of_a_certificate() {
        let ip = SanType::IpAddress("127.0.0.1".parse().unwrap());
        let dns = SanType::DnsName("robot.example.org".try_into().unwrap());
        let uri = SanType::URI("spiffe://fleet/robot-7".try_into().unwrap());
        let both = [ip.clone(), dns];
        assert_eq!(name(&certificate(Some("robot-7"), &both)).as_deref(), Some("robot-7"));
        assert_eq!(name(&certificate(None, &both)).as_deref(), Some("robot.example.org"));
        assert_eq!(name(&certificate(None, &[uri])).as_deref(), Some("spiffe://fleet/robot-7"));
        assert_eq!(name(&certificate(None, &[ip])), None);
        assert_eq!(name(&certificate(None, &[])), None);
        assert_eq!(name(&certificate(Some("a\x1b[2Jb"), &[])), None);
        assert_eq!(name(&CertificateDer::from(vec![0x30, 3, 1, 2, 3])), None);
    }

    #[test]
    fn the_end_of_a_certificate() {
        assert_eq!(expires(&certificate(None, &[])), Some(1_796_083_200));
    }
}
