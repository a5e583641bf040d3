//! `status` and `flows` for people, from the same JSON that programs get.

use std::fmt::Write;

use serde_json::{Map, Value};

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
