//! For whoever watches this node: a port, and the log.

use std::net::IpAddr;

use super::rows::{Row, fixed, live};
use crate::config::field::Field;
use crate::config::log_filter;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    pub is_exported: bool,
    /// Where; None means where clients are listened to.
    pub address: Option<IpAddr>,
    pub port: u16,
    /// On every sample.
    pub labels: Vec<(String, String)>,
    /// What is logged, if not what the environment says.
    pub log_filter: String,
}

pub(super) static KEYS: &[Row] = &[
    fixed(
        "metricsExporterType",
        "DISABLE",
        Field::Parsed("DISABLE or PROM (Apache's OTLP_GRPC and LOG are not offered)", |config, text| {
            config.metrics.is_exported = match text {
                "DISABLE" => false,
                "PROM" => true,
                _ => return None,
            };
            Some(text.to_owned())
        }),
        "PROM opens the HTTP port with /metrics, /livez, /readyz and /api/v1/status.",
    ),
    fixed(
        "metricsPromExporterPort",
        "5557",
        Field::Port(|config| &mut config.metrics.port),
        "That port. 0 takes a free one, which the log names.",
    ),
    fixed(
        "metricsPromExporterHost",
        "",
        Field::Parsed("an IP address of this machine, or nothing", |config, text| {
            config.metrics.address = if text.is_empty() { None } else { Some(text.parse().ok()?) };
            Some(text.to_owned())
        }),
        "The address it listens on. Nothing means that of bindAddress; Apache's means brokerIP1 by it.",
    ),
    fixed(
        "metricsLabel",
        "",
        Field::Parsed("name:value, more of them behind commas", |config, text| {
            let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
            let labels: Option<_> = pairs.map(label).collect();
            config.metrics.labels = labels?;
            Some(text.to_owned())
        }),
        "Labels for every metric: `instance_id:a,uid:b`.",
    ),
    live(
        "logFilter",
        "",
        Field::Parsed(log_filter::EXPECTED, |config, text| {
            config.metrics.log_filter = log_filter::parse(text)?;
            Some(text.to_owned())
        }),
        log_filter::ABOUT,
    ),
];

fn label(pair: &str) -> Option<(String, String)> {
    let (name, value) = pair.split_once(':')?;
    let name = name.trim();
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_');
    is_name.then(|| (name.to_owned(), value.trim().to_owned()))
}
