//! A query as a typed tree.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::ops::Bound;

use super::value::Scalar;

/// Why a query was refused: where in the query, what was wrong, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct QueryError {
    /// The keys that lead to the wrong value, such as `sequence.user_metadata`.
    pub place: String,
    /// What was wrong there.
    pub problem: String,
}

/// A whole query.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The condition on results.
    pub select: Expr<Sections>,
    /// Order of the sequences; ties, and an empty list, by name.
    pub order: Vec<OrderBy>,
    /// Sequences per page.
    pub limit: Option<NonZeroUsize>,
    /// Start of the page, from an earlier answer.
    pub cursor: Option<String>,
    /// Whether the answer includes statistics of the search.
    pub explain: bool,
}

/// A boolean expression over leaves `L`. An empty `All` is true, an empty `Any` is false.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr<L> {
    /// One leaf.
    Is(L),
    /// Conjunction.
    All(Vec<Expr<L>>),
    /// Disjunction.
    Any(Vec<Expr<L>>),
    /// Complement.
    Not(Box<Expr<L>>),
}

impl<L> Expr<L> {
    /// Calls `each` with all leaves, from left to right.
    pub fn leaves<'a>(&'a self, each: &mut impl FnMut(&'a L)) {
        match self {
            Self::Is(leaf) => each(leaf),
            Self::All(children) | Self::Any(children) => {
                children.iter().for_each(|child| child.leaves(each));
            }
            Self::Not(child) => child.leaves(each),
        }
    }

    /// The same expression with mapped leaves.
    pub fn map<'a, M>(&'a self, leaf: &mut impl FnMut(&'a L) -> M) -> Expr<M> {
        let Ok(mapped) = self.try_map(&mut |found| Ok::<M, Infallible>(leaf(found)));
        mapped
    }

    /// The same expression with mapped leaves, or the first error.
    ///
    /// # Errors
    /// The error of `leaf`.
    pub fn try_map<'a, M, E>(&'a self, leaf: &mut impl FnMut(&'a L) -> Result<M, E>) -> Result<Expr<M>, E> {
        Ok(match self {
            Self::Is(found) => Expr::Is(leaf(found)?),
            Self::All(children) => {
                Expr::All(children.iter().map(|child| child.try_map(leaf)).collect::<Result<_, _>>()?)
            }
            Self::Any(children) => {
                Expr::Any(children.iter().map(|child| child.try_map(leaf)).collect::<Result<_, _>>()?)
            }
            Self::Not(child) => Expr::Not(Box::new(child.try_map(leaf)?)),
        })
    }

    /// Evaluates the expression; `holds` evaluates a leaf.
    pub fn holds(&self, holds: &impl Fn(&L) -> bool) -> bool {
        match self {
            Self::Is(leaf) => holds(leaf),
            Self::All(children) => children.iter().all(|child| child.holds(holds)),
            Self::Any(children) => children.iter().any(|child| child.holds(holds)),
            Self::Not(child) => !child.holds(holds),
        }
    }
}

/// The sections of one query object; all that are present have to be true.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sections {
    /// About sequences.
    pub sequence: Option<Expr<Condition>>,
    /// About topics.
    pub topic: Option<Expr<Condition>>,
    /// About rows of topics.
    pub values: Option<Expr<ValueCondition>>,
    /// Whether the answer includes the times of the matching rows.
    pub ranges: bool,
}

/// A condition on a sequence or topic.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The property to test.
    pub field: Field,
    /// The test.
    pub test: Test,
}

/// A property of a sequence or topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// Sequence name, or topic path without leading `/`; patterns match topic paths with it.
    Name,
    /// Creation time in ns.
    CreatedNs,
    /// Tag of the message type; topics only.
    OntologyTag,
    /// Storage profile; topics only.
    SerializationFormat,
    /// The value at a dotted path of the user's metadata.
    Metadata(String),
}

/// A condition on a row.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueCondition {
    /// `<tag>.<field path>`. Both may contain dots, so only the stored topics determine where the tag ends.
    pub key: String,
    /// The test.
    pub test: Test,
}

/// A test of a value. A value of another type than the constant (number, text, bool) fails each comparison;
/// so does a missing or null value. NaN differs from everything and passes no other test.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// Between two bounds of one type; `$eq`, `$lt`, `$leq`, `$gt`, `$geq`, `$between`.
    Within(Bound<Scalar>, Bound<Scalar>),
    /// Of the constant's type, with another value; `$neq`.
    Differs(Scalar),
    /// Equal to one of these, which are sorted; `$in`.
    OneOf(Vec<Scalar>),
    /// A text that contains the SQL `LIKE` pattern; `$match`.
    Contains(String),
    /// There and not null; `$ex`.
    Exists,
    /// Missing or null; `$nex`.
    Missing,
}

/// One key of the order of sequences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderBy {
    /// The sort key: name, creation time or metadata.
    pub field: Field,
    /// Greatest first.
    pub descending: bool,
}
