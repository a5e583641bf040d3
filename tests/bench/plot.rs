//! A figure as a picture: groups of bars in SVG, with whiskers from the least to the most.

use std::fmt::Write;

use crate::figure::{Figure, Form};
use crate::table::digits;

/// Of a figure that stands alone.
pub const WIDE: f64 = 900.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 50.0;
const TOP: f64 = 30.0;
/// Told apart also by people who see fewer colours (Okabe and Ito).
const COLOURS: [&str; 8] = [
    "#000000", "#999999", "#0072b2", "#56b4e9", "#d55e00", "#e69f00", "#009e73", "#cc79a7",
];

/// The figure's picture.
pub fn svg(figure: &Figure, width: f64) -> String {
    let spreads = |s: usize, p: usize| figure.spread(s, p);
    let most = (0..figure.series.len())
        .flat_map(|s| (0..figure.places.len()).filter_map(move |p| spreads(s, p)))
        .map(|spread| spread.max)
        .fold(0.0, f64::max)
        .max(f64::MIN_POSITIVE);
    let top = nice(most);
    let plot_height = HEIGHT - TOP - BOTTOM;
    let y = |value: f64| TOP + plot_height * (1.0 - value / top);
    let legend = 18.0 * figure.series.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {}\" role=\"img\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<title>{}</title>\n",
        HEIGHT + legend,
        escape(&figure.title)
    );
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{width}\" y1=\"{0:.1}\" y2=\"{0:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{1}\" y=\"{2:.1}\" text-anchor=\"end\">{3}</text>",
            y(value),
            LEFT - 6.0,
            y(value) + 4.0,
            digits(value)
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"4\" y=\"16\" fill=\"#555\">{}</text>",
        escape(figure.unit)
    );
    let group = (width - LEFT) / figure.places.len() as f64;
    let bar = group * 0.8 / figure.series.len() as f64;
    for (p, place) in figure.places.iter().enumerate() {
        let left = LEFT + group * (p as f64 + 0.1);
        let bars = match figure.form {
            Form::Bars => figure.series.len(),
            Form::Lines => 0,
        };
        for s in 0..bars {
            let Some(spread) = figure.spread(s, p) else {
                continue;
            };
            let x = left + bar * s as f64;
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{0:.1}\" width=\"{1:.1}\" height=\"{2:.1}\" fill=\"{3}\"/>\
                 <line x1=\"{4:.1}\" x2=\"{4:.1}\" y1=\"{5:.1}\" y2=\"{6:.1}\" stroke=\"#444\"/>",
                y(spread.median),
                bar * 0.9,
                (HEIGHT - BOTTOM - y(spread.median)).max(0.0),
                COLOURS[s % COLOURS.len()],
                x + bar * 0.45,
                y(spread.min),
                y(spread.max),
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            left + group * 0.4,
            HEIGHT - BOTTOM + 18.0,
            escape(place)
        );
    }
    if figure.form == Form::Lines {
        for s in 0..figure.series.len() {
            let point = |p: usize| {
                let x = LEFT + group * (p as f64 + 0.5);
                Some(format!("{x:.1},{:.1}", y(figure.spread(s, p)?.median)))
            };
            let points: Vec<String> = (0..figure.places.len()).filter_map(point).collect();
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke-width=\"2\" stroke=\"{}\"/>",
                points.join(" "),
                COLOURS[s % COLOURS.len()]
            );
        }
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#555\">{}</text>",
        f64::midpoint(LEFT, width),
        HEIGHT - BOTTOM + 36.0,
        escape(figure.axis)
    );
    for (s, series) in figure.series.iter().enumerate() {
        let line = HEIGHT + 18.0 * s as f64;
        let _ = writeln!(
            svg,
            "<rect x=\"{LEFT}\" y=\"{:.1}\" width=\"12\" height=\"12\" fill=\"{}\"/>\
             <text x=\"{}\" y=\"{:.1}\">{}</text>",
            line - 10.0,
            COLOURS[s % COLOURS.len()],
            LEFT + 18.0,
            line,
            escape(&series.name)
        );
    }
    svg + "</svg>\n"
}

/// The next of 1, 2, 2.5, 5, 10 … that is not less.
fn nice(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    let found = steps.iter().find(|step| power * **step >= value);
    power * found.unwrap_or(&10.0)
}

/// For text in SVG and HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
