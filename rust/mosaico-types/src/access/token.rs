//! The text of an API key: `msco_<32 characters of a-z0-9>_<CRC-32 of them, 8 hex digits>`.
//!
//! The 32 characters are the secret (165 bits). Their CRC-32 is public: it is the fingerprint that names the
//! key in lists and logs, and it reveals typing errors.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const PREFIX: &str = "msco_";
const SECRET_BYTES: usize = 32;
const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
/// The largest multiple of the alphabet's size: random bytes from here on would favour some characters.
const FAIR: u8 = 252;

/// An API key as its owner has it. Its `Debug` form hides the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; SECRET_BYTES]);

impl Token {
    /// Makes a token of random bytes.
    pub fn generate(mut random: impl FnMut() -> u8) -> Self {
        Self(std::array::from_fn(|_| {
            loop {
                let byte = random();
                if byte < FAIR {
                    return ALPHABET[usize::from(byte) % ALPHABET.len()];
                }
            }
        }))
    }

    /// Reads the text of a token; `None` if it has another form, or if its last part is wrong.
    pub fn parse(text: &str) -> Option<Self> {
        let (secret, sum) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let secret: [u8; SECRET_BYTES] = secret.as_bytes().try_into().ok()?;
        let token = secret.iter().all(|byte| ALPHABET.contains(byte)).then_some(Self(secret))?;
        (sum.parse() == Ok(token.fingerprint())).then_some(token)
    }

    /// The public name of the key.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(crc32fast::hash(&self.0))
    }

    /// The secret part.
    pub fn secret(&self) -> &[u8] {
        &self.0
    }

    /// The text for the owner of the key.
    pub fn text(&self) -> String {
        format!("{PREFIX}{}_{}", String::from_utf8_lossy(&self.0), self.fingerprint())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.fingerprint())
    }
}

/// The public name of an API key: 8 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(u32);

/// A text that is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no fingerprint of an API key; it is the part of 8 hex digits at the end of the key")]
pub struct FingerprintError(String);

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let number = Some(text).filter(|text| text.len() == 8 && text.bytes().all(digit));
        let number = number.and_then(|text| u32::from_str_radix(text, 16).ok());
        // The text may be a whole key: the error must not repeat it.
        number.map(Self).ok_or_else(|| FingerprintError(text.chars().take(8).collect()))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KNOWN: &str = "msco_vrfeceju4lqivysxgaseefa3tsxs0vrl_1b676530";

    #[test]
    fn a_token_of_mosaico_is_read() {
        let token = Token::parse(KNOWN).unwrap();
        assert_eq!(token.fingerprint().to_string(), "1b676530");
        assert_eq!(token.text(), KNOWN);
        assert_eq!(format!("{token:?}"), "Token(1b676530)");
    }

    #[test]
    fn other_texts_are_refused() {
        let upper = KNOWN.to_uppercase();
        let texts = [
            "",
            "msco_",
            "msco__1b676530",
            &KNOWN[1..],
            &KNOWN[..KNOWN.len() - 1],
            &KNOWN.replace("vrf", "vrg"),
            &KNOWN.replace("1b67", "1B67"),
            &KNOWN.replace("_1b676530", "_00000000"),
            &format!("{KNOWN} "),
            &format!("{KNOWN}0"),
            &upper,
        ];
        for text in texts {
            assert_eq!(Token::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_error_does_not_repeat_a_key() {
        let error = KNOWN.parse::<Fingerprint>().unwrap_err().to_string();
        assert!(!error.contains("vrfeceju"), "{error}");
    }

    proptest! {
        #[test]
        fn tokens_read_back(seed in proptest::collection::vec(any::<u8>(), 400)) {
            prop_assume!(seed.iter().filter(|byte| **byte < FAIR).count() >= SECRET_BYTES);
            let mut bytes = seed.into_iter();
            let token = Token::generate(|| bytes.next().unwrap());
            let text = token.text();
            prop_assert_eq!(Token::parse(&text), Some(token.clone()));
            prop_assert_eq!(token.fingerprint().to_string().parse(), Ok(token.fingerprint()));
        }

        #[test]
        fn a_changed_character_is_noticed(at in 0_usize..KNOWN.len(), to in "[a-z0-9_]") {
            let mut text = KNOWN.to_owned();
            text.replace_range(at..=at, &to);
            prop_assert_eq!(Token::parse(&text).is_some(), text == KNOWN);
        }

        #[test]
        fn garbage_never_panics(text in "\\PC{0,60}") {
            let _ = Token::parse(&text);
            let _ = text.parse::<Fingerprint>();
        }
    }
}
