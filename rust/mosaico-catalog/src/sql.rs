//! Statements for SQLite and Postgres. Each is written once, with `?` or `?1` for parameters and
//! `json_each(?)` for a list parameter; this module alone translates it to Postgres.

use std::time::Duration;

use mosaico_storage::timer::Timer;
use sea_query::{ExprTrait, SelectStatement, SqliteQueryBuilder, Value};
use serde_json::json;
use sqlx::postgres::{PgArguments, PgConnection, PgPool, PgRow};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Decode, Postgres, Row as _, Sqlite, Type};
use tokio::time::timeout;

type Result<T> = std::result::Result<T, sqlx::Error>;

/// Limit of a statement in Postgres: longer than the limit of the server, which may have disappeared.
const LIMIT: Duration = Duration::from_secs(65);

/// Limits the time of a statement in Postgres.
async fn limited<T>(limit: Duration, statement: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(limit, statement).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Connections to the database.
#[derive(Debug, Clone)]
pub(crate) enum Connections {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// Connections with optional metrics of their statements.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    pub(crate) connections: Connections,
    measure: Measure,
}

/// A transaction; rolled back unless it is committed.
#[derive(Debug)]
pub(crate) struct Transaction {
    open: Open,
    measure: Measure,
    /// Of each statement.
    limit: Duration,
    /// The file that a commit makes durable.
    #[cfg(feature = "crash-points")]
    synced: Option<std::path::PathBuf>,
}

#[derive(Debug)]
enum Open {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

/// Where a statement runs: a pool or a transaction.
pub(crate) struct Place<'a> {
    at: At<'a>,
    measure: Measure,
    limit: Duration,
}

enum At<'a> {
    SqlitePool(&'a SqlitePool),
    Sqlite(&'a mut SqliteConnection),
    PostgresPool(&'a PgPool),
    Postgres(&'a mut PgConnection),
}

/// The metrics of statements, if enabled.
#[derive(Debug, Clone, Default)]
struct Measure(Option<(Timer, &'static str)>);

impl Measure {
    async fn time<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let outcome = |result: &Result<T>| if result.is_ok() { "ok" } else { "error" };
        match &self.0 {
            Some((timer, operation)) => timer.time(operation, work, outcome).await,
            None => work.await,
        }
    }
}

/// What a commit in SQLite waits for; Postgres always syncs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// The disk has this commit and all earlier ones.
    Durable,
    /// The operating system has it: a power cut may undo it, together with all later ones.
    Relaxed,
}

/// Advisory lock that serializes changes by several daemons, as SQLite's one writer does.
const CHANGES: &str = "SELECT pg_advisory_xact_lock(7293015)";

impl Pool {
    pub(crate) fn measure(&mut self, timer: &Timer, operation: &'static str) {
        self.measure = Measure(Some((timer.clone(), operation)));
    }

    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.connections, Connections::Postgres(_))
    }

    /// Begins a change; changes are serialized. The commit is synced as the connection is set, or as asked.
    pub(crate) async fn begin(&self, durability: Option<Durability>) -> Result<Transaction> {
        let begin = match durability {
            None => "BEGIN IMMEDIATE",
            // SQLite's setting lasts until the next one: with it, each transaction begins with its own.
            Some(Durability::Durable) => "PRAGMA synchronous = FULL; BEGIN IMMEDIATE",
            Some(Durability::Relaxed) => "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE",
        };
        let open = async {
            match &self.connections {
                Connections::Sqlite(pool) => Ok(Open::Sqlite(pool.begin_with(begin).await?)),
                Connections::Postgres(pool) => {
                    let mut transaction = limited(LIMIT, pool.begin()).await?;
                    limited(LIMIT, sqlx::query(CHANGES).execute(&mut *transaction)).await?;
                    Ok(Open::Postgres(transaction))
                }
            }
        };
        Ok(Transaction {
            open: self.measure.time(open).await?,
            measure: self.measure.clone(),
            limit: LIMIT,
            #[cfg(feature = "crash-points")]
            synced: match &self.connections {
                Connections::Sqlite(pool) if durability != Some(Durability::Relaxed) => {
                    Some(pool.connect_options().get_filename().to_owned())
                }
                _ => None,
            },
        })
    }

    pub(crate) async fn close(&self) {
        match &self.connections {
            Connections::Sqlite(pool) => pool.close().await,
            Connections::Postgres(pool) => pool.close().await,
        }
    }
}

impl From<SqlitePool> for Pool {
    fn from(pool: SqlitePool) -> Self {
        Self { connections: Connections::Sqlite(pool), measure: Measure::default() }
    }
}

impl From<PgPool> for Pool {
    fn from(pool: PgPool) -> Self {
        Self { connections: Connections::Postgres(pool), measure: Measure::default() }
    }
}

impl Transaction {
    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.open, Open::Postgres(_))
    }

    /// Statements from here on may take as long as they need, such as the creation of an index.
    pub(crate) async fn without_limit(&mut self) -> Result<()> {
        self.limit = Duration::MAX;
        if self.is_postgres() {
            query("SET LOCAL statement_timeout = 0").execute(&mut *self).await?;
        }
        Ok(())
    }

    pub(crate) async fn commit(self) -> Result<()> {
        #[cfg(feature = "crash-points")]
        let synced = self.synced;
        let Self { open, measure, limit, .. } = self;
        let commit = async {
            match open {
                Open::Sqlite(transaction) => transaction.commit().await,
                Open::Postgres(transaction) => limited(limit, transaction.commit()).await,
            }
        };
        measure.time(commit).await?;
        #[cfg(feature = "crash-points")]
        synced.iter().for_each(|file| mosaico_storage::crash_points::synced(file));
        Ok(())
    }
}

impl<'a> From<&'a Pool> for Place<'a> {
    fn from(pool: &'a Pool) -> Self {
        let at = match &pool.connections {
            Connections::Sqlite(pool) => At::SqlitePool(pool),
            Connections::Postgres(pool) => At::PostgresPool(pool),
        };
        Self { at, measure: pool.measure.clone(), limit: LIMIT }
    }
}

impl<'a> From<&'a mut Transaction> for Place<'a> {
    fn from(transaction: &'a mut Transaction) -> Self {
        let at = match &mut transaction.open {
            Open::Sqlite(transaction) => At::Sqlite(transaction),
            Open::Postgres(transaction) => At::Postgres(transaction),
        };
        Self { at, measure: transaction.measure.clone(), limit: transaction.limit }
    }
}

impl<'a> From<&'a mut PgConnection> for Place<'a> {
    fn from(connection: &'a mut PgConnection) -> Self {
        Self { at: At::Postgres(connection), measure: Measure::default(), limit: LIMIT }
    }
}

/// The values of a row.
pub(crate) type Values = Vec<Parameter>;

/// A parameter. Postgres requires the type of nulls too.
#[derive(Debug, Clone)]
pub(crate) enum Parameter {
    Integer(Option<i64>),
    Real(Option<f64>),
    Text(Option<String>),
    Bytes(Vec<u8>),
    Integers(Vec<Option<i64>>),
    Reals(Vec<Option<f64>>),
    Texts(Vec<Option<String>>),
}

impl Parameter {
    /// The values of a column as one array.
    pub(crate) fn column(values: Vec<Self>) -> Result<Self> {
        let mixed = || sqlx::Error::Encode("a column has values of several types".into());
        let column = match values.first() {
            Some(Self::Integer(_)) => {
                let integer = |value| if let Self::Integer(value) = value { Some(value) } else { None };
                values.into_iter().map(integer).collect::<Option<_>>().map(Self::Integers)
            }
            Some(Self::Real(_)) => {
                let real = |value| if let Self::Real(value) = value { Some(value) } else { None };
                values.into_iter().map(real).collect::<Option<_>>().map(Self::Reals)
            }
            _ => {
                let text = |value| if let Self::Text(value) = value { Some(value) } else { None };
                values.into_iter().map(text).collect::<Option<_>>().map(Self::Texts)
            }
        };
        column.ok_or_else(mixed)
    }
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
    bool => |value| Self::Integer(Some(value.into()));
    Option<i64> => |value| Self::Integer(value);
    f64 => |value| Self::Real(Some(value));
    Option<f64> => |value| Self::Real(value);
    &str => |value| Self::Text(Some(value.to_owned()));
    &String => |value| Self::Text(Some(value.clone()));
    String => |value| Self::Text(Some(value));
    Option<String> => |value| Self::Text(value);
    Option<&str> => |value| Self::Text(value.map(str::to_owned));
    &[u8] => |value| Self::Bytes(value.to_owned());
}

/// An expression of a statement that is composed at run time.
pub(crate) type Sql = sea_query::Expr;

/// Table and column.
pub(crate) type ColumnName = (&'static str, &'static str);

pub(crate) fn always() -> Sql {
    Sql::cust("TRUE")
}

pub(crate) fn never() -> Sql {
    Sql::cust("FALSE")
}

/// Conjunction.
pub(crate) fn all(conditions: impl IntoIterator<Item = Sql>) -> Sql {
    conditions.into_iter().reduce(Sql::and).unwrap_or_else(always)
}

/// Disjunction.
pub(crate) fn any(conditions: impl IntoIterator<Item = Sql>) -> Sql {
    conditions.into_iter().reduce(Sql::or).unwrap_or_else(never)
}

/// Whether `items` contains the value of a column. The list is one parameter, so the text of the statement is
/// always the same.
pub(crate) fn in_list<T: ToString>(column: ColumnName, items: &[T]) -> Sql {
    Sql::cust_with_exprs("? IN (SELECT value FROM json_each(?))", [Sql::col(column), Sql::val(list(items))])
}

/// The parameter of `json_each(?)`.
pub(crate) fn list<T: ToString>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    json!(items).to_string()
}

/// A statement; values are bound parameters, never part of the text.
#[derive(Debug)]
pub(crate) struct Statement {
    text: String,
    parameters: Vec<Parameter>,
}

/// Begins a statement.
pub(crate) fn query(text: impl Into<String>) -> Statement {
    Statement { text: text.into(), parameters: Vec::new() }
}

impl Statement {
    /// A statement composed at run time, in SQLite's spelling as all statements here.
    pub(crate) fn composed(select: &SelectStatement) -> Result<Self> {
        let (text, values) = select.build(SqliteQueryBuilder);
        let parameter = |value| match value {
            Value::BigInt(value) => Ok(Parameter::Integer(value)),
            Value::Double(value) => Ok(Parameter::Real(value)),
            Value::String(value) => Ok(Parameter::Text(value)),
            other => Err(sqlx::Error::Encode(format!("no column of the catalog is like {other:?}").into())),
        };
        Ok(Self { text, parameters: values.into_iter().map(parameter).collect::<Result<_>>()? })
    }

    /// Puts text around the statement.
    pub(crate) fn wrap(&mut self, before: &str, after: &str) {
        self.text = format!("{before}{}{after}", self.text);
    }

    /// Appends text to the statement.
    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Binds the next parameter of the text.
    pub(crate) fn bind(mut self, value: impl Into<Parameter>) -> Self {
        self.parameters.push(value.into());
        self
    }

    /// Runs the statement; returns the number of changed rows.
    pub(crate) async fn execute<'a>(self, place: impl Into<Place<'a>>) -> Result<u64> {
        let Place { at, measure, limit } = place.into();
        let done = async {
            Ok(match at {
                At::SqlitePool(pool) => self.sqlite().execute(pool).await?.rows_affected(),
                At::Sqlite(connection) => self.sqlite().execute(connection).await?.rows_affected(),
                At::PostgresPool(pool) => {
                    limited(limit, self.postgres().execute(pool)).await?.rows_affected()
                }
                At::Postgres(connection) => {
                    limited(limit, self.postgres().execute(connection)).await?.rows_affected()
                }
            })
        };
        measure.time(done).await
    }

    pub(crate) async fn fetch_all<'a>(self, place: impl Into<Place<'a>>) -> Result<Vec<Row>> {
        let Place { at, measure, limit } = place.into();
        let done = async {
            Ok(match at {
                At::SqlitePool(pool) => sqlite_rows(self.sqlite().fetch_all(pool).await?),
                At::Sqlite(connection) => sqlite_rows(self.sqlite().fetch_all(connection).await?),
                At::PostgresPool(pool) => {
                    postgres_rows(limited(limit, self.postgres().fetch_all(pool)).await?)
                }
                At::Postgres(connection) => {
                    postgres_rows(limited(limit, self.postgres().fetch_all(connection)).await?)
                }
            })
        };
        measure.time(done).await
    }

    pub(crate) async fn fetch_optional<'a>(self, place: impl Into<Place<'a>>) -> Result<Option<Row>> {
        let Place { at, measure, limit } = place.into();
        let done = async {
            Ok(match at {
                At::SqlitePool(pool) => self.sqlite().fetch_optional(pool).await?.map(Row::Sqlite),
                At::Sqlite(connection) => self.sqlite().fetch_optional(connection).await?.map(Row::Sqlite),
                At::PostgresPool(pool) => {
                    limited(limit, self.postgres().fetch_optional(pool)).await?.map(Row::Postgres)
                }
                At::Postgres(connection) => {
                    limited(limit, self.postgres().fetch_optional(connection)).await?.map(Row::Postgres)
                }
            })
        };
        measure.time(done).await
    }

    /// The first column of all rows.
    pub(crate) async fn fetch_texts<'a>(self, place: impl Into<Place<'a>>) -> Result<Vec<String>> {
        self.fetch_all(place).await?.iter().map(|row| row.try_get(0)).collect()
    }

    fn sqlite(self) -> Query<'static, Sqlite, SqliteArguments> {
        let query = sqlx::query(AssertSqlSafe(self.text));
        self.parameters.into_iter().fold(query, |query, parameter| match parameter {
            Parameter::Integer(value) => query.bind(value),
            Parameter::Real(value) => query.bind(value),
            Parameter::Text(value) => query.bind(value),
            Parameter::Bytes(value) => query.bind(value),
            // SQLite has no arrays; lists are JSON.
            Parameter::Integers(values) => query.bind(json!(values).to_string()),
            Parameter::Reals(values) => query.bind(json!(values).to_string()),
            Parameter::Texts(values) => query.bind(json!(values).to_string()),
        })
    }

    fn postgres(self) -> Query<'static, Postgres, PgArguments> {
        let query = sqlx::query(AssertSqlSafe(in_postgres(&self.text)));
        self.parameters.into_iter().fold(query, |query, parameter| match parameter {
            Parameter::Integer(value) => query.bind(value),
            Parameter::Real(value) => query.bind(value),
            Parameter::Text(value) => query.bind(value),
            Parameter::Bytes(value) => query.bind(value),
            Parameter::Integers(values) => query.bind(values),
            Parameter::Reals(values) => query.bind(values),
            Parameter::Texts(values) => query.bind(values),
        })
    }
}

fn sqlite_rows(rows: Vec<SqliteRow>) -> Vec<Row> {
    rows.into_iter().map(Row::Sqlite).collect()
}

fn postgres_rows(rows: Vec<PgRow>) -> Vec<Row> {
    rows.into_iter().map(Row::Postgres).collect()
}

/// A row of a result.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// The value of a column, given by name or position.
    pub(crate) fn try_get<'r, T>(&'r self, column: impl Column) -> Result<T>
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
pub(crate) trait Column: sqlx::ColumnIndex<SqliteRow> + sqlx::ColumnIndex<PgRow> {}

impl<T: sqlx::ColumnIndex<SqliteRow> + sqlx::ColumnIndex<PgRow>> Column for T {}

const LIST: &str = "json_each(";

/// Translates to numbered parameters and Postgres's list syntax.
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
