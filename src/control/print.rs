//! `status` and `flows` for people, from the same JSON that programs get.

use std::cmp::Reverse;
use std::fmt::Write;

use serde_json::{Map, Value};

/// Lines for counters that differ only by their label.
const MOST_LABELS: usize = 10;

/// `status` without `--json`: what is there, then every counter that is not 0.
pub fn status(status: &Value) -> String {
    let mut text = String::new();
    let word = |key: &str| plain(&status[key]);
    let _ = writeln!(
        text,
        "srv6pipes {}, process {}, up {} s, capture {}, {} workers",
        word("version"),
        word("pid"),
        word("uptime_seconds"),
        word("capture"),
        word("workers"),
    );
    for locator in list(&status["locators"]) {
        let _ = writeln!(text, "locator   {}", plain(locator));
    }
    for function in list(&status["functions"]) {
        let _ = writeln!(
            text,
            "function  {} {} ({}): {} flows, {} in, {} out, {} broken",
            plain(&function["id"]),
            plain(&function["name"]),
            plain(&function["module"]),
            plain(&function["flows"]),
            bytes(&function["in_bytes"]),
            bytes(&function["out_bytes"]),
            plain(&function["broken_flows"]),
        );
        own_counters(&mut text, list(&function["counters"]));
    }
    for (name, value) in map(&status["counters"]) {
        if value.as_u64() != Some(0) {
            let _ = writeln!(text, "{:>12}  {}", plain(value), name.replace('_', " "));
        }
    }
    for (name, value) in map(&status["kernel"]) {
        if value.as_u64() != Some(0) {
            let _ = writeln!(
                text,
                "{:>12}  kernel: {}",
                plain(value),
                name.replace('_', " ")
            );
        }
    }
    text
}

/// What a function counts itself, below its line: of each name the largest, if they are many.
///
/// ```text
/// function  0x0001 firewall (/usr/lib/srv6pipes/libfirewall.so): 9 flows, …
///                      4  passed flows
///                      3  blocked flows   rule=ads
///                      2  blocked flows   rule=spam
///                         and 7 more of blocked flows: --json
/// ```
fn own_counters(text: &mut String, counters: &[Value]) {
    let words = |counter: &Value| plain(&counter["name"]).replace('_', " ");
    let width = counters.iter().map(|c| words(c).chars().count()).max();
    let width = width.unwrap_or(0);
    for same in counters.chunk_by(|one, other| one["name"] == other["name"]) {
        let value = |counter: &Value| counter["value"].as_u64().unwrap_or(0);
        let mut counted: Vec<&Value> = same.iter().filter(|c| value(c) != 0).collect();
        // Those of one value stay sorted by their labels.
        counted.sort_by_key(|counter| Reverse(value(counter)));
        let shown = counted.len().min(MOST_LABELS);
        for counter in &counted[..shown] {
            let line = format!(
                "{:>22}  {:width$}  {}",
                value(counter),
                words(counter),
                plain(&counter["label"])
            );
            let _ = writeln!(text, "{}", line.trim_end());
        }
        let more = counted.len() - shown;
        if more > 0 {
            let _ = writeln!(
                text,
                "{:24}and {more} more of {}: --json",
                "",
                words(&same[0])
            );
        }
    }
}

/// `flows` without `--json`: a line for each.
pub fn flows(flows: &Value) -> String {
    let mut text = String::new();
    for flow in list(&flows["flows"]) {
        let functions: Vec<String> = list(&flow["functions"]).iter().map(plain).collect();
        let _ = writeln!(
            text,
            "{} → {}  {}  functions [{}]  {} s  up {}  down {}",
            plain(&flow["client"]),
            plain(&flow["server"]),
            plain(&flow["state"]),
            functions.join(" "),
            plain(&flow["age_seconds"]),
            bytes(&flow["upstream_out_bytes"]),
            bytes(&flow["downstream_out_bytes"]),
        );
    }
    let _ = writeln!(text, "{} flows", list(&flows["flows"]).len());
    text
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn map(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn bytes(value: &Value) -> String {
    let mut whole = value.as_u64().unwrap_or(0);
    let mut tenths = 0;
    for unit in ["B", "kB", "MB", "GB"] {
        if whole < 1000 {
            return if unit == "B" {
                format!("{whole} B")
            } else {
                format!("{whole}.{tenths} {unit}")
            };
        }
        tenths = whole % 1000 / 100;
        whole /= 1000;
    }
    format!("{whole}.{tenths} TB")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bytes_are_short() {
        for (number, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1_550_000, "1.5 MB"),
        ] {
            assert_eq!(bytes(&json!(number)), text);
        }
        assert_eq!(bytes(&json!(2_000_000_000_000_u64)), "2.0 TB");
    }

    #[test]
    fn quiet_counters_are_left_out() {
        let text = status(&json!({ "counters": { "live_flows": 0, "finished_flows": 3 } }));
        assert!(text.contains("3  finished flows"));
        assert!(!text.contains("live flows"));
    }

    #[test]
    fn own_counters_stand_below_their_function() {
        let counter = |name: &str, label: &str, value: u64| json!({ "name": name, "label": label, "value": value });
        let mut counters = vec![
            counter("passed_flows", "", 4),
            counter("quiet_flows", "", 0),
            counter("x_us", "client=a", 3),
            counter("x_us", "client=b", 5),
        ];
        counters.extend((0..12).map(|n| counter("y_bytes", &format!("n={n:02}"), 1 + n % 2)));
        let text = status(&json!({ "functions": [{
            "id": "0x0001", "name": "f", "module": "m.so", "flows": 1, "in_bytes": 2,
            "out_bytes": 3, "broken_flows": 0, "counters": counters,
        }] }));
        let lines: Vec<&str> = text.lines().skip(1).collect();
        let expected = [
            "function  0x0001 f (m.so): 1 flows, 2 B in, 3 B out, 0 broken",
            "                     4  passed flows",
            "                     5  x us          client=b",
            "                     3  x us          client=a",
            "                     2  y bytes       n=01",
            "                     2  y bytes       n=03",
        ];
        assert_eq!(lines[..6], expected);
        assert_eq!(
            lines[12..],
            [
                "                     1  y bytes       n=04",
                "                     1  y bytes       n=06",
                "                        and 2 more of y bytes: --json",
            ]
        );
    }

    #[test]
    fn every_flow_has_a_line() {
        let flow = json!({
            "client": "[fd00:c::1]:4", "server": "[fd00:5::1]:80", "state": "piping",
            "functions": ["0x0001"], "age_seconds": 2,
            "upstream_out_bytes": 10, "downstream_out_bytes": 20,
        });
        let text = flows(&json!({ "flows": [flow] }));
        assert!(text.starts_with("[fd00:c::1]:4 → [fd00:5::1]:80  piping  functions [0x0001]"));
        assert!(text.ends_with("1 flows\n"));
    }
}
