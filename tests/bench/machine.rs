//! The machine the figures are from, and whether it has the time for them.

use std::fmt;
use std::fs;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::contender::TICKS;

/// How long the machine is watched before anything is measured.
const WATCH: Duration = Duration::from_secs(3);
/// The part of it that others may use.
const OTHERS: f64 = 0.10;

/// What figures are told with.
#[derive(Debug)]
pub struct Machine {
    /// Days since 1970 as a date.
    pub date: String,
    /// The CPU's name.
    pub cpu: String,
    /// How many of them.
    pub cores: usize,
    /// `uname -sr`.
    pub kernel: String,
    /// MiB.
    pub memory: u64,
}

impl Machine {
    /// This one, today.
    pub fn look() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = field(&cpuinfo, "model name")
            .or_else(|| field(&cpuinfo, "Hardware"))
            .unwrap_or_else(|| std::env::consts::ARCH.to_owned());
        let version = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let memory = field(&meminfo, "MemTotal")
            .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or(0);
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            date: date(now.as_secs() / 86_400),
            cpu,
            cores: thread::available_parallelism().map_or(1, usize::from),
            kernel: format!("Linux {}", version.trim()),
            memory: memory / 1024,
        }
    }

    /// Whether others leave it alone for a few seconds; if not, how busy it is.
    pub fn calm(&self) -> Result<(), String> {
        let before = ticks();
        thread::sleep(WATCH);
        let after = ticks();
        let (busy, all) = (after.0 - before.0, after.1 - before.1);
        let part = busy as f64 / all.max(1) as f64;
        if part > OTHERS {
            return Err(format!(
                "this machine is busy: {:.0} % of its {} cores were used in {} s, at most {:.0} % may be",
                part * 100.0,
                self.cores,
                WATCH.as_secs(),
                OTHERS * 100.0
            ));
        }
        Ok(())
    }

    /// For results.json.
    pub fn json(&self) -> Value {
        json!({
            "date": self.date, "cpu": self.cpu, "cores": self.cores, "kernel": self.kernel,
            "memory_mebibytes": self.memory,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, {} × {}, {}, {} MiB",
            self.date, self.cores, self.cpu, self.kernel, self.memory
        )
    }
}

/// CPU seconds that all softirqs of the machine have used: the kernel's networking, whoever's.
pub fn softirq_seconds() -> f64 {
    columns().get(6).map_or(0.0, |ticks| *ticks as f64 / TICKS)
}

fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Clock ticks the machine has been busy, and all of them (proc_stat(5)).
fn ticks() -> (u64, u64) {
    let numbers = columns();
    let all: u64 = numbers.iter().take(8).sum();
    let idle: u64 = numbers.iter().skip(3).take(2).sum();
    (all - idle, all)
}

/// The machine's line in proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal …
fn columns() -> Vec<u64> {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = stat.lines().next().unwrap_or("");
    let numbers = first.split_whitespace().skip(1);
    numbers.flat_map(str::parse).collect()
}

/// Days since 1970-01-01 as YYYY-MM-DD (Howard Hinnant's civil_from_days).
fn date(days: u64) -> String {
    let z = days + 719_468;
    let era = z / 146_097;
    let doe = z - era * 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}
