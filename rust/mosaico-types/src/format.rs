use serde::{Deserialize, Serialize};

/// The storage profile that a client requests for a topic; spelled in lower case on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SerializationFormat {
    /// Rows of a fixed shape.
    #[default]
    Default,
    /// Rows whose lists vary in length, such as point clouds.
    Ragged,
    /// Rows that carry one large binary payload.
    Image,
}

impl SerializationFormat {
    /// The spelling on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Ragged => "ragged",
            Self::Image => "image",
        }
    }

    /// Reads the spelling on the wire.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "default" => Some(Self::Default),
            "ragged" => Some(Self::Ragged),
            "image" => Some(Self::Image),
            _ => None,
        }
    }
}
