//! The language of the action `query`: JSON in, a typed tree out. `docs/queries.md` describes it for people.
//!
//! Start with [`Query::parse`]. [`Test`] defines the meaning of a condition on a value.

mod answer;
mod json;
mod parse;
mod sets;
mod tree;
mod value;

pub use answer::{Counts, Explain, QueryAnswer, QueryItem, QueryTopic};
pub use parse::parse_conditions;
pub use tree::{Condition, Expr, Field, OrderBy, Query, QueryError, Sections, Test, ValueCondition};
pub use value::{Number, Scalar, ScalarRef};
