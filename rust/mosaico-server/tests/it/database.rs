//! The catalog database of the tests: a SQLite file, or with `tests/with_postgres` a schema of a Postgres
//! database.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::Command;

use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};

/// SQLite's files.
const FILES: [&str; 3] = ["catalog.db", "catalog.db-wal", "catalog.db-shm"];

/// The URL of this run's database, if it is not SQLite.
pub(crate) fn url() -> Option<String> {
    let chosen = std::env::var("MOSAICO_TEST_CATALOG").is_ok_and(|catalog| catalog == "postgres");
    chosen.then(|| postgres().expect("tests/with_postgres sets it"))
}

/// The Postgres that `tests/with_services` started, for Postgres-only tests. Without it these tests do
/// nothing, except in CI, where they fail.
pub(crate) fn postgres() -> Option<String> {
    let url = std::env::var("MOSAICO_TEST_POSTGRES").ok();
    if url.is_none() {
        let in_ci = std::env::var_os("CI").is_some();
        assert!(
            !in_ci,
            "this test needs a Postgres: run it with tests/with_services, as `make test-rust` does"
        );
        eprintln!("skipped: this test needs a Postgres, run it with tests/with_services");
    }
    url
}

/// The database schema of a folder.
pub(crate) fn schema(folder: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    folder.hash(&mut hasher);
    format!("test_{:x}", hasher.finish())
}

/// Deletes the catalog of a store.
pub(crate) fn remove(folder: &Path) {
    if url().is_some() {
        block_on(sql(folder, &format!("DROP SCHEMA IF EXISTS {} CASCADE", schema(folder))));
        return;
    }
    assert!(folder.join(FILES[0]).exists());
    for file in FILES {
        drop(std::fs::remove_file(folder.join(file)));
    }
}

/// Copies the catalog of a store that no server uses.
pub(crate) fn back_up(folder: &Path, to: &Path) {
    if let Some(url) = url() {
        let (schema, file) = (format!("--schema={}", schema(folder)), to.join("catalog.sql"));
        run(Command::new("pg_dump").arg(url).arg(schema).arg("--file").arg(file));
        return;
    }
    for file in FILES.iter().filter(|file| folder.join(file).exists()) {
        std::fs::copy(folder.join(file), to.join(file)).unwrap();
    }
}

/// Restores a copy where no catalog exists.
pub(crate) fn restore(folder: &Path, from: &Path) {
    if let Some(url) = url() {
        run(Command::new("psql")
            .arg(url)
            .args(["-q", "-v", "ON_ERROR_STOP=1", "-f"])
            .arg(from.join("catalog.sql")));
        return;
    }
    for file in FILES.iter().filter(|file| from.join(file).exists()) {
        std::fs::copy(from.join(file), folder.join(file)).unwrap();
    }
}

fn run(command: &mut Command) {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Runs SQL statements in the catalog of a store.
pub(crate) async fn sql(folder: &Path, text: &str) {
    if let Some(url) = url() {
        return postgres_sql(&url, folder, text).await;
    }
    let text = AssertSqlSafe(text.to_owned());
    let url = format!("sqlite://{}", folder.join("catalog.db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(text).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// Runs SQL statements in the schema of a store.
pub(crate) async fn postgres_sql(url: &str, folder: &Path, text: &str) {
    try_postgres_sql(url, folder, text).await.unwrap();
}

/// The same; the statements may fail.
pub(crate) async fn try_postgres_sql(url: &str, folder: &Path, text: &str) -> sqlx::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    let path = AssertSqlSafe(format!("SET search_path = {}", schema(folder)));
    sqlx::raw_sql(path).execute(&mut connection).await?;
    sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut connection).await?;
    connection.close().await
}

/// Makes the catalog refuse `change` from now on, such as `INSERT ON sequence`.
pub(crate) async fn refuse(folder: &Path, change: &str) {
    let text = if url().is_some() {
        format!(
            "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'injected'; END $$; \
             CREATE TRIGGER broken BEFORE {change} FOR EACH ROW EXECUTE FUNCTION broken()"
        )
    } else {
        format!("CREATE TRIGGER broken BEFORE {change} BEGIN SELECT RAISE(ABORT, 'injected'); END")
    };
    sql(folder, &text).await;
}

/// Undoes [`refuse`].
pub(crate) async fn accept(folder: &Path) {
    let text = if url().is_some() { "DROP FUNCTION broken CASCADE" } else { "DROP TRIGGER broken" };
    sql(folder, text).await;
}

/// Works inside a runtime too: uses a separate thread.
pub(crate) fn block_on(work: impl Future<Output = ()> + Send) {
    std::thread::scope(|scope| {
        let run = || tokio::runtime::Runtime::new().unwrap().block_on(work);
        scope.spawn(run).join().unwrap();
    });
}
