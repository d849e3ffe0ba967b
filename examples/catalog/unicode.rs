//! The data: the named characters of Unicode, in an SQLite database of their own.
//!
//! The names are those of the Unicode Character Database, version 17.0, as the crate
//! `unicode_names2` 4.0 ships them (licence: MIT or Apache-2.0, and Unicode-DFS-2016 for the data);
//! the names of the blocks come from the crate `unicode-blocks` 0.1 (licence: MIT). Characters whose
//! name is made by a rule from their code point or sound, such as the 11 172 Hangul syllables, are
//! left out: what remains was named by people.

use std::env::temp_dir;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;

use rusqlite::{Connection, params};

use crate::ledger::seal;

/// Where the data comes from, for those who run the example.
pub const ORIGIN: &str = "\
names   Unicode Character Database 17.0, through the crate unicode_names2 4.0
        (MIT or Apache-2.0, and Unicode-DFS-2016 for the data)
blocks  through the crate unicode-blocks 0.1 (MIT)";

const SCHEMA: &str = "
    -- So that the loaders read while the writer writes. A crash may lose the file: it is ours.
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = OFF;
    CREATE TABLE character (
        code       TEXT PRIMARY KEY,    -- such as U+1F9C0
        glyph      TEXT NOT NULL,
        name       TEXT NOT NULL,
        block      TEXT NOT NULL,
        revision   INTEGER NOT NULL,    -- how often the row was written, from 1
        changed_us INTEGER NOT NULL,    -- when it was, in microseconds since the start
        seal       INTEGER NOT NULL     -- made of code and revision: shows a torn row
    ) WITHOUT ROWID;";

/// How names begin that are made by a rule.
const MADE_BY_RULE: [&str; 6] = [
    "CJK COMPATIBILITY IDEOGRAPH-",
    "CJK UNIFIED IDEOGRAPH-",
    "HANGUL SYLLABLE ",
    "KHITAN SMALL SCRIPT CHARACTER-",
    "NUSHU CHARACTER-",
    "TANGUT IDEOGRAPH-",
];

/// Writes the database into the new file `file`; `progress` is told how many rows are done.
pub fn build(file: &Path, mut progress: impl FnMut(u64)) -> rusqlite::Result<Connection> {
    let mut db = Connection::open(file)?;
    db.execute_batch(SCHEMA)?;
    let filling = db.transaction()?;
    let sql = "INSERT INTO character VALUES (?1, ?2, ?3, ?4, 1, 0, ?5)";
    let mut insert = filling.prepare(sql)?;
    for (done, (character, name)) in named().enumerate() {
        let code = format!("U+{:04X}", u32::from(character));
        let block = unicode_blocks::find_unicode_block(character);
        let block = block.map_or("No_Block", |block| block.name());
        let seal = seal(&code, 1) as i64;
        insert.execute(params![code, character.to_string(), name, block, seal])?;
        progress(done as u64 + 1);
    }
    drop(insert);
    filling.commit()?;
    Ok(db)
}

/// About how many rows [`build`] writes: enough for a progress bar.
pub const ABOUT: u64 = 38_600;

fn named() -> impl Iterator<Item = (char, String)> {
    ('\0'..=char::MAX).filter_map(|character| {
        let name = unicode_names2::name(character)?.to_string();
        let by_rule = MADE_BY_RULE.iter().any(|start| name.starts_with(start));
        (!by_rule).then_some((character, name))
    })
}

/// A new directory for the database and SQLite's files beside it, removed when dropped. A run that
/// is killed leaves it behind.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes the directory; one that is there already is somebody else's, and an error.
    pub fn new() -> io::Result<Self> {
        let path = temp_dir().join(format!("larder-catalog-{}", process::id()));
        fs::create_dir(&path).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot make {}: {error}", path.display()),
            )
        })?;
        Ok(Self(path))
    }

    /// Where the database goes.
    pub fn file(&self) -> PathBuf {
        self.0.join("unicode.sqlite")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("could not remove {}: {error}", self.0.display());
        }
    }
}
