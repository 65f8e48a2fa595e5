//! The plot of all runs: a panel for each ratio, a line for each machine. Its colours can be read on white
//! and on black.

use std::collections::BTreeSet;

use super::Line;

const WIDTH: f64 = 760.0;
const PANEL: f64 = 120.0;
/// The part of a panel that is the title's.
const TITLE: f64 = 26.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 20.0;
/// The most runs in the plot, the newest.
const MOST: usize = 200;
const TEXT: &str = "#808080";
const GRID: &str = "#80808055";
/// The colours of machines, in turn.
const COLOURS: [&str; 4] = ["#3b82f6", "#d97706", "#10a37f", "#c026d3"];

/// The plot as a document.
pub(super) fn svg(lines: &[Line]) -> String {
    let lines = &lines[lines.len().saturating_sub(MOST)..];
    let names: BTreeSet<&str> =
        lines.iter().flat_map(|line| line.ratios.keys().map(String::as_str)).collect();
    let machines: BTreeSet<&str> = lines.iter().map(|line| line.machine.as_str()).collect();
    let mut body = String::new();
    let mut top = 0.0;
    for name in &names {
        panel(&mut body, top, name, lines, &machines);
        top += PANEL;
    }
    for (machine, colour) in machines.iter().zip(COLOURS.iter().cycle()) {
        top += 20.0;
        text(&mut body, LEFT, top, colour, machine);
    }
    if lines.is_empty() {
        top += 20.0;
        text(&mut body, LEFT, top, TEXT, "no run yet");
    }
    let height = top + 12.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n{body}</svg>\n"
    )
}

/// One ratio over all runs, from 0 up.
fn panel(out: &mut String, top: f64, name: &str, lines: &[Line], machines: &BTreeSet<&str>) {
    let ratios = || lines.iter().filter_map(move |line| line.ratios.get(name).copied());
    let most = ratios().fold(0.0, f64::max).max(0.001);
    let newest = ratios().next_back().unwrap_or(f64::NAN);
    text(out, LEFT, top + TITLE - 10.0, TEXT, &format!("{name}: {newest:.2} × the limit"));
    let bottom = top + PANEL - 10.0;
    let y = |ratio: f64| bottom - (bottom - top - TITLE) * ratio / most;
    for value in [0.0, most] {
        let at = y(value);
        text(out, 8.0, at + 4.0, TEXT, &format!("{value:.2}"));
        let right = WIDTH - RIGHT;
        out.push_str(&format!("<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"{GRID}\"/>\n"));
    }
    for (machine, colour) in machines.iter().zip(COLOURS.iter().cycle()) {
        let mut points = String::new();
        let mut dots = String::new();
        for (index, line) in lines.iter().enumerate().filter(|(_, line)| line.machine == *machine) {
            let Some(ratio) = line.ratios.get(name) else { continue };
            let (x, y) = (x(index, lines.len()), y(*ratio));
            points.push_str(&format!("{x:.1},{y:.1} "));
            let said = escaped(&format!("{} {}: {ratio}", line.date, line.commit));
            let title = format!("<title>{said}</title>");
            dots.push_str(&format!(
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\">{title}</circle>\n"
            ));
        }
        let points = points.trim_end();
        out.push_str(&format!("<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\"/>\n"));
        out.push_str(&dots);
    }
}

/// Where the run is, from left to right.
#[expect(clippy::cast_precision_loss, reason = "a few hundred runs")]
fn x(index: usize, runs: usize) -> f64 {
    let step = (WIDTH - LEFT - RIGHT) / runs.saturating_sub(1).max(1) as f64;
    LEFT + step * index as f64
}

fn text(out: &mut String, x: f64, y: f64, colour: &str, said: &str) {
    let said = escaped(said);
    out.push_str(&format!("<text x=\"{x}\" y=\"{y:.1}\" fill=\"{colour}\">{said}</text>\n"));
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn line(machine: &str, ratios: &[(&str, f64)]) -> Line {
        Line {
            commit: "abc<".to_owned(),
            date: "2026-01-31".to_owned(),
            machine: machine.to_owned(),
            ratios: ratios
                .iter()
                .map(|(what, ratio)| ((*what).to_owned(), *ratio))
                .collect::<BTreeMap<_, _>>(),
        }
    }

    #[test]
    fn each_ratio_has_a_panel_and_each_machine_a_line() {
        let lines = [
            line("one", &[("paced", 1.5), ("saturated", 0.5)]),
            line("two", &[("paced", 1.6)]),
            line("one", &[("paced", 1.2), ("saturated", 0.25)]),
        ];
        let plot = svg(&lines);
        assert_eq!(plot.matches("<polyline").count(), 4);
        assert_eq!(plot.matches("<circle").count(), 5);
        assert!(plot.contains("paced: 1.20 × the limit"));
        assert!(plot.contains("abc&lt;: 1.6"));
        assert!(!plot.contains("NaN"));
    }

    #[test]
    fn without_runs_the_plot_says_so() {
        assert_eq!(svg(&[]), include_str!("empty.svg"));
    }

    #[test]
    fn the_newest_runs_are_plotted() {
        let lines: Vec<Line> = (0..MOST + 50).map(|_| line("one", &[("paced", 1.0)])).collect();
        assert_eq!(svg(&lines).matches("<circle").count(), MOST);
    }
}
