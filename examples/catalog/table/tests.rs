use super::*;

/// A database in a directory of its own, removed when dropped.
struct Database(PathBuf);

impl Database {
    fn new(name: &str, sql: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("larder-{name}-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let database = Self(directory);
        Connection::open(database.file())
            .unwrap()
            .execute_batch(sql)
            .unwrap();
        database
    }

    fn file(&self) -> PathBuf {
        self.0.join("test.sqlite")
    }

    fn refusal(&self, table: &str, key: &str) -> String {
        match Table::checked(&self.file(), table, key) {
            Ok(_) => "accepted".into(),
            Err(error) => error.to_string(),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn texts(mut pairs: Vec<Pair>) -> Vec<String> {
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    let text = |(key, row): &Pair| format!("{key}: {}", row.text);
    pairs.iter().map(text).collect()
}

#[test]
fn some_finds_rows_by_the_text_of_any_key_type() {
    let types = [
        "INTEGER PRIMARY KEY",
        "TEXT",
        "REAL",
        "NUMERIC",
        "VARCHAR(9) COLLATE NOCASE",
    ];
    for (n, kind) in types.into_iter().enumerate() {
        let sql = format!("CREATE TABLE t (k {kind}, v); INSERT INTO t VALUES (7, 1), (12, 2)");
        let database = Database::new(&format!("some-{n}"), &sql);
        let table = Table::checked(&database.file(), "T", "K").unwrap();
        let done = AtomicU64::new(9);
        let all = table.all(&done).unwrap();
        assert_eq!(done.into_inner(), 2);
        let mut keys: Vec<Key> = all.into_iter().map(|(key, _)| key).collect();
        keys.push("no such key".into());
        let rows = table.some(&keys).unwrap();
        assert_eq!(rows.len(), 2, "{kind}: {keys:?}");
        assert_eq!(table.count().unwrap(), 2);
    }
}

#[test]
fn rows_are_written_as_literals() {
    let sql = "CREATE TABLE t (k TEXT, a, b);
        INSERT INTO t VALUES ('x', NULL, 1.5), ('it''s', x'00ff', 'a, b')";
    let database = Database::new("literals", sql);
    let table = Table::checked(&database.file(), "t", "k").unwrap();
    let rows = table.some(&["x".into(), "it's".into()]).unwrap();
    assert_eq!(
        texts(rows),
        ["it's: 'it''s', x'00ff', 'a, b'", "x: 'x', NULL, 1.5"]
    );
}

#[test]
fn is_scanned_tells_whether_the_key_has_an_index() {
    let sql = "CREATE TABLE t (k TEXT UNIQUE, slow TEXT); INSERT INTO t VALUES ('a', 'b')";
    let database = Database::new("scanned", sql);
    let scanned = |key| {
        Table::checked(&database.file(), "t", key)
            .unwrap()
            .is_scanned()
            .unwrap()
    };
    assert!(!scanned("k"));
    assert!(scanned("slow"));
}

#[test]
fn names_are_quoted() {
    let sql = r#"CREATE TABLE "a ""b; --" ("select" TEXT); INSERT INTO "a ""b; --" VALUES ('1')"#;
    let database = Database::new("quoted", sql);
    let table = Table::checked(&database.file(), "a \"b; --", "Select").unwrap();
    assert_eq!(texts(table.some(&["1".into()]).unwrap()), ["1: '1'"]);
}

#[test]
fn checked_opens_a_view() {
    let sql = "CREATE TABLE t (k TEXT); INSERT INTO t VALUES ('a'), ('b');
        CREATE VIEW v AS SELECT k FROM t WHERE k > 'a'";
    let database = Database::new("view", sql);
    let table = Table::checked(&database.file(), "v", "k").unwrap();
    assert_eq!(
        texts(table.some(&["a".into(), "b".into()]).unwrap()),
        ["b: 'b'"]
    );
}

#[test]
fn checked_says_what_is_wrong_with_a_table() {
    let sql = "CREATE TABLE empty (k TEXT);
        CREATE TABLE t (id INTEGER, twice TEXT, hole TEXT, raw, free, anycase TEXT COLLATE NOCASE);
        INSERT INTO t VALUES (1, 'a', 'a', x'01', 5, 'a'), (2, 'a', NULL, 'b', '6', 'A')";
    let database = Database::new("wrong", sql);
    let cases = [
        ("nope", "id", "there is no table 'nope'; there is: empty, t"),
        (
            "t",
            "nope",
            "there is no column 'nope'; there is: id, twice, hole, raw, free, anycase",
        ),
        ("empty", "k", "table \"empty\" is empty"),
        (
            "t",
            "twice",
            "column \"twice\" is not unique: 'a' is there twice",
        ),
        (
            "t",
            "hole",
            "column \"hole\" holds a null, which cannot be a key",
        ),
        (
            "t",
            "raw",
            "column \"raw\" holds a blob, which cannot be a key",
        ),
        (
            "t",
            "free",
            "in column \"free\", '5' cannot be found by its text",
        ),
        ("t", "id", "accepted"),
        ("t", "anycase", "accepted"),
    ];
    for (table, key, message) in cases {
        let refusal = database.refusal(table, key);
        assert!(refusal.starts_with(message), "{table}.{key}: {refusal}");
    }
}

#[test]
fn checked_says_what_is_wrong_with_a_file() {
    let database = Database::new("file", "CREATE TABLE t (k)");
    let refused = |file: &Path| Table::checked(file, "t", "k").err().unwrap().to_string();
    let missing = refused(&database.0.join("missing"));
    assert!(
        missing.starts_with("cannot open ") && missing.contains("missing: "),
        "{missing}"
    );
    assert!(!database.0.join("missing").exists());
    let folder = refused(&database.0);
    assert!(folder.ends_with(" is not a file"), "{folder}");
    let text = database.0.join("text");
    std::fs::write(&text, "This is no database. ".repeat(100)).unwrap();
    let text = refused(&text);
    assert!(
        text.contains("text is not a readable SQLite database: "),
        "{text}"
    );
}

#[test]
fn checked_never_writes() {
    let database = Database::new(
        "readonly",
        "CREATE TABLE t (k TEXT); INSERT INTO t VALUES ('a')",
    );
    let table = Table::checked(&database.file(), "t", "k").unwrap();
    let refused = table
        .with(|db| db.execute("DELETE FROM t", []))
        .unwrap_err();
    assert_eq!(
        refused.sqlite_error_code(),
        Some(rusqlite::ErrorCode::ReadOnly)
    );
}
