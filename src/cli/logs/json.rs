//! A line of the log as a JSON object.

use std::fmt::{self, Debug};

use ferrymq_proto::json::{Dialect, Writer};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, format};
use tracing_subscriber::registry::LookupSpan;

/// Names `time`, `level` and `target`, then the fields of the event; its sentence is `message`.
pub struct Json;

impl<S: Subscriber + for<'a> LookupSpan<'a>, N: for<'a> FormatFields<'a> + 'static> FormatEvent<S, N>
    for Json
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: format::Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut format::Writer::new(&mut time))?;
        let mut line = Writer::new(Dialect::Fastjson);
        line.object(|line| {
            line.key("time");
            line.string(&time);
            line.key("level");
            line.string(event.metadata().level().as_str());
            line.key("target");
            line.string(event.metadata().target());
            event.record(&mut Fields(line));
        });
        writeln!(out, "{}", line.finish())
    }
}

struct Fields<'a>(&'a mut Writer);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.key(field.name());
        self.0.string(value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.key(field.name());
        self.0.integer(value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.record_i64(field, value),
            Err(_) => self.record_debug(field, &value),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.key(field.name());
        self.0.double(value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.key(field.name());
        self.0.boolean(value);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt;
    use tracing_subscriber::layer::SubscriberExt;

    use super::Json;

    #[test]
    fn a_line_is_one_object() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let out = Arc::clone(&written);
        let lines = fmt::layer().event_format(Json).with_writer(move || Lines(Arc::clone(&out)));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            tracing::warn!(term = 3, is_late = true, path = "a\"b", "a sentence\nof two lines");
        });
        let line = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert!(
            line.starts_with("{\"time\":\"20") && line.ends_with("}\n") && line.lines().count() == 1,
            "{line}"
        );
        let fields = r#""message":"a sentence\nof two lines","term":3,"is_late":true,"path":"a\"b"}"#;
        assert!(line.contains("\"level\":\"WARN\"") && line.trim_end().ends_with(fields), "{line}");
    }

    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}
