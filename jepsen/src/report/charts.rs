//! The charts: inline SVG, all over the same time axis, with the faults as bands behind them.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::page::escape;
use super::series::{Band, Point, Series, quantile};
use crate::history::Outcome;

const WIDTH: f64 = 1060.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = 8.0;
/// Points of one outcome that are drawn; the rest is thinned out evenly.
const POINTS_MAX: usize = 3000;
const LATENCY_MS: (f64, f64) = (0.1, 10_000.0);

/// The colours that readers of Jepsen's reports know.
fn band_colour(fault: &str) -> &'static str {
    match fault.split('-').next().unwrap_or_default() {
        "kill" => "#E9A4A0",
        "pause" => "#A0B1E9",
        "partition" => "#E9DCA0",
        "slow" | "drop" | "cut" | "reset" => "#D1E8A0",
        "powercut" => "#C9A0E9",
        "disk" => "#A0E3E9",
        "promote" => "#9FD9B6",
        _ => "#D0C4B8",
    }
}

fn outcome_colour(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "#2f7fd1",
        Outcome::Fail => "#d1892f",
        Outcome::Info => "#c2333a",
    }
}

struct Chart<'s> {
    series: &'s Series,
    height: f64,
    out: String,
}

impl<'s> Chart<'s> {
    fn new(series: &'s Series, height: f64, label: &str) -> Self {
        let mut out =
            format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=img aria-label=\"{}\">", escape(label));
        let x = |at: f64| x(series, at);
        for Band { name, from, to, detail } in &series.bands {
            // Writing to a string cannot fail; here and below.
            let _ = write!(
                out,
                "<rect x={:.1} y=0 width={:.1} height={:.1} fill=\"{}\" opacity=.45><title>{}: {}</title></rect>",
                x(*from),
                (x(*to) - x(*from)).max(1.5),
                height - 16.0,
                band_colour(name),
                escape(name),
                escape(detail)
            );
        }
        let step = axis_step(series.end - series.start);
        let mut at = (series.start / step).ceil() * step;
        while at <= series.end {
            let _ = write!(
                out,
                "<line class=axis x1={0:.1} x2={0:.1} y1=0 y2={1:.1} /><text x={0:.1} y={2:.1} text-anchor=middle>{at:.0} s</text>",
                x(at),
                height - 16.0,
                height - 3.0
            );
            at += step;
        }
        Self { series, height, out }
    }

    fn x(&self, at: f64) -> f64 {
        x(self.series, at)
    }

    fn floor(&self) -> f64 {
        self.height - 16.0
    }

    fn label(&mut self, y: f64, text: &str) {
        let _ = write!(self.out, "<text x={} y={y:.1} text-anchor=end>{}</text>", LEFT - 4.0, escape(text));
    }

    fn finish(mut self) -> String {
        self.out.push_str("</svg>");
        self.out
    }
}

fn x(series: &Series, at: f64) -> f64 {
    let (at, end) = (at - series.start, series.end - series.start);
    LEFT + (WIDTH - LEFT - RIGHT) * at.max(0.0) / end.max(0.001)
}

/// About ten marks, at round seconds.
fn axis_step(end: f64) -> f64 {
    let steps = [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0];
    steps.into_iter().find(|step| end / step <= 12.0).unwrap_or(1800.0)
}

pub fn legend(series: &Series) -> String {
    let mut seen = BTreeMap::new();
    for band in &series.bands {
        seen.insert(band.name.as_str(), band_colour(&band.name));
    }
    let outcomes = [("acknowledged", Outcome::Ok), ("failed", Outcome::Fail), ("unknown", Outcome::Info)];
    colours(outcomes.map(|(name, outcome)| (name, outcome_colour(outcome))).into_iter().chain(seen))
}

/// What each colour means.
fn colours<'n>(named: impl IntoIterator<Item = (&'n str, &'n str)>) -> String {
    let mut out = String::from("<p class=legend>");
    for (name, colour) in named {
        let _ = write!(out, "<span><i style=\"background:{colour}\"></i>{}</span>", escape(name));
    }
    out + "</p>"
}

/// Every operation: when it began and how long it took, on a logarithmic scale.
pub fn latency(series: &Series) -> String {
    let mut chart = Chart::new(series, 240.0, "latency of every operation");
    let scale = (LATENCY_MS.1 / LATENCY_MS.0).log10();
    let floor = chart.floor();
    let y = |ms: f64| {
        let share = (ms.clamp(LATENCY_MS.0, LATENCY_MS.1) / LATENCY_MS.0).log10() / scale;
        floor - share * (floor - 8.0)
    };
    for (ms, text) in [(1.0, "1 ms"), (10.0, "10 ms"), (100.0, "100 ms"), (1000.0, "1 s"), (10_000.0, "10 s")]
    {
        chart.label(y(ms) + 4.0, text);
    }
    for outcome in [Outcome::Ok, Outcome::Fail, Outcome::Info] {
        let points: Vec<&Point> = series.points.iter().filter(|point| point.outcome == outcome).collect();
        let step = points.len() / POINTS_MAX + 1;
        let mut path = String::new();
        for point in points.iter().step_by(step) {
            let _ = write!(path, "M{:.1} {:.1}h0", chart.x(point.at), y(point.latency_ms));
        }
        let _ = write!(
            chart.out,
            "<path d=\"{path}\" stroke=\"{}\" stroke-width=2.4 stroke-linecap=round fill=none opacity=.6 />",
            outcome_colour(outcome)
        );
    }
    chart.finish()
}

/// Quantiles of the acknowledged operations, each over one second.
pub fn quantiles(series: &Series) -> String {
    let mut chart = Chart::new(series, 160.0, "quantiles of the latency");
    let mut seconds: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for point in series.points.iter().filter(|point| point.outcome == Outcome::Ok) {
        seconds.entry(point.at as u64).or_default().push(point.latency_ms);
    }
    seconds.values_mut().for_each(|list| list.sort_by(f64::total_cmp));
    let scale = (LATENCY_MS.1 / LATENCY_MS.0).log10();
    let floor = chart.floor();
    let y = |ms: f64| {
        floor - (ms.clamp(LATENCY_MS.0, LATENCY_MS.1) / LATENCY_MS.0).log10() / scale * (floor - 8.0)
    };
    for (ms, text) in [(1.0, "1 ms"), (100.0, "100 ms"), (10_000.0, "10 s")] {
        chart.label(y(ms) + 4.0, text);
    }
    for (share, colour) in [(0.5, "#2f7fd1"), (0.95, "#7a4fd1"), (0.99, "#c2333a")] {
        let mut path = String::new();
        for (at, list) in &seconds {
            if let Some(value) = quantile(list, share) {
                let command = if path.is_empty() { 'M' } else { 'L' };
                let _ = write!(path, "{command}{:.1} {:.1}", chart.x(*at as f64 + 0.5), y(value));
            }
        }
        let _ = write!(chart.out, "<path d=\"{path}\" stroke=\"{colour}\" stroke-width=1.5 fill=none />");
    }
    chart.finish()
}

/// Operations each second, by outcome.
pub fn rate(series: &Series) -> String {
    let mut chart = Chart::new(series, 160.0, "operations each second");
    let mut counts: BTreeMap<(u8, u64), f64> = BTreeMap::new();
    let number = |outcome| match outcome {
        Outcome::Ok => 0,
        Outcome::Fail => 1,
        Outcome::Info => 2,
    };
    for point in &series.points {
        *counts.entry((number(point.outcome), point.at as u64)).or_default() += 1.0;
    }
    let most = counts.values().copied().fold(1.0, f64::max);
    let floor = chart.floor();
    chart.label(16.0, &format!("{most:.0}/s"));
    for outcome in [Outcome::Ok, Outcome::Fail, Outcome::Info] {
        let mut path = String::new();
        for second in (series.start as u64)..=(series.end as u64) {
            let count = counts.get(&(number(outcome), second)).copied().unwrap_or_default();
            let command = if path.is_empty() { 'M' } else { 'L' };
            let y = floor - count / most * (floor - 12.0);
            let _ = write!(path, "{command}{:.1} {y:.1}", chart.x(second as f64 + 0.5));
        }
        let colour = outcome_colour(outcome);
        let _ = write!(chart.out, "<path d=\"{path}\" stroke=\"{colour}\" stroke-width=1.5 fill=none />");
    }
    chart.finish()
}

const SERVED: &str = "#1f8a4c";
const PARTLY_SERVED: &str = "#8aa83c";
const NOT_SERVED: &str = "#c2333a";

/// For each queue and second: something was acknowledged, nothing but failures, or nothing at all.
pub fn availability(series: &Series) -> String {
    const LANE: f64 = 16.0;
    let height = series.availability.len() as f64 * LANE + 22.0;
    let mut chart = Chart::new(series, height, "availability of each queue");
    for (lane, (queue, seconds)) in series.availability.iter().enumerate() {
        let top = lane as f64 * LANE + 3.0;
        chart.label(top + 10.0, &format!("q{queue}"));
        for (second, (served, failed)) in seconds {
            let colour = match (served, failed) {
                (true, false) => SERVED,
                (true, true) => PARTLY_SERVED,
                _ => NOT_SERVED,
            };
            let (from, to) = (chart.x(*second as f64), chart.x(*second as f64 + 1.0));
            let _ = write!(
                chart.out,
                "<rect x={from:.1} y={top:.1} width={:.1} height=11 fill=\"{colour}\" />",
                (to - from - 0.4).max(0.6)
            );
        }
    }
    let meanings =
        [("all was taken", SERVED), ("some was taken", PARTLY_SERVED), ("nothing was", NOT_SERVED)];
    colours(meanings.into_iter().chain([("no colour: nobody heard an answer", "none")])) + &chart.finish()
}

/// Who led when, as the name server saw it.
pub fn leaders(series: &Series, nodes: i64) -> String {
    const LANE: f64 = 18.0;
    let height = nodes as f64 * LANE + 22.0;
    let mut chart = Chart::new(series, height, "who led when");
    for node in 0..nodes {
        chart.label(node as f64 * LANE + 14.0, &format!("n{node}"));
    }
    for reign in &series.reigns {
        let top = f64::from(reign.node.0) * LANE + 4.0;
        let (from, to) = (chart.x(reign.from), chart.x(reign.to));
        let _ = write!(
            chart.out,
            "<rect x={from:.1} y={top:.1} width={:.1} height=12 rx=3 fill=\"#2f7fd1\"><title>{} from {:.1} s to {:.1} s</title></rect>",
            (to - from).max(1.0),
            reign.node,
            reign.from,
            reign.to
        );
    }
    chart.finish()
}

/// Seconds up to which a column of the histogram counts.
const RECOVERY_STEPS: &[f64] = &[0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0];

/// How many are in each step of the histogram, and past its end.
pub fn histogram(sorted: &[f64]) -> Vec<usize> {
    let below = |limit: f64| sorted.partition_point(|seconds| *seconds <= limit);
    let ends: Vec<usize> = RECOVERY_STEPS.iter().map(|limit| below(*limit)).chain([sorted.len()]).collect();
    let begins = std::iter::once(0).chain(ends.iter().copied());
    begins.zip(&ends).map(|(begin, end)| end - begin).collect()
}

/// How long each queue took no message after each fault.
pub fn recoveries(recoveries: &BTreeMap<String, Vec<f64>>) -> String {
    let steps: String = RECOVERY_STEPS.iter().map(|limit| format!("<th class=n>≤ {limit} s")).collect();
    let mut out = format!(
        "<table><tr><th>fault<th class=n>times × queues<th class=n>median<th class=n>95 %<th class=n>99 %<th \
         class=n>longest{steps}<th class=n>more</tr>"
    );
    for (name, seconds) in recoveries {
        let shown =
            |share| quantile(seconds, share).map_or("–".to_owned(), |value| format!("{value:.2} s"));
        let counts: String = histogram(seconds).iter().map(|count| format!("<td class=n>{count}")).collect();
        let _ = write!(
            out,
            "<tr><td>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}{counts}</tr>",
            escape(name),
            seconds.len(),
            shown(0.5),
            shown(0.95),
            shown(0.99),
            shown(1.0)
        );
    }
    out + "</table>"
}
