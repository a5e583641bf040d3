//! What was measured: series of samples over some axis, as in a figure of the thesis.

use serde_json::{Value, json};

use crate::thesis::Thesis;

/// How a figure is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// Groups of bars, with whiskers.
    #[default]
    Bars,
    /// A line for each series, over places that follow one another; too much for a table.
    Lines,
}

/// One figure.
#[derive(Debug, Default)]
pub struct Figure {
    /// Short, for file names and `--only`.
    pub name: String,
    /// For people.
    pub title: String,
    /// Which figure of the thesis it reproduces, and what that showed.
    pub thesis: Option<&'static Thesis>,
    /// How it is drawn.
    pub form: Form,
    /// Of the samples.
    pub unit: &'static str,
    /// What the axis means.
    pub axis: &'static str,
    /// Its places.
    pub places: Vec<String>,
    /// One for each contender; the first is what the others are compared with.
    pub series: Vec<Series>,
    /// Whether less is better.
    pub less_is_better: bool,
}

/// One contender's samples.
#[derive(Debug)]
pub struct Series {
    /// The contender.
    pub name: String,
    /// For each place of the axis, a value for each round, in the order of the rounds.
    pub rounds: Vec<Vec<f64>>,
}

/// Median, least and most.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

impl Spread {
    /// Of some values; `None` of none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let half = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[half]
        } else {
            f64::midpoint(sorted[half - 1], sorted[half])
        };
        Some(Self { median, min, max })
    }
}

impl Figure {
    /// A series' values at a place.
    pub fn spread(&self, series: usize, place: usize) -> Option<Spread> {
        Spread::of(self.series.get(series)?.rounds.get(place)?)
    }

    /// The ratio to the first series, taken in each round and then summed up.
    pub fn ratio(&self, series: usize, place: usize) -> Option<Spread> {
        let mine = self.series.get(series)?.rounds.get(place)?;
        let first = self.series.first()?.rounds.get(place)?;
        let ratios: Vec<f64> = mine.iter().zip(first).map(|(a, b)| a / b).collect();
        Spread::of(&ratios)
    }

    /// For results.json.
    pub fn json(&self) -> Value {
        let spread = |spread: Option<Spread>| {
            spread.map(|s| json!({ "median": s.median, "min": s.min, "max": s.max }))
        };
        let series: Vec<Value> = (0..self.series.len())
            .map(|s| {
                let places: Vec<Value> = (0..self.places.len())
                    .map(|p| {
                        json!({
                            "place": self.places[p],
                            "value": spread(self.spread(s, p)),
                            "ratio_to_first": spread(self.ratio(s, p)),
                            "rounds": self.series[s].rounds[p],
                        })
                    })
                    .collect();
                json!({ "name": self.series[s].name, "places": places })
            })
            .collect();
        json!({
            "name": self.name, "title": self.title, "thesis": self.thesis.map(Thesis::json), "unit": self.unit,
            "axis": self.axis, "less_is_better": self.less_is_better, "series": series,
        })
    }
}
