//! What is wrong with the configuration, in the form a person can act on:
//! what happened, where, what was expected there, what to do, and the code to look up.

use std::fmt;
use std::ops::Range;

use super::properties;
use crate::errors::Problem;

/// Of a long line so many characters are shown, those around the pointer.
const LINE_CHARACTERS_MAX: usize = 120;
/// A longer mark would push what was expected off the screen.
const MARK_CHARACTERS_MAX: usize = 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Note,
    Warning,
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

#[derive(Debug)]
pub struct Diagnostic {
    pub severity: Severity,
    problem: &'static Problem,
    message: String,
    pointer: Option<Box<Pointer>>,
    help: Option<String>,
}

impl Diagnostic {
    pub fn new(severity: Severity, problem: &'static Problem, message: impl Into<String>) -> Self {
        Diagnostic { severity, problem, message: message.into(), pointer: None, help: None }
    }

    pub fn at(self, pointer: Pointer) -> Self {
        Diagnostic { pointer: Some(Box::new(pointer)), ..self }
    }

    pub fn help(self, help: impl Into<String>) -> Self {
        Diagnostic { help: Some(help.into()), ..self }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{}[{}]: {}", self.severity, self.problem.code, self.message)?;
        if let Some(pointer) = &self.pointer {
            write!(f, "{pointer}")?;
        }
        match &self.help {
            None => Ok(()),
            Some(help) => writeln!(f, " help: {help}   more: ferrymq explain {}", self.problem.code),
        }
    }
}

/// A place in a text, shown as its line with `^^^` below it.
#[derive(Clone, Debug)]
pub struct Pointer {
    /// The file or variable.
    place: String,
    /// None in a text of a single line.
    line: Option<usize>,
    source: String,
    columns: Range<usize>,
    label: String,
}

impl Pointer {
    /// Points at the bytes `span` of `text`, as far as they are on the first line of them.
    pub fn new(place: String, line: Option<usize>, text: &[u8], span: &Range<usize>, label: String) -> Self {
        let line_span = properties::natural_line(text, span.start);
        let part = |range: Range<usize>| shown(&String::from_utf8_lossy(text.get(range).unwrap_or_default()));
        let before = part(line_span.start..span.start);
        let marked = part(span.start..span.end.min(line_span.end));
        let after = part(span.end.clamp(span.start, line_span.end)..line_span.end);
        let start = before.chars().count();
        let columns = start..start + marked.trim_end().chars().count().clamp(1, MARK_CHARACTERS_MAX);
        Pointer { place, line, source: format!("{before}{marked}{after}"), columns, label }
    }

    pub fn labelled(self, label: String) -> Self {
        Pointer { label, ..self }
    }

    /// The same pointer with nothing shown behind the mark, where a secret may stand.
    pub fn without_rest(self) -> Self {
        let source = self.source.chars().take(self.columns.end).chain("…".chars()).collect();
        Pointer { source, ..self }
    }

    /// The part of the line to show, and where the mark is in it.
    fn window(&self) -> (String, Range<usize>) {
        let length = self.source.chars().count();
        if length <= LINE_CHARACTERS_MAX {
            return (self.source.clone(), self.columns.clone());
        }
        let skipped = self.columns.start.saturating_sub(LINE_CHARACTERS_MAX / 3);
        let shown = self.source.chars().skip(skipped).take(LINE_CHARACTERS_MAX);
        let mut text: String = if skipped > 0 { "…".to_string() } else { String::new() };
        let shift = text.chars().count();
        text.extend(shown);
        if skipped + LINE_CHARACTERS_MAX < length {
            text.push('…');
        }
        let end = self.columns.end.min(skipped + LINE_CHARACTERS_MAX);
        (text, self.columns.start - skipped + shift..end - skipped + shift)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (source, columns) = self.window();
        let number = self.line.map(|line| line.to_string()).unwrap_or_default();
        let width = number.len().max(1);
        let colon = if self.line.is_some() { ":" } else { "" };
        writeln!(f, "{:>arrow$} {}{colon}{number}", "-->", self.place, arrow = width + 5)?;
        writeln!(f, "  {number:>width$} | {}", source.trim_end())?;
        let (indent, marks) = (" ".repeat(columns.start), "^".repeat(columns.len()));
        writeln!(f, "  {:>width$} | {indent}{marks} {}", "", self.label)
    }
}

/// Text that comes from outside, made fit for a terminal: one column a character, no control sequences.
pub fn shown(text: &str) -> String {
    let replace = |character: char| match character {
        '\t' => ' ',
        character if character.is_control() => char::REPLACEMENT_CHARACTER,
        character => character,
    };
    text.chars().map(replace).collect()
}

/// A word from outside for the middle of a sentence: shown, and cut if it is no word.
pub fn quoted(text: &str) -> String {
    const WORD_CHARACTERS_MAX: usize = 60;
    let text = shown(text);
    match text.char_indices().nth(WORD_CHARACTERS_MAX) {
        None => format!("\"{text}\""),
        Some((end, _)) => format!("\"{}…\"", text.get(..end).unwrap_or_default()),
    }
}
