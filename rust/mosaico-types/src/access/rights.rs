use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a caller may do with sequences. No right includes another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// List, query and read.
    Read,
    /// Create and record.
    Write,
    /// Delete.
    Delete,
    /// Maintain the store.
    Admin,
}

impl Right {
    /// Every right.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Delete, Self::Admin];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of rights. Its text is `read|write`; a comma separates as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rights(u8);

/// A text that is no set of rights.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no right; use read, write, delete, admin, several as `read|write`")]
pub struct RightsError(String);

impl Rights {
    /// No right.
    pub const NONE: Self = Self(0);

    /// Every right.
    pub fn all() -> Self {
        Self::of(&Right::ALL)
    }

    /// These rights.
    pub fn of(rights: &[Right]) -> Self {
        Self(rights.iter().fold(0, |bits, right| bits | 1 << *right as u8))
    }

    /// Whether the set has a right.
    pub const fn has(self, right: Right) -> bool {
        self.0 & 1 << right as u8 != 0
    }

    /// Whether the set has no right.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn iter(self) -> impl Iterator<Item = Right> {
        Right::ALL.into_iter().filter(move |right| self.has(*right))
    }
}

impl FromStr for Rights {
    type Err = RightsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let one = |name: &str| {
            let found = Right::ALL.into_iter().find(|right| right.as_str() == name.trim());
            found.ok_or_else(|| RightsError(name.chars().take(40).collect()))
        };
        let rights: Result<Vec<Right>, _> = text.split(['|', ',']).map(one).collect();
        Ok(Self::of(&rights?))
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Right::as_str).collect();
        f.write_str(&names.join("|"))
    }
}

impl Serialize for Rights {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Rights {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::of(&Vec::<Right>::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts() {
        assert_eq!("read|write".parse(), Ok(Rights::of(&[Right::Read, Right::Write])));
        assert_eq!("delete, admin".parse(), Ok(Rights::of(&[Right::Delete, Right::Admin])));
        for bad in ["", "read|", "Read", "manage", "read write"] {
            assert!(bad.parse::<Rights>().is_err(), "{bad}");
        }
        assert!(Right::ALL.into_iter().all(|right| Rights::all().has(right) && !Rights::NONE.has(right)));
    }

    proptest! {
        #[test]
        fn sets_read_back(bits in 1_u8..16) {
            let rights = Rights(bits);
            prop_assert_eq!(rights.to_string().parse(), Ok(rights));
            prop_assert_eq!(rights.iter().count(), bits.count_ones() as usize);
        }
    }
}
