//! Tables for people, and the same as JSON for programs.

use clap::ValueEnum;
use ferrymq_proto::json::{Dialect, Writer};

use crate::config::shown;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Json,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Text(String),
    Integer(i64),
    Real(f64),
    Truth(bool),
    /// Nobody could say. Never shown as 0.
    Unknown,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<i32> for Cell {
    fn from(number: i32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<bool> for Cell {
    fn from(truth: bool) -> Self {
        Self::Truth(truth)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Unknown, Into::into)
    }
}

impl Cell {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => shown(text),
            Self::Integer(number) => number.to_string(),
            Self::Real(number) => format!("{number:.1}"),
            Self::Truth(truth) => if *truth { "yes" } else { "no" }.to_owned(),
            Self::Unknown => "-".to_owned(),
        }
    }

    fn is_number(&self) -> bool {
        matches!(self, Self::Integer(_) | Self::Real(_))
    }

    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Text(text) => writer.string(text),
            Self::Integer(number) => writer.integer(*number),
            Self::Real(number) => writer.double(*number),
            Self::Truth(truth) => writer.boolean(*truth),
            Self::Unknown => writer.null(),
        }
    }
}

/// Columns are named as in JSON: `lastUpdate` is shown as `LAST UPDATE`.
#[derive(Debug)]
pub struct Table {
    columns: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub fn new(columns: &[&'static str]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn written(&self, schema: &str, format: Format) -> String {
        match format {
            Format::Table => self.text(),
            Format::Json => self.json(schema),
        }
    }

    fn text(&self) -> String {
        let titles: Vec<String> = self.columns.iter().map(|column| title(column)).collect();
        let rows: Vec<Vec<String>> =
            self.rows.iter().map(|row| row.iter().map(Cell::text).collect()).collect();
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.chain(titles.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..titles.len()).map(width).collect();
        let is_number =
            |column: usize| self.rows.iter().any(|row| row.get(column).is_some_and(Cell::is_number));
        let right: Vec<bool> = (0..titles.len()).map(is_number).collect();
        let mut text = String::new();
        for line in std::iter::once(&titles).chain(&rows) {
            let cells = line.iter().zip(&widths).zip(&right).map(|((cell, &width), &right)| {
                if right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            });
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }

    fn json(&self, schema: &str) -> String {
        let mut writer = Writer::new(Dialect::Fastjson);
        writer.object(|writer| {
            writer.key("schema");
            writer.string(schema);
            writer.key("rows");
            writer.array(|writer| {
                for row in &self.rows {
                    writer.element();
                    writer.object(|writer| {
                        for (column, cell) in self.columns.iter().zip(row) {
                            writer.key(column);
                            cell.write(writer);
                        }
                    });
                }
            });
        });
        let mut text = writer.finish();
        text.push('\n');
        text
    }
}

/// `lastUpdate` as `LAST UPDATE`.
fn title(column: &str) -> String {
    let mut title = String::new();
    for character in column.chars() {
        if character.is_uppercase() {
            title.push(' ');
        }
        title.extend(character.to_uppercase());
    }
    title
}

#[cfg(test)]
mod tests {
    use super::{Cell, Format, Table};

    #[test]
    fn a_table_is_aligned_and_its_json_names_the_schema() {
        let mut table = Table::new(&["name", "maxOffset"]);
        table.row(["a".into(), 5_i64.into()]);
        table.row(["long\tname".into(), Cell::Unknown]);
        assert_eq!(
            table.written("x/1", Format::Table),
            "NAME       MAX OFFSET\na                   5\nlong name           -\n"
        );
        assert_eq!(
            table.written("x/1", Format::Json),
            "{\"schema\":\"x/1\",\"rows\":[{\"name\":\"a\",\"maxOffset\":5},{\"name\":\"long\\tname\",\"maxOffset\":null}]}\n"
        );
    }
}
