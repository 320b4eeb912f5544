//! A reader's selection of a topic: some columns, and the rows that satisfy a condition.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::query::{Expr, QueryError, ValueCondition, parse_conditions};

/// A selection of a topic; without both fields, the whole topic.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Dotted paths of columns and of fields in them. The time is always included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    /// A condition on values, as in the section `ontology` of a query.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub condition: Option<Value>,
}

impl Selection {
    /// Whether it selects everything.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// The parsed condition.
    ///
    /// # Errors
    /// [`QueryError`], with the place, the value that was wrong and what is allowed.
    pub fn conditions(&self) -> Result<Option<Expr<ValueCondition>>, QueryError> {
        self.condition.as_ref().map_or(Ok(None), parse_conditions)
    }
}
