//! One load: stock wrk, asking for one object, for some seconds.

use std::process::Stdio;

use srv6pipes::demo::lab::SERVER;
use srv6pipes::demo::namespace::Namespace;

/// What is asked for, and how.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Bytes of the object.
    pub size: u64,
    /// One connection for all requests, or a new one for each.
    pub keep_alive: bool,
    /// Connections at once.
    pub connections: u32,
    /// How long.
    pub seconds: u32,
}

/// What wrk saw.
#[derive(Debug, Clone, Copy)]
pub struct Served {
    /// Whole answers per second.
    pub requests_per_second: f64,
    /// Megabits of answers per second, unfinished ones and headers included.
    pub megabits_per_second: f64,
    /// Bytes of answers.
    pub bytes: f64,
    /// Errors of all kinds.
    pub errors: u64,
}

impl Load {
    /// 50 connections, and long enough that what is under way at the end counts little.
    pub fn new(size: u64, keep_alive: bool) -> Self {
        Self {
            size,
            keep_alive,
            connections: 50,
            seconds: if size > 100_000 { 2 } else { 1 },
        }
    }

    /// Its name in figures: `1 KB`.
    pub fn size_name(&self) -> String {
        match self.size {
            size if size >= 1_000_000 => format!("{} MB", size / 1_000_000),
            size => format!("{} KB", size / 1000),
        }
    }

    /// Runs it in the client's namespace.
    pub fn run(&self, client: &Namespace) -> Served {
        let mut wrk = client.command("wrk");
        wrk.arg("-t1").arg(format!("-c{}", self.connections));
        wrk.arg(format!("-d{}s", self.seconds));
        if !self.keep_alive {
            wrk.args(["-H", "Connection: close"]);
        }
        wrk.arg(format!("http://[{SERVER}]/{}", self.size));
        let output = wrk.stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "wrk: {}{text}",
            String::from_utf8_lossy(&output.stderr)
        );
        parse(&text).unwrap_or_else(|| panic!("wrk says something else than it used to:\n{text}"))
    }
}

/// `123 requests in 2.00s, 4.56MB read`, and what went wrong.
fn parse(text: &str) -> Option<Served> {
    let line = text.lines().find(|line| line.contains(" requests in "))?;
    let (requests, rest) = line.trim().split_once(" requests in ")?;
    let (seconds, read) = rest.split_once(", ")?;
    let requests: f64 = requests.parse().ok()?;
    let seconds = seconds_of(seconds)?;
    let bytes = bytes_of(read.strip_suffix(" read")?)?;
    let mut errors = 0;
    for line in text.lines() {
        let line = line.trim();
        if let Some(list) = line.strip_prefix("Socket errors: ") {
            let numbers = list.split(", ").filter_map(|item| item.split(' ').nth(1));
            errors += numbers.filter_map(|n| n.parse::<u64>().ok()).sum::<u64>();
        } else if let Some(count) = line.strip_prefix("Non-2xx or 3xx responses: ") {
            errors += count.parse::<u64>().ok()?;
        }
    }
    Some(Served {
        requests_per_second: requests / seconds,
        megabits_per_second: bytes * 8.0 / 1e6 / seconds,
        bytes,
        errors,
    })
}

fn seconds_of(text: &str) -> Option<f64> {
    match text.strip_suffix("ms") {
        Some(ms) => Some(ms.parse::<f64>().ok()? / 1000.0),
        None => match text.strip_suffix('m') {
            Some(minutes) => Some(minutes.parse::<f64>().ok()? * 60.0),
            None => text.strip_suffix('s')?.parse().ok(),
        },
    }
}

/// wrk's units are powers of 1024.
fn bytes_of(text: &str) -> Option<f64> {
    let units = [("GB", 30), ("MB", 20), ("KB", 10), ("B", 0)];
    let (number, power) = units
        .iter()
        .find_map(|(unit, power)| Some((text.strip_suffix(unit)?, *power)))?;
    Some(number.parse::<f64>().ok()? * f64::from(1_u32 << power))
}
