//! Columns of text.

/// Rows under their headings. Numbers stand at the right of their columns.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(ToString::to_string).collect()] }
    }

    pub fn row(&mut self, cells: &[&dyn ToString]) {
        self.rows.push(cells.iter().map(|cell| cell.to_string()).collect());
    }

    /// The text, each line behind two blanks. Nothing when there are no rows.
    pub fn print(&self) -> String {
        if self.rows.len() < 2 {
            return String::new();
        }
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let cells = |column: usize| self.rows.iter().filter_map(move |row| row.get(column));
        let widths: Vec<usize> = (0..columns)
            .map(|column| cells(column).map(|cell| cell.chars().count()).max().unwrap_or(0))
            .collect();
        let is_number = |cell: &String| cell == "-" || cell.parse::<i64>().is_ok();
        let numeric: Vec<bool> = (0..columns).map(|column| cells(column).skip(1).all(is_number)).collect();
        let line = |row: &Vec<String>| {
            let mut line = String::from(" ");
            for ((cell, width), is_numeric) in row.iter().zip(&widths).zip(&numeric) {
                line += &if *is_numeric { format!(" {cell:>width$}") } else { format!(" {cell:<width$}") };
            }
            line.trim_end().to_owned() + "\n"
        };
        self.rows.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let mut table = Table::new(&["NAME", "N"]);
        assert_eq!(table.print(), "");
        table.row(&[&"a", &7]);
        table.row(&[&"longer", &1234]);
        assert_eq!(table.print(), "  NAME      N\n  a         7\n  longer 1234\n");
    }
}
