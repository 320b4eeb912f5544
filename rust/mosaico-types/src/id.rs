//! Ids of resources in the store. Data and records are found by id, never by a name that a user chose.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ulid::Ulid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Ulid);

        impl $name {
            /// A new id; ids sort by creation time, to the millisecond.
            pub fn generate() -> Self {
                Self(Ulid::new())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ulid::DecodeError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id! {
    /// A sequence.
    SequenceId
}
id! {
    /// A topic.
    TopicId
}
id! {
    /// A notification.
    NotificationId
}

impl From<NotificationId> for Ulid {
    fn from(id: NotificationId) -> Self {
        id.0
    }
}

impl From<Ulid> for NotificationId {
    fn from(id: Ulid) -> Self {
        Self(id)
    }
}

impl NotificationId {
    /// The id of the notification about the end of a sequence. It is deterministic, so writing the
    /// notification twice has no effect.
    pub fn of_end(sequence: SequenceId) -> Self {
        Self(sequence.0)
    }
}
