//! Prometheus' text format. Pure.

use std::fmt::Write as _;

/// A page of metrics. Every sample has the page's own labels.
#[derive(Debug)]
pub struct Page {
    text: String,
    common: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Gauge,
    Counter,
    Histogram,
}

impl Page {
    pub fn new(common: &[(&str, &str)]) -> Self {
        let mut labels = String::new();
        common.iter().for_each(|label| add_label(&mut labels, *label));
        Self { text: String::new(), common: labels }
    }

    /// Begins what goes under one name.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind_name = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
        };
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind_name}\n");
        Family { page: self, name }
    }

    /// One value under one name.
    pub fn gauge(&mut self, name: &'static str, help: &str, value: f64) {
        self.family(name, Kind::Gauge, help).add(&[], value);
    }

    pub fn finish(self) -> String {
        self.text
    }
}

#[derive(Debug)]
pub struct Family<'p> {
    page: &'p mut Page,
    name: &'static str,
}

impl Family<'_> {
    pub fn add(&mut self, labels: &[(&str, &str)], value: f64) {
        self.sample("", labels, value);
    }

    /// `steps` are bounds with how many were no larger than each and larger than the one before.
    pub fn histogram(
        &mut self,
        labels: &[(&str, &str)],
        steps: impl Iterator<Item = (f64, i64)>,
        count: i64,
        sum: i64,
    ) {
        let mut passed = 0;
        for (bound, here) in steps {
            passed += here;
            let bound = format!("{bound:?}");
            self.sample("_bucket", &[labels, &[("le", &bound)]].concat(), passed as f64);
        }
        self.sample("_bucket", &[labels, &[("le", "+Inf")]].concat(), count as f64);
        self.sample("_count", labels, count as f64);
        self.sample("_sum", labels, sum as f64);
    }

    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: f64) {
        let mut all = self.page.common.clone();
        labels.iter().for_each(|label| add_label(&mut all, *label));
        let _ = writeln!(self.page.text, "{}{suffix}{{{all}}} {value}", self.name);
    }
}

fn add_label(labels: &mut String, (name, value): (&str, &str)) {
    let comma = if labels.is_empty() { "" } else { "," };
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let _ = write!(labels, "{comma}{name}=\"{value}\"");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_follow_each_other() {
        let mut page = Page::new(&[("cluster", "c")]);
        page.gauge("up", "Whether it is.", 1.0);
        let mut sizes = page.family("size", Kind::Histogram, "How large.");
        sizes.histogram(&[("topic", "t")], [(1.0, 2), (1024.0, 3)].into_iter(), 6, 700);
        assert_eq!(
            page.finish(),
            "# HELP up Whether it is.\n# TYPE up gauge\nup{cluster=\"c\"} 1\n\
             # HELP size How large.\n# TYPE size histogram\n\
             size_bucket{cluster=\"c\",topic=\"t\",le=\"1.0\"} 2\n\
             size_bucket{cluster=\"c\",topic=\"t\",le=\"1024.0\"} 5\n\
             size_bucket{cluster=\"c\",topic=\"t\",le=\"+Inf\"} 6\n\
             size_count{cluster=\"c\",topic=\"t\"} 6\n\
             size_sum{cluster=\"c\",topic=\"t\"} 700\n"
        );
    }

    #[test]
    fn a_value_stays_inside_its_quotes() {
        let mut page = Page::new(&[]);
        page.family("a", Kind::Counter, "b").add(&[("l", "x\"} 1\n\\")], 2.5);
        assert_eq!(page.finish(), "# HELP a b\n# TYPE a counter\na{l=\"x\\\"} 1\\n\\\\\"} 2.5\n");
    }
}
