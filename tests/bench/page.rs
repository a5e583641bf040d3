//! All figures on one page, each beside what the thesis saw.

use std::fmt::Write;

use crate::figure::Figure;
use crate::machine::Machine;
use crate::plot::{escape, svg};

/// The page: no script, nothing fetched.
pub fn html(machine: &Machine, figures: &[Figure]) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>srv6pipes, measured</title>\n\
         <style>body {{ font-family: sans-serif; max-width: 960px; margin: 2em auto }} \
         .thesis {{ color: #555 }}</style>\n<h1>srv6pipes, measured</h1>\n<p>{}</p>\n\
         <p>Bars are medians of the rounds, lines go from the least to the most.</p>\n",
        escape(&machine.to_string())
    );
    for figure in figures {
        let _ = writeln!(page, "<h2>{}</h2>", escape(&figure.title));
        if let Some(thesis) = figure.thesis {
            let _ = writeln!(
                page,
                "<p class=\"thesis\">The thesis: {}</p>",
                escape(thesis)
            );
        }
        page.push_str(&svg(figure));
    }
    page + "</html>\n"
}
