//! What the numbers were measured on, and the few things that need the operating system.

use std::fmt::Write as _;
use std::process::Command;

/// Pins the calling thread, and all that it starts from now on, to `core`. Does nothing where
/// that cannot be done.
pub fn pin(core: usize) {
    #[cfg(target_os = "linux")]
    {
        use rustix::thread::{CpuSet, sched_setaffinity};
        let mut set = CpuSet::new();
        set.set(core);
        // May be forbidden in a container; the report says whether it was, by `can_pin`.
        let _ = sched_setaffinity(None, &set);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = core;
}

/// Returns the cores this process may use.
pub fn cores() -> Vec<usize> {
    #[cfg(target_os = "linux")]
    if let Ok(set) = rustix::thread::sched_getaffinity(None) {
        return (0..rustix::thread::CpuSet::MAX_CPU)
            .filter(|&core| set.is_set(core))
            .collect();
    }
    (0..std::thread::available_parallelism().map_or(1, usize::from)).collect()
}

/// Returns whether [`pin`] works here.
pub fn can_pin() -> bool {
    let all = cores();
    std::thread::spawn(move || {
        pin(all[0]);
        cores() == [all[0]]
    })
    .join()
    .unwrap_or(false)
}

/// Returns the seconds of processor time this process has used, if that can be known.
pub fn cpu_seconds() -> Option<f64> {
    #[cfg(target_os = "linux")]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Some(time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9)
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// Returns how often the threads of this process have given up their core to wait, if that can
/// be known.
pub fn voluntary_switches() -> Option<u64> {
    let mut sum = 0;
    for task in std::fs::read_dir("/proc/self/task").ok()? {
        let status = std::fs::read_to_string(task.ok()?.path().join("status")).ok()?;
        sum += field(&status, "voluntary_ctxt_switches")?
            .parse::<u64>()
            .ok()?;
    }
    Some(sum)
}

/// Returns the bytes of memory that can be had, if that can be known.
pub fn memory_available() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kilobytes: u64 = field(&meminfo, "MemAvailable")?
        .split(' ')
        .next()?
        .parse()
        .ok()?;
    Some(kilobytes * 1024)
}

/// Returns the name of the processor.
pub fn cpu() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let get = |name| field(&cpuinfo, name).unwrap_or("?");
    match field(&cpuinfo, "model name") {
        Some(name) => {
            format!(
                "{name} (family {}, model {})",
                get("cpu family"),
                get("model")
            )
        }
        None => std::env::consts::ARCH.to_owned(),
    }
}

/// Returns the name of the processor as part of a file name.
pub fn cpu_slug() -> String {
    let cpu = cpu();
    let kept = cpu.split(" (").next().unwrap_or(&cpu);
    let words = kept
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let family = cpu.split_once("family ").map(|(_, rest)| rest);
    let family = family.map(|rest| rest.replace(", model ", "-").replace(')', ""));
    let family = family.filter(|family| !family.contains('?'));
    words
        .map(str::to_lowercase)
        .chain(family)
        .collect::<Vec<_>>()
        .join("-")
}

/// Returns today, as the system's `date` writes it.
pub fn date() -> String {
    run("date", &["+%Y-%m-%d"]).unwrap_or_else(|| "unknown-date".into())
}

/// Returns the header of a record: one line for each fact.
pub fn describe(command: &str) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "| {name} | {value} |");
    };
    line(
        "date",
        run("date", &["+%Y-%m-%d %H:%M %z"]).unwrap_or_else(|| "?".into()),
    );
    line("command", format!("`{command}`"));
    line("commit", commit());
    line(
        "compiler",
        run("rustc", &["--version"]).unwrap_or_else(|| "?".into()),
    );
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    line(
        "flags",
        format!("release, thin LTO, one codegen unit; RUSTFLAGS=`{flags}`"),
    );
    line("processor", format!("{}, {} cores", cpu(), cores().len()));
    line("L3", l3());
    line("memory", memory());
    line(
        "kernel",
        run("uname", &["-sr"]).unwrap_or_else(|| "?".into()),
    );
    let huge = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    line(
        "huge pages",
        huge.map_or_else(|_| "?".into(), |text| text.trim().to_owned()),
    );
    line("load at the start", load());
    let pinned = if can_pin() {
        "yes, where the text says so"
    } else {
        "no: not possible here"
    };
    line("threads pinned", pinned.into());
    text
}

/// Returns how busy the machine has been in the last 1, 5 and 15 minutes.
pub fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn commit() -> String {
    let Some(hash) = run("git", &["rev-parse", "--short", "HEAD"]) else {
        return "none".into();
    };
    let changed = run("git", &["status", "--porcelain", "--untracked-files=no"]);
    if changed.is_some_and(|changed| !changed.is_empty()) {
        return format!("{hash}, with changes not committed");
    }
    hash
}

fn l3() -> String {
    let path = "/sys/devices/system/cpu/cpu0/cache/index3/size";
    std::fs::read_to_string(path).map_or_else(|_| "?".into(), |size| size.trim().to_owned())
}

fn memory() -> String {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = field(&meminfo, "MemTotal").and_then(|text| text.split(' ').next());
    let total = total.and_then(|kilobytes| kilobytes.parse::<f64>().ok());
    total.map_or_else(
        || "?".into(),
        |kilobytes| format!("{:.1} GiB", kilobytes / 1048576.0),
    )
}

/// Returns the value in the first line `name: value` of `text`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
