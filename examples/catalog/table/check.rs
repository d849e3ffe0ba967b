//! Whether a user's table can be read by its keys, and if not, why not.

use std::error::Error;

use rusqlite::{Connection, OptionalExtension};

/// The names of a table or view and of its column, as the database has them, quoted for SQL.
pub fn names(db: &Connection, table: &str, key: &str) -> Result<(String, String), Box<dyn Error>> {
    let tables = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')";
    let table = find("table", table, &list(db, tables, [])?)?;
    let columns = "SELECT name FROM pragma_table_info(?1)";
    let key = find("column", key, &list(db, columns, [&table])?)?;
    Ok((quoted(&table), quoted(&key)))
}

/// Refuses tables whose rows cannot be told apart, or found again, by the text of their keys.
pub fn keys(db: &Connection, table: &str, key: &str) -> Result<(), Box<dyn Error>> {
    let one = |sql: String| {
        db.query_row(&sql, [], |row| row.get::<_, String>(0))
            .optional()
    };
    if one(format!("SELECT 'a row' FROM {table} LIMIT 1"))?.is_none() {
        return Err(format!("table {table} is empty").into());
    }
    let kinds = format!("SELECT typeof({key}) FROM {table} WHERE typeof({key})");
    if let Some(kind) = one(format!("{kinds} IN ('null', 'blob') LIMIT 1"))? {
        return Err(format!("column {key} holds a {kind}, which cannot be a key").into());
    }
    let text = format!("CAST({key} AS TEXT)");
    let groups = format!("SELECT {text} FROM {table} GROUP BY {text} COLLATE BINARY");
    if let Some(twice) = one(format!("{groups} HAVING count(*) > 1 LIMIT 1"))? {
        return Err(format!("column {key} is not unique: '{twice}' is there twice").into());
    }
    // The plus takes the text's type away: a key in a batch is a parameter, which has none.
    let lost = format!("SELECT {text} FROM {table} WHERE {key} IS NOT +{text} LIMIT 1");
    if let Some(lost) = one(lost)? {
        let why = "the column has no type, or one that changes the text";
        return Err(format!("in column {key}, '{lost}' cannot be found by its text: {why}").into());
    }
    Ok(())
}

fn list(
    db: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> rusqlite::Result<Vec<String>> {
    db.prepare(sql)?
        .query_map(params, |row| row.get(0))?
        .collect()
}

/// The name as the database spells it; SQLite's names ignore case.
fn find(what: &str, wanted: &str, names: &[String]) -> Result<String, String> {
    let found = names.iter().find(|name| name.eq_ignore_ascii_case(wanted));
    let there = if names.is_empty() {
        "none".into()
    } else {
        names.join(", ")
    };
    found
        .cloned()
        .ok_or_else(|| format!("there is no {what} '{wanted}'; there is: {there}"))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
