//! The figures as a table in Markdown.

use std::fmt::Write;

use crate::figure::{Figure, Form};
use crate::machine::Machine;

/// All figures, one table each, medians with the ratio to the first series and its spread.
pub fn markdown(machine: &Machine, figures: &[Figure]) -> String {
    let mut text = format!("Measured {machine}.\n");
    for figure in figures.iter().filter(|figure| figure.form == Form::Bars) {
        let _ = write!(text, "\n**{}** ({}", figure.title, figure.unit);
        if figure.less_is_better {
            text.push_str("; less is better");
        }
        text.push_str(")\n\n");
        let _ = writeln!(text, "| {} | {} |", figure.axis, figure.places.join(" | "));
        let _ = writeln!(text, "|---|{}", "---|".repeat(figure.places.len()));
        for (s, series) in figure.series.iter().enumerate() {
            let cells: Vec<String> = (0..figure.places.len())
                .map(|p| cell(figure, s, p))
                .collect();
            let _ = writeln!(text, "| {} | {} |", series.name, cells.join(" | "));
        }
    }
    text
}

fn cell(figure: &Figure, s: usize, p: usize) -> String {
    let Some(value) = figure.spread(s, p) else {
        return "–".to_owned();
    };
    let number = digits(value.median);
    if s == 0 {
        return format!("{number} ({}–{})", digits(value.min), digits(value.max));
    }
    match figure.ratio(s, p) {
        Some(r) => format!("{number}, **{:.2}** ({:.2}–{:.2})", r.median, r.min, r.max),
        None => number,
    }
}

/// Three digits that count.
pub fn digits(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
