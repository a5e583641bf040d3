//! What the thesis says of its figures (chapter 3, section 3.5). The figures are pictures: numbers
//! are those of its sentences, and where it gives none there are none here.

use serde_json::{Value, json};

use crate::figure::{Figure, Series};

/// One figure of the thesis, or some that belong together.
#[derive(Debug)]
pub struct Thesis {
    /// In a sentence, its number first.
    pub says: &'static str,
    /// In numbers, if its text has some.
    pub numbers: Option<Numbers>,
}

/// A figure as far as the text gives it.
#[derive(Debug)]
pub struct Numbers {
    /// Of the values.
    pub unit: &'static str,
    /// As of [`Figure`].
    pub places: &'static [&'static str],
    /// A name, and a value for each place.
    pub series: &'static [(&'static str, &'static [f64])],
}

impl Thesis {
    /// Its numbers as a figure of ours, to be drawn.
    pub fn figure(&self) -> Option<Figure> {
        let numbers = self.numbers.as_ref()?;
        let series = numbers.series.iter().map(|(name, values)| Series {
            name: (*name).to_owned(),
            rounds: values.iter().map(|value| vec![*value]).collect(),
        });
        Some(Figure {
            title: "the thesis".to_owned(),
            unit: numbers.unit,
            places: numbers.places.iter().map(|p| (*p).to_owned()).collect(),
            series: series.collect(),
            ..Figure::default()
        })
    }

    /// For results.json.
    pub fn json(&self) -> Value {
        let numbers = self.numbers.as_ref().map(|numbers| {
            let series = numbers.series.iter();
            let series = series.map(|(name, values)| json!({ "name": name, "values": values }));
            json!({
                "unit": numbers.unit, "places": numbers.places,
                "series": series.collect::<Vec<_>>(),
            })
        });
        json!({ "says": self.says, "numbers": numbers })
    }
}

/// 200 connections, 10 Gb/s links with an MTU of 9000.
pub const THROUGHPUT: Thesis = Thesis {
    says: "figure 3.6: no significant difference; 253 Mb/s through the proxy and 272 through the \
           router at 1 KB, 9 841 and 9 838 at 10 MB (10 Gb/s links)",
    numbers: Some(Numbers {
        unit: "Mbit/s",
        places: &["1 KB", "10 MB"],
        series: &[("router", &[272.0, 9838.0]), ("proxy", &[253.0, 9841.0])],
    }),
};

/// The same runs.
pub const REQUESTS: Thesis = Thesis {
    says: "figure 3.7: 26 634 requests/s through the proxy and 28 613 through the router at 1 KB \
           (0.93), about 11 945 through both at 100 KB",
    numbers: Some(Numbers {
        unit: "requests/s",
        places: &["1 KB", "100 KB"],
        series: &[
            ("router", &[28_613.0, 11_945.0]),
            ("proxy", &[26_634.0, 11_945.0]),
        ],
    }),
};

/// The same, run by run.
pub const STABILITY: Thesis = Thesis {
    says: "figure 3.8: as stable as the router, but for one run of 1 KB that was about 3 % faster than \
           the mean; figure 3.18: no significant difference on the Turris Omnia. The text gives no \
           run's value",
    numbers: None,
};

/// 1 % and 25 ms on each of the four links.
pub const LOSSY: Thesis = Thesis {
    says: "figure 3.9: the proxy is faster than the router, much so with large files. The text gives \
           no values",
    numbers: None,
};

/// 2 % and 50 ms on both links of the server's side.
pub const LOSSY_BEHIND: Thesis = Thesis {
    says: "figure 3.10: proxy and router suffer alike. The text gives no values",
    numbers: None,
};

/// 2 × n passes with an XOR each.
pub const PASSES: Thesis = Thesis {
    says: "figure 3.11: with 2 passes as fast as without a function, with 4 half of it above 100 KB, \
           less from there on. The text gives no values beyond these",
    numbers: Some(Numbers {
        unit: "of the throughput without",
        places: &["2 passes", "4 passes"],
        series: &[("proxy", &[1.0, 0.5])],
    }),
};

/// Two proxies with XOR, 1 Gb/s links.
pub const CHAIN: Thesis = Thesis {
    says: "figure 3.14: as fast as two routers (1 Gb/s links). The text gives no values",
    numbers: None,
};

/// A dual-core ARM at 1.6 GHz, 1 Gb/s links.
pub const OMNIA: Thesis = Thesis {
    says: "figure 3.16, Turris Omnia: 988 Mb/s through both at 10 MB, no significant difference from \
           100 KB on; 194 through the proxy and 237 through the router (0.82) with small files (1 KB \
           and 10 KB)",
    numbers: Some(Numbers {
        unit: "Mbit/s",
        places: &["1 KB, 10 KB", "10 MB"],
        series: &[("router", &[237.0, 988.0]), ("proxy", &[194.0, 988.0])],
    }),
};

/// The same, with one thread that accepts and with four.
pub const THREADS: Thesis = Thesis {
    says: "figures 3.16 to 3.19: two threads per core are best; one thread costs much at 1 KB, and its \
           results vary more. The text gives no values for one thread",
    numbers: None,
};
