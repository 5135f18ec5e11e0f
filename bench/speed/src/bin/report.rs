//! report NAME PAGE NOTE < LINES
//!
//! Prints the figures that `load` or `growth` has written as a table for each database, and writes them into the
//! markdown file PAGE between the two marks of the benchmark NAME, below NOTE. Those of bench/run are also plotted: the
//! ratios of CPU time, into an SVG file next to the page.

use std::{
    env,
    fmt::Write,
    fs,
    io::{self, stdin},
    path::Path,
};

use clientele_speed::{Figures, Line};

const HEAD: &str = "| | requests/s | ratio | p50 ms | p99 ms | CPU µs, server | CPU µs, database | ratio | memory \
    MiB |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";

/// The number with as many digits as it is worth, and with commas between thousands.
fn number(number: f64) -> String {
    if number < 10.0 {
        return format!("{number:.1}");
    }
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The ceiling's CPU time as a part of clientele's: 1 is as fast as the ceiling.
fn cpu_ratio(line: &Line) -> Option<f64> {
    Some(line.ceiling.as_ref()?.cpu() / line.clientele.cpu())
}

fn row(line: &Line) -> String {
    let both = |of: fn(&Figures) -> f64| {
        let clientele = number(of(&line.clientele));
        match &line.ceiling {
            Some(ceiling) => format!("{clientele} / {}", number(of(ceiling))),
            None => clientele,
        }
    };
    let ratio = |ratio: Option<f64>| ratio.map_or("–".to_owned(), |ratio| format!("**{ratio:.2}**"));
    let rates = line.ceiling.as_ref().map(|ceiling| line.clientele.rate / ceiling.rate);
    let database = match line.database.as_str() {
        "SQLite" => "–".to_owned(),
        _ => both(|figures| figures.database),
    };
    let cells = [
        line.workload.clone(),
        both(|figures| figures.rate),
        ratio(rates),
        both(|figures| figures.p50),
        both(|figures| figures.p99),
        both(|figures| figures.server),
        database,
        ratio(cpu_ratio(line)),
        both(|figures| figures.peak),
    ];
    format!("| {} |\n", cells.join(" | "))
}

fn tables(lines: &[Line]) -> String {
    let mut text = String::new();
    for of_database in lines.chunk_by(|one, other| one.database == other.database) {
        let mut rows: Vec<&Line> = of_database.iter().collect();
        // Reads first, then changes, then the rest.
        rows.sort_by_key(|line| ("RWCLS".find(&line.workload[..1]), line.workload.clone()));
        let rows: String = rows.into_iter().map(row).collect();
        text += &format!("\n**{}**\n\n{HEAD}{rows}", of_database[0].database);
    }
    text
}

/// A row for each workload, with a column for each number of clients.
fn growth(lines: &[Line]) -> String {
    let mut text = String::new();
    for of_database in lines.chunk_by(|one, other| one.database == other.database) {
        let rows: Vec<&[Line]> = of_database
            .chunk_by(|one, other| one.workload == other.workload)
            .collect();
        let head: String = rows[0]
            .iter()
            .map(|line| format!(" {} clients |", number(line.clients.into())))
            .collect();
        let dashes = " --- |".repeat(rows[0].len());
        text += &format!(
            "\n**{}**\n\n| |{head} growth |\n| --- |{dashes} --- |\n",
            of_database[0].database
        );
        for row in rows {
            let cell = |line: &Line| {
                format!(
                    " {} µs, {} ms |",
                    number(line.clientele.cpu()),
                    number(line.clientele.p50)
                )
            };
            let cells: String = row.iter().map(cell).collect();
            let growth = row[row.len() - 1].clientele.cpu() / row[0].clientele.cpu();
            text += &format!("| {} |{cells} **{growth:.2}** |\n", row[0].workload);
        }
    }
    text
}

/// A bar for each line with a ceiling, as long as its ratio of CPU times.
fn plot(lines: &[Line]) -> Result<String, std::fmt::Error> {
    const LEFT: f64 = 130.0;
    const FULL: f64 = 420.0;
    const STEP: f64 = 22.0;
    let mut bars = String::new();
    let mut y = 46.0;
    for (at, of_database) in lines.chunk_by(|one, other| one.database == other.database).enumerate() {
        let color = ["#2a6f97", "#7f5539"][at % 2];
        let mut bars_of: Vec<(&Line, f64)> = of_database
            .iter()
            .filter_map(|line| Some((line, cpu_ratio(line)?)))
            .collect();
        bars_of.sort_by_key(|(line, _)| line.workload.clone());
        for (line, ratio) in bars_of {
            let (width, middle) = (FULL * ratio.min(1.2), y + 12.0);
            let name = format!("{} {}", line.database, line.workload);
            writeln!(
                bars,
                "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{name}</text>",
                LEFT - 8.0
            )?;
            writeln!(
                bars,
                "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"16\" fill=\"{color}\"/>"
            )?;
            let times = line.ceiling.as_ref().map_or(0.0, Figures::cpu);
            let label = format!(
                "{ratio:.2}: {} µs, ceiling {} µs",
                number(line.clientele.cpu()),
                number(times)
            );
            writeln!(
                bars,
                "<text x=\"{:.1}\" y=\"{middle}\">{label}</text>",
                LEFT + width + 6.0
            )?;
            y += STEP;
        }
        y += 10.0;
    }
    let (ceiling, bottom) = (LEFT + FULL, y - 8.0);
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"760\" height=\"{y}\" viewBox=\"0 0 760 {y}\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n\
         <rect width=\"760\" height=\"{y}\" fill=\"#fff\"/>\n\
         <text x=\"8\" y=\"18\" font-weight=\"bold\">CPU time of the ceiling / CPU time of clientele, for one request \
         (1 is the ceiling)</text>\n\
         <line x1=\"{ceiling}\" x2=\"{ceiling}\" y1=\"38\" y2=\"{bottom}\" stroke=\"#222\" stroke-dasharray=\"4 3\"/>\n\
         <text x=\"{ceiling}\" y=\"34\" text-anchor=\"middle\">1</text>\n{bars}</svg>\n"
    ))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [name, page, note] = arguments.as_slice() else {
        return Err("usage: report NAME PAGE NOTE < LINES".into());
    };
    let lines = io::read_to_string(stdin())?;
    let lines: Vec<Line> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let is_growth = name == "bench/growth";
    let tables = if is_growth { growth(&lines) } else { tables(&lines) };
    print!("{note}\n{tables}");
    let begin = format!("<!-- Written by {name}. -->\n");
    let end = format!("<!-- The end of what {name} writes. -->\n");
    let text = fs::read_to_string(page)?;
    let ends = text
        .split_once(&begin)
        .and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    let (before, after) = ends.ok_or_else(|| format!("{page} lacks the marks of the table"))?;
    fs::write(page, format!("{before}{begin}\n{note}\n{tables}\n{end}{after}"))?;
    if !is_growth {
        fs::write(Path::new(page).with_extension("svg"), plot(&lines)?)?;
    }
    Ok(())
}
