//! A system that has no thread to give. In processes of their own, since it hits everybody.

use std::error::Error as _;
use std::process::Command;

use larder::{Bucket, BuildError};

/// Set for the processes that this file starts.
const CHILD: &str = "LARDER_TEST_CHILD";

/// Runs one test of this binary in a process of its own, through a shell that prepares it.
fn in_a_process(test: &str, prepare: &str, variables: &[(&str, &str)]) {
    let binary = std::env::current_exe().unwrap();
    let run = format!("{prepare} exec \"$0\" \"$@\"");
    let output = Command::new("sh")
        .args(["-c", &run])
        .arg(binary)
        // In order and on one thread: there may be none to be had for the tests either.
        .args([
            test,
            "--exact",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(CHILD, "yes")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{test}:\n{out}\n{err}");
    assert!(
        out.contains("1 passed"),
        "{test} did not run:\n{out}\n{err}"
    );
}

/// Whether this is such a process; else the test has nothing to look at.
fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

fn threads_now() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[cfg(target_os = "linux")]
#[test]
fn build_says_so_when_there_is_no_thread_at_all() {
    // A stack larger than the address space.
    let stack = (1_u64 << 47).to_string();
    let variables = [("RUST_MIN_STACK", stack.as_str())];
    in_a_process("threads::child_without_any_thread", "", &variables);
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "run by its parent, in a process of its own"]
fn child_without_any_thread() {
    if !is_child() {
        return;
    }
    let before = threads_now();
    for _ in 0..3 {
        let error = Bucket::<u64, u64>::builder("starved").build().unwrap_err();
        let BuildError::Spawn { thread, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(thread, "larder-starved-refresh");
        assert!(
            error
                .source()
                .is_some_and(|source| source.is::<std::io::Error>())
        );
        assert!(
            error.to_string().contains("larder-starved-refresh"),
            "{error}"
        );
    }
    assert_eq!(threads_now(), before);
}

#[cfg(target_os = "linux")]
#[test]
fn build_ends_the_threads_that_it_started_when_there_are_not_enough() {
    // 4 GiB of addresses, 64 MiB a stack.
    let variables = [("RUST_MIN_STACK", "67108864")];
    in_a_process(
        "threads::child_with_few_threads",
        "ulimit -v 4194304 || exit 1;",
        &variables,
    );
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "run by its parent, in a process of its own"]
fn child_with_few_threads() {
    if !is_child() {
        return;
    }
    let before = threads_now();
    let census = crate::common::Census::new();
    for _ in 0..3 {
        let (counting, held) = (census.clone(), census.citizen(0));
        let error = Bucket::<u64, crate::common::Citizen>::builder("few")
            .loader_threads(1_000)
            .load(move |key: &u64| {
                drop(held.clone());
                Ok::<_, String>(counting.citizen(*key))
            })
            .build()
            .unwrap_err();
        let BuildError::Spawn { thread, .. } = &error else {
            panic!("{error:?}");
        };
        assert!(thread.starts_with("larder-few-load-"), "{thread}");
        // All ended, joined, and what the loader held is gone.
        assert_eq!(threads_now(), before);
        assert_eq!(census.alive(), 0);
    }
    // What there is suffices for a smaller one.
    let bucket = Bucket::<u64, u64>::builder("small")
        .load(|key: &u64| Ok::<_, String>(*key))
        .build()
        .unwrap();
    assert_eq!(bucket.get(&1), Some(1));
}

#[test]
fn a_process_with_a_bucket_in_a_static_ends() {
    in_a_process("threads::child_with_a_static", "", &[]);
}

#[test]
#[ignore = "run by its parent, in a process of its own"]
fn child_with_a_static() {
    use std::sync::LazyLock;
    static BUSY: LazyLock<Bucket<u64, u64>> = LazyLock::new(|| {
        Bucket::<u64, u64>::builder("busy")
            .load(|_: &u64| -> Result<u64, String> {
                loop {
                    std::thread::park();
                }
            })
            .build()
            .unwrap()
    });
    if !is_child() {
        return;
    }
    // A loader that never returns, and nobody to drop the bucket.
    drop(BUSY.request_load([1, 2, 3]));
    BUSY.set(7, 7);
    assert_eq!(BUSY.get(&7), Some(7));
}
