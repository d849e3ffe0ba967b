//! The structure of the sources, where no tool checks it already: who may know whom, what may be named
//! where, and that the documents point at what exists.

#![allow(clippy::unwrap_used, reason = "a test may unwrap as it likes")]

use std::fs;
use std::path::{Path, PathBuf};

/// Which rooms of `src/` a room may know, itself aside. DESIGN.md, "Rooms".
const DOORS: &[(&str, &[&str])] = &[
    ("spread", &[]),
    ("sync", &["clock", "contain", "spread"]),
    ("clock", &["sync"]),
    ("error", &[]),
    ("contain", &["error"]),
    ("config", &["error"]),
    ("dump", &["contain", "error", "expiry"]),
    ("expiry", &[]),
    ("fetched", &[]),
    // Prose.
    ("migrating", &[]),
    ("tags", &["sync"]),
    ("loader", &["config", "error", "tags"]),
    ("stats", &["sync"]),
    ("storage", &["error", "expiry", "sync"]),
    ("tokio", &["error", "load", "loader", "storage", "sync"]),
    ("events", &["contain", "dump", "error", "sync"]),
    ("table", &["clock", "contain", "spread", "sync"]),
    ("ledger", &["spread", "sync"]),
    (
        "store",
        &[
            "table", "ledger", "sync", "clock", "contain", "error", "spread", "tags",
        ],
    ),
    (
        "load",
        &[
            "store", "loader", "sync", "clock", "config", "error", "events", "fetched", "stats",
            "contain", "tags",
        ],
    ),
    (
        "refresh",
        &[
            "load", "store", "table", "loader", "sync", "clock", "config", "error", "events",
            "contain", "stats", "dump", "storage", "expiry", "tags",
        ],
    ),
    (
        "bucket",
        &[
            "refresh", "load", "store", "loader", "sync", "clock", "config", "error", "events",
            "fetched", "stats", "dump", "table", "contain", "storage", "tags",
        ],
    ),
];

/// The bounds on users' types; every room may name them.
const BOUNDS: [&str; 4] = ["Key", "Value", "HashBuilder", "DefaultHashBuilder"];

/// No production file is longer.
const MOST_LINES: usize = 400;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(under: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![under.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "target") {
                    open.push(path);
                }
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "nothing under {}", under.display());
    found
}

/// Where the test module at the end begins.
fn end_of_code(text: &str) -> usize {
    let begins = [
        "\n#[cfg(test)]",
        "\n#[cfg(all(test,",
        "\n#[cfg(all(\n    test,",
    ];
    let begins = begins.iter().filter_map(|begin| text.find(begin));
    begins.min().unwrap_or(text.len())
}

/// The lines that are code: no comments, and nothing from a test module at the end on.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text[..end_of_code(text)]
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.split("//").next().unwrap_or("")))
        .filter(|(_, line)| !line.trim().is_empty())
}

fn sources() -> Vec<(PathBuf, String, String)> {
    let src = root().join("src");
    files(&src, ".rs")
        .into_iter()
        .map(|path| {
            let inside = path.strip_prefix(&src).unwrap();
            let first = inside
                .components()
                .next()
                .unwrap()
                .as_os_str()
                .to_string_lossy();
            let room = first.trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).unwrap();
            (path, room, text)
        })
        .collect()
}

/// Whether a file under `src/` holds tests only.
fn is_test(path: &Path) -> bool {
    path.ends_with("tests.rs")
        || path
            .parent()
            .is_some_and(|folder| folder.ends_with("tests"))
}

#[test]
fn rooms_know_only_whom_they_may() {
    let mut wrong = Vec::new();
    for (path, room, text) in sources() {
        if room == "lib" || room == "models" || is_test(&path) {
            continue;
        }
        let Some((_, doors)) = DOORS.iter().find(|(name, _)| *name == room) else {
            panic!("the room `{room}` is not in the table");
        };
        for (line, code) in code(&text) {
            for after in code.split("crate::").skip(1) {
                for known in first_names(after) {
                    let allowed = known == room
                        || doors.contains(&known.as_str())
                        || BOUNDS.contains(&known.as_str());
                    if !allowed {
                        wrong.push(format!("{}:{line}: {room} -> {known}", path.display()));
                    }
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "doors that are not in the table:\n{}",
        wrong.join("\n")
    );
}

/// The modules that a path after `crate::` begins with: one, or those of a braced list.
fn first_names(after: &str) -> Vec<String> {
    let name = |part: &str| {
        part.trim()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    match after.strip_prefix('{') {
        Some(list) => {
            let list = list.split('}').next().unwrap_or("");
            list.split(',')
                .map(name)
                .filter(|name| !name.is_empty())
                .collect()
        }
        None => vec![name(after)],
    }
}

#[test]
fn threading_primitives_are_named_in_the_shim_only() {
    let forbidden = [
        "std::thread",
        "std::sync::atomic",
        "std::sync::Mutex",
        "std::sync::Condvar",
        "std::sync::RwLock",
        "arc_swap",
        "thread_local",
        "papaya",
        "crossbeam_utils::sync",
        "Ordering::",
        "loom::",
        "shuttle::",
    ];
    let mut wrong = Vec::new();
    for (path, room, text) in sources() {
        if room == "sync" || room == "models" || is_test(&path) {
            continue;
        }
        for (line, code) in code(&text) {
            for word in forbidden {
                if code.contains(word) && !code.contains("cmp::Ordering") {
                    wrong.push(format!("{}:{line}: {word}", path.display()));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "threading primitives outside src/sync:\n{}",
        wrong.join("\n")
    );
}

/// Each allows it for itself, which a glance at this list should not be needed to find out.
#[test]
fn unsafe_code_is_where_the_documents_say() {
    const UNSAFE: [&str; 9] = [
        "sync/ahead.rs",
        "sync/barrier.rs",
        "sync/coarse.rs",
        "sync/handed.rs",
        "sync/model/handed.rs",
        "sync/slot.rs",
        "sync/slots.rs",
        "table/level.rs",
        "table/pages.rs",
    ];
    for (path, _, text) in sources() {
        let allowed = UNSAFE.iter().any(|file| path.ends_with(file));
        let has = code(&text).any(|(_, line)| {
            line.split(|c: char| !c.is_alphanumeric())
                .any(|word| word == "unsafe")
        });
        assert_eq!(has, allowed, "unsafe code in {}", path.display());
    }
    for document in ["DESIGN.md", "README.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        for file in UNSAFE {
            assert!(text.contains(file), "{document} does not name {file}");
        }
    }
}

#[test]
fn files_are_ascii_and_short() {
    let mut wrong = Vec::new();
    for (path, room, text) in sources() {
        if !text.is_ascii() {
            wrong.push(format!("{}: not ASCII", path.display()));
        }
        let lines = text[..end_of_code(&text)].lines();
        let (count, tests) = (lines.count(), is_test(&path));
        // The bucket's face is mostly documentation, and has no algorithm to hide.
        let most = if path.ends_with("bucket/mod.rs") {
            2 * MOST_LINES
        } else {
            MOST_LINES
        };
        if count > most && room != "models" && !tests {
            wrong.push(format!("{}: {count} lines", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn test_binaries_hold_tests() {
    let tests = root().join("tests");
    for entry in fs::read_dir(&tests).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("common") {
            // What the binaries share is none itself.
            continue;
        }
        let parts = if path.is_dir() {
            files(&path, ".rs")
        } else {
            vec![path.clone()]
        };
        let count: usize = parts
            .iter()
            .filter(|part| part.extension().is_some_and(|ending| ending == "rs"))
            .map(|part| {
                let text = fs::read_to_string(part).unwrap();
                text.matches("#[test]").count() + text.matches("proptest! {").count()
            })
            .sum();
        let holds_code = parts
            .iter()
            .any(|part| part.extension().is_some_and(|e| e == "rs"));
        assert!(!holds_code || count > 0, "{} holds no test", path.display());
    }
}

#[test]
fn no_documented_code_is_ignored() {
    let mut texts = files(&root().join("src"), ".rs");
    texts.extend(["README.md", "DESIGN.md", "CHANGELOG.md"].map(|name| root().join(name)));
    for path in texts {
        let text = fs::read_to_string(&path).unwrap();
        for (at, line) in text.lines().enumerate() {
            let fence = line.trim_start_matches(['/', '!', ' ']);
            let ignored = fence.starts_with("```") && fence.contains("ignore");
            assert!(
                !ignored,
                "{}:{}: an ignored example",
                path.display(),
                at + 1
            );
        }
    }
}

/// Paths and tests that DESIGN.md and README.md name exist.
#[test]
fn what_the_documents_name_exists() {
    let mut missing = Vec::new();
    for document in ["DESIGN.md", "README.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        for name in text.split('`').skip(1).step_by(2) {
            let is_path = [
                "src/",
                "tests/",
                "examples/",
                "benches/",
                "scripts/",
                "fuzz/",
                ".ci/",
            ]
            .iter()
            .any(|start| name.starts_with(start));
            if is_path && !name.contains(' ') && !exists(name) {
                missing.push(format!("{document}: {name}"));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "named and not there:\n{}",
        missing.join("\n")
    );
}

/// Whether there is such a path; a `*` at its end stands for any rest.
fn exists(name: &str) -> bool {
    let path = root().join(name);
    let Some(start) = name.strip_suffix('*') else {
        return path.exists();
    };
    let (folder, start) = start.rsplit_once('/').unwrap_or(("", start));
    fs::read_dir(root().join(folder)).is_ok_and(|mut entries| {
        entries.any(|entry| {
            entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with(start))
        })
    })
}

/// Every model that DESIGN.md names stands in the sources.
#[test]
fn models_that_the_design_names_exist() {
    let design = fs::read_to_string(root().join("DESIGN.md")).unwrap();
    let models: String = files(&root().join("src/models"), ".rs")
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let mut named = 0;
    for line in design.lines().filter(|line| line.starts_with("Models: ")) {
        for name in line
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|name| !name.contains('/'))
        {
            named += 1;
            let start = format!("fn {}", name.trim_end_matches('*'));
            assert!(models.contains(&start), "no model `{name}`");
        }
    }
    assert!(named > 5, "the design names its models");
}

/// The guide ticks a feature only where a test shows it, and each test that it names is one.
#[test]
fn tests_that_the_guide_names_exist() {
    let guide = fs::read_to_string(root().join("src/migrating/features.rs")).unwrap();
    let rows = guide.lines().filter_map(|line| line.strip_prefix("//! | "));
    let (mut wrong, mut named) = (Vec::new(), 0);
    for row in rows.filter(|row| !row.contains("| shown by |")) {
        let tests = row.split('`').filter_map(|name| name.split_once(".rs::"));
        let tests: Vec<_> = tests.collect();
        for (file, test) in &tests {
            if !is_test_of(&format!("{file}.rs"), test) {
                wrong.push(format!("no test {test} in {file}.rs"));
            }
        }
        named += tests.len();
        let is_ticked = !row.contains("| no: ");
        if is_ticked == tests.is_empty() {
            wrong.push(format!(
                "ticked without a test, or the other way round: {row}"
            ));
        }
    }
    assert!(wrong.is_empty(), "in the guide:\n{}", wrong.join("\n"));
    assert!(named > 50, "the guide names tests");
}

/// Whether a file has a test of this name.
fn is_test_of(file: &str, test: &str) -> bool {
    let text = fs::read_to_string(root().join(file)).unwrap_or_default();
    let lines: Vec<_> = text.lines().map(str::trim_start).collect();
    let start = format!("fn {test}(");
    let at = lines.iter().position(|line| line.starts_with(&start));
    at.is_some_and(|at| {
        let above = lines[..at].iter().rev();
        above
            .take_while(|line| !line.is_empty())
            .any(|line| *line == "#[test]")
    })
}
