//! What was measured, as a table for people and as JSON for programs.

use std::fmt;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::module::open::Named;

/// Everything about one function.
#[derive(Debug)]
pub struct Table {
    /// The module's file.
    pub file: PathBuf,
    /// The function.
    pub function: Named,
    /// Its version.
    pub version: String,
    /// How many rounds were counted.
    pub rounds: u32,
    /// One for each kind of stream and direction.
    pub rows: Vec<Row>,
}

/// One kind of stream in one direction.
#[derive(Debug, Default)]
pub struct Row {
    /// `text`, `random`, `sample`
    pub data: &'static str,
    /// `upstream`, `downstream`
    pub direction: &'static str,
    /// The function's calls.
    pub function: Spread,
    /// Those of a function that copies.
    pub copy: Spread,
    /// No function.
    pub memcpy: Spread,
    /// The function, waiting included.
    pub clock: Spread,
    /// Why nothing was measured.
    pub note: Option<String>,
}

/// Millions of bytes per second, of several rounds.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    /// Of at least one round.
    pub fn of(mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        let at = |n: usize| rounds.get(n).copied().unwrap_or_default();
        Self {
            median: at(rounds.len() / 2),
            least: at(0),
            most: at(rounds.len().saturating_sub(1)),
        }
    }

    fn to_json(self) -> Value {
        json!({"median": self.median, "min": self.least, "max": self.most})
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            median,
            least,
            most,
        } = self;
        f.pad(&format!("{median:.0} ({least:.0}–{most:.0})"))
    }
}

impl Row {
    fn of_memcpy(&self) -> f64 {
        self.function.median / self.memcpy.median
    }

    fn of_copy(&self) -> f64 {
        self.function.median / self.copy.median
    }

    /// Whether it spends more time waiting than working.
    fn waits(&self) -> bool {
        self.clock.median < self.function.median / 2.0
    }
}

impl Table {
    /// For programs.
    pub fn to_json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let head = json!({"data": row.data, "direction": row.direction, "note": row.note});
            let mut value = head;
            if row.note.is_none() {
                value["mb_per_s"] = row.function.to_json();
                value["copy_mb_per_s"] = row.copy.to_json();
                value["memcpy_mb_per_s"] = row.memcpy.to_json();
                value["clock_mb_per_s"] = row.clock.to_json();
                value["of_memcpy"] = row.of_memcpy().into();
                value["of_copy"] = row.of_copy().into();
            }
            value
        });
        json!({
            "file": self.file.display().to_string(),
            "function": self.function.name,
            "version": self.version,
            "argument": self.function.argument,
            "rounds": self.rounds,
            "rows": rows.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Named { name, argument, .. } = &self.function;
        writeln!(
            f,
            "{name} {}, argument {argument:#x}: 64 KiB windows, one core, median (least–most) of {} rounds",
            self.version, self.rounds
        )?;
        if let Some(row) = self.rows.iter().find(|row| row.note.is_none()) {
            let (copy, memcpy) = (row.copy.median, row.memcpy.median);
            writeln!(
                f,
                "a function that only copies: {copy:.0} MB/s; memcpy: {memcpy:.0} MB/s"
            )?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "  {:<8}{:<12}{:<24}{:>10}{:>10}",
            "data", "direction", "MB/s", "of memcpy", "of copy"
        )?;
        for row in &self.rows {
            write!(f, "  {:<8}{:<12}", row.data, row.direction)?;
            if let Some(note) = &row.note {
                writeln!(f, "{note}")?;
                continue;
            }
            let (function, of_memcpy, of_copy) = (row.function, row.of_memcpy(), row.of_copy());
            write!(f, "{function:<24}{of_memcpy:>10.3}{of_copy:>10.3}")?;
            if row.waits() {
                write!(f, "  waits: {:.0} by the clock", row.clock.median)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_not_moved_by_one_bad_round() {
        let spread = Spread::of(vec![7.0, 5.0, 900.0]);
        assert_eq!(
            (spread.median, spread.least, spread.most),
            (7.0, 5.0, 900.0)
        );
        assert_eq!(spread.to_string(), "7 (5–900)");
        assert_eq!(Spread::of(Vec::new()), Spread::default());
    }
}
