//! Statements for SQLite and Postgres. They are written once, with `?` or `?1` for parameters and `json_each(?)` for
//! a parameter that is a list; what Postgres spells differently is put right here, and nowhere else.

use sqlx::postgres::{PgArguments, PgConnection, PgPool, PgRow};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Decode, Postgres, Row as _, Sqlite, Type};

type Result<T> = std::result::Result<T, sqlx::Error>;

/// Connections to the database.
#[derive(Debug, Clone)]
pub(super) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// A transaction; undone unless it is committed.
#[derive(Debug)]
pub(super) enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

/// Where a statement runs.
pub(super) enum Place<'a> {
    SqlitePool(&'a SqlitePool),
    Sqlite(&'a mut SqliteConnection),
    PostgresPool(&'a PgPool),
    Postgres(&'a mut PgConnection),
}

/// Advisory lock that makes changes by several daemons take turns, as SQLite's one writer does.
const CHANGES: &str = "SELECT pg_advisory_xact_lock(7293015)";

impl Pool {
    pub(super) fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Begins a change; changes come one after the other.
    pub(super) async fn begin(&self) -> Result<Transaction> {
        match self {
            Self::Sqlite(pool) => Ok(Transaction::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?)),
            Self::Postgres(pool) => {
                let mut transaction = pool.begin().await?;
                sqlx::query(CHANGES).execute(&mut *transaction).await?;
                Ok(Transaction::Postgres(transaction))
            }
        }
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl Transaction {
    pub(super) async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await,
            Self::Postgres(transaction) => transaction.commit().await,
        }
    }
}

impl<'a> From<&'a Pool> for Place<'a> {
    fn from(pool: &'a Pool) -> Self {
        match pool {
            Pool::Sqlite(pool) => Self::SqlitePool(pool),
            Pool::Postgres(pool) => Self::PostgresPool(pool),
        }
    }
}

impl<'a> From<&'a mut Transaction> for Place<'a> {
    fn from(transaction: &'a mut Transaction) -> Self {
        match transaction {
            Transaction::Sqlite(transaction) => Self::Sqlite(transaction),
            Transaction::Postgres(transaction) => Self::Postgres(transaction),
        }
    }
}

/// A parameter. Postgres wants to know the type also of what is missing.
#[derive(Debug, Clone)]
pub(super) enum Parameter {
    Integer(Option<i64>),
    Real(Option<f64>),
    Text(Option<String>),
    Bytes(Vec<u8>),
}

macro_rules! parameters {
    ($($type:ty => |$value:ident| $parameter:expr;)*) => {
        $(impl From<$type> for Parameter {
            fn from($value: $type) -> Self {
                $parameter
            }
        })*
    };
}

parameters! {
    i64 => |value| Self::Integer(Some(value));
    u32 => |value| Self::Integer(Some(value.into()));
    Option<i64> => |value| Self::Integer(value);
    bool => |value| Self::Integer(Some(value.into()));
    f64 => |value| Self::Real(Some(value));
    Option<f64> => |value| Self::Real(value);
    &str => |value| Self::Text(Some(value.to_owned()));
    &String => |value| Self::Text(Some(value.clone()));
    String => |value| Self::Text(Some(value));
    Option<String> => |value| Self::Text(value);
    Option<&str> => |value| Self::Text(value.map(str::to_owned));
    &[u8] => |value| Self::Bytes(value.to_owned());
}

/// A statement that is put together from pieces; users' texts are bound, never pasted.
#[derive(Debug)]
pub(super) struct Statement {
    text: String,
    parameters: Vec<Parameter>,
}

/// Begins a statement.
pub(super) fn query(text: impl Into<String>) -> Statement {
    Statement { text: text.into(), parameters: Vec::new() }
}

impl Statement {
    /// The value of the next parameter of the text.
    pub(super) fn bind(mut self, value: impl Into<Parameter>) -> Self {
        self.parameters.push(value.into());
        self
    }

    pub(super) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Adds a parameter to the text.
    pub(super) fn push_bind(&mut self, value: impl Into<Parameter>) -> &mut Self {
        self.text.push('?');
        self.parameters.push(value.into());
        self
    }

    /// Runs it; the number of rows that were changed.
    pub(super) async fn execute<'a>(self, place: impl Into<Place<'a>>) -> Result<u64> {
        Ok(match place.into() {
            Place::SqlitePool(pool) => self.sqlite().execute(pool).await?.rows_affected(),
            Place::Sqlite(connection) => self.sqlite().execute(connection).await?.rows_affected(),
            Place::PostgresPool(pool) => self.postgres().execute(pool).await?.rows_affected(),
            Place::Postgres(connection) => self.postgres().execute(connection).await?.rows_affected(),
        })
    }

    pub(super) async fn fetch_all<'a>(self, place: impl Into<Place<'a>>) -> Result<Vec<Row>> {
        Ok(match place.into() {
            Place::SqlitePool(pool) => sqlite_rows(self.sqlite().fetch_all(pool).await?),
            Place::Sqlite(connection) => sqlite_rows(self.sqlite().fetch_all(connection).await?),
            Place::PostgresPool(pool) => postgres_rows(self.postgres().fetch_all(pool).await?),
            Place::Postgres(connection) => postgres_rows(self.postgres().fetch_all(connection).await?),
        })
    }

    pub(super) async fn fetch_optional<'a>(self, place: impl Into<Place<'a>>) -> Result<Option<Row>> {
        Ok(match place.into() {
            Place::SqlitePool(pool) => self.sqlite().fetch_optional(pool).await?.map(Row::Sqlite),
            Place::Sqlite(connection) => self.sqlite().fetch_optional(connection).await?.map(Row::Sqlite),
            Place::PostgresPool(pool) => self.postgres().fetch_optional(pool).await?.map(Row::Postgres),
            Place::Postgres(connection) => {
                self.postgres().fetch_optional(connection).await?.map(Row::Postgres)
            }
        })
    }

    /// The first column of all rows.
    pub(super) async fn fetch_texts<'a>(self, place: impl Into<Place<'a>>) -> Result<Vec<String>> {
        self.fetch_all(place).await?.iter().map(|row| row.try_get(0)).collect()
    }

    fn sqlite(self) -> Query<'static, Sqlite, SqliteArguments> {
        let query = sqlx::query(AssertSqlSafe(self.text));
        self.parameters.into_iter().fold(query, |query, parameter| match parameter {
            Parameter::Integer(value) => query.bind(value),
            Parameter::Real(value) => query.bind(value),
            Parameter::Text(value) => query.bind(value),
            Parameter::Bytes(value) => query.bind(value),
        })
    }

    fn postgres(self) -> Query<'static, Postgres, PgArguments> {
        let query = sqlx::query(AssertSqlSafe(in_postgres(&self.text)));
        self.parameters.into_iter().fold(query, |query, parameter| match parameter {
            Parameter::Integer(value) => query.bind(value),
            Parameter::Real(value) => query.bind(value),
            Parameter::Text(value) => query.bind(value),
            Parameter::Bytes(value) => query.bind(value),
        })
    }
}

fn sqlite_rows(rows: Vec<SqliteRow>) -> Vec<Row> {
    rows.into_iter().map(Row::Sqlite).collect()
}

fn postgres_rows(rows: Vec<PgRow>) -> Vec<Row> {
    rows.into_iter().map(Row::Postgres).collect()
}

/// A row of an answer.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// The value of a column, given by name or position.
    pub(super) fn try_get<'r, T>(&'r self, column: impl Column) -> Result<T>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>,
    {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }
}

/// The name or position of a column.
pub(super) trait Column: sqlx::ColumnIndex<SqliteRow> + sqlx::ColumnIndex<PgRow> {}

impl<T: sqlx::ColumnIndex<SqliteRow> + sqlx::ColumnIndex<PgRow>> Column for T {}

const LIST: &str = "json_each(";

/// Numbered parameters, and lists as Postgres reads them.
fn in_postgres(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 32);
    let mut rest = text;
    let mut next = 1;
    while let Some(at) = rest.find('?') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number = if digits == 0 { next.to_string() } else { after[..digits].to_owned() };
        next += u32::from(digits == 0);
        let after = &after[digits..];
        match (before.strip_suffix(LIST), after.strip_prefix(')')) {
            (Some(before), Some(after)) => {
                out.push_str(before);
                out.push_str(&format!("json_array_elements_text(CAST(${number} AS json)) AS list (value)"));
                rest = after;
            }
            _ => {
                out.push_str(before);
                out.push('$');
                out.push_str(&number);
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_numbers_its_parameters_and_reads_lists_of_json() {
        assert_eq!(
            in_postgres("SELECT a FROM t WHERE b = ? AND c > ?"),
            "SELECT a FROM t WHERE b = $1 AND c > $2"
        );
        assert_eq!(in_postgres("?2 ?1 ?12"), "$2 $1 $12");
        assert_eq!(
            in_postgres("id IN (SELECT value FROM json_each(?)) AND x = ?"),
            "id IN (SELECT value FROM json_array_elements_text(CAST($1 AS json)) AS list (value)) AND x = $2"
        );
    }
}
