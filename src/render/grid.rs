//! Tables in boxes, as PM2 draws them.

use super::style::Colors;
use comfy_table::{Cell, ContentArrangement, ContentLineStyle, LineStyle, Table, TableStyle};

/// PM2's lines: thin, none between rows.
const BOX: TableStyle = TableStyle::new()
    .top_border(LineStyle::new('┌', '─', '┬', '┐'))
    .header_lines(ContentLineStyle::new('│', '│', '│'))
    .header_separator(LineStyle::new('├', '─', '┼', '┤'))
    .content_lines(ContentLineStyle::new('│', '│', '│'))
    .bottom_border(LineStyle::new('└', '─', '┴', '┘'));

/// A table without a heading, as wide as its content.
pub(crate) fn grid(colors: Colors, rows: Vec<Vec<Cell>>) -> Table {
    let mut table = Table::new();
    table.load_style(BOX).set_content_arrangement(ContentArrangement::Disabled);
    // Whether there are colours was decided before; the crate shall not look at the terminal.
    match colors {
        Colors::On => table.enforce_styling(),
        Colors::Off => table.force_no_tty(),
    };
    table.add_rows(rows);
    table
}

/// `text` in at most `width` characters, with `…` where some are missing.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}
