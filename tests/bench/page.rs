//! All figures on one page, each beside what the thesis saw.

use std::fmt::Write;

use crate::figure::Figure;
use crate::machine::Machine;
use crate::plot::{WIDE, escape, svg};
use crate::thesis::Thesis;

/// Of a picture beside another one.
const NARROW: f64 = 360.0;

/// The page: no script, nothing fetched.
pub fn html(machine: &Machine, figures: &[Figure]) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>srv6pipes, measured</title>\n\
         <style>body {{ font-family: sans-serif; max-width: 960px; margin: 2em auto }} \
         .thesis {{ color: #555 }} .beside {{ display: flex; align-items: end; gap: 1em }} \
         .beside > :first-child {{ flex: 7 }} .beside > :last-child {{ flex: 3 }}</style>\n<h1>srv6pipes, measured</h1>\n<p>{}</p>\n\
         <p>Bars are medians of the rounds, lines go from the least to the most. \
         Where the text of the thesis has numbers, they stand to the right of ours, on a scale of their \
         own: its machines were others, and what its pictures show beyond its text is not here.</p>\n",
        escape(&machine.to_string())
    );
    for figure in figures {
        let _ = writeln!(page, "<h2>{}</h2>", escape(&figure.title));
        if let Some(thesis) = figure.thesis {
            let _ = writeln!(
                page,
                "<p class=\"thesis\">The thesis: {}</p>",
                escape(thesis.says)
            );
        }
        match figure.thesis.and_then(Thesis::figure) {
            None => page.push_str(&svg(figure, WIDE)),
            Some(thesis) => {
                let (ours, theirs) = (svg(figure, WIDE), svg(&thesis, NARROW));
                let _ = writeln!(page, "<div class=\"beside\">{ours}{theirs}</div>");
            }
        }
    }
    page + "</html>\n"
}
