//! What people see of memory in numbers.

use super::{Counts, Usage};
use crate::outline::{Cell, Outline, Table};

impl Usage {
    /// What people see.
    pub fn outline(&self) -> Outline {
        let mut outline = Outline::new();
        let size = |pages: u64| Cell::Bytes(pages.saturating_mul(self.page_size_bytes));
        let some = |pages: u64| if pages > 0 { size(pages) } else { Cell::Faint("-".to_owned()) };
        let known = |pages: Option<u64>| pages.map_or_else(|| Cell::Faint("?".to_owned()), some);
        let row = |name: Vec<Cell>, mapped: u64, pages: &Counts, unique: Cell| {
            let mut cells = name;
            cells.extend([
                if mapped > 0 { Cell::Bytes(mapped) } else { Cell::Faint("-".to_owned()) },
                some(pages.present_pages),
                known(pages.zero_pages),
                unique,
                some(pages.parent_pages),
                some(pages.lazy_pages),
                some(pages.lost_pages),
            ]);
            cells
        };
        let columns = ["MAPPED", "PRESENT", "ZEROS", "UNIQUE", "PARENT", "LAZY", "LOST"];
        for process in &self.processes {
            let mut table = Table::new(&[&["KIND", "MAPS"][..], &columns].concat());
            for kind in &process.kinds {
                let name = vec![Cell::from(kind.kind), Cell::Count(kind.mappings)];
                let unique = Cell::from("");
                table.row(row(name, kind.mapped_bytes, &kind.pages, unique));
            }
            let count = process.kinds.iter().map(|kind| kind.mappings).sum();
            let name = vec![Cell::from("all"), Cell::Count(count)];
            table.row(row(name, process.mapped_bytes, &process.pages, known(process.unique_pages)));
            let mut below = Outline::new();
            below.table(table);
            let mut line = process.process.line();
            line.extend([size(process.private_pages), Cell::Faint("private,".to_owned())]);
            line.extend([size(process.shared_pages), Cell::Faint("shared".to_owned())]);
            outline.group(line, below);
        }
        if !self.objects.is_empty() {
            let mut table =
                Table::new(&["OBJECT", "PRESENT", "ZEROS", "UNIQUE", "PARENT", "LOST", "MAPPED BY"]);
            for object in &self.objects {
                let owners: Vec<String> = object.mapped_by.iter().map(u32::to_string).collect();
                table.row(vec![
                    Cell::Count(object.shmid),
                    some(object.pages.present_pages),
                    known(object.pages.zero_pages),
                    known(object.unique_pages),
                    some(object.pages.parent_pages),
                    some(object.pages.lost_pages),
                    Cell::or_dash((!owners.is_empty()).then(|| owners.join(" "))),
                ]);
            }
            let mut below = Outline::new();
            below.table(table);
            outline.group(vec![Cell::from("shared objects")], below);
        }
        self.total(&mut outline);
        outline
    }

    fn total(&self, outline: &mut Outline) {
        let size = |pages: u64| Cell::Bytes(pages.saturating_mul(self.page_size_bytes));
        let faint = |text: &str| Cell::Faint(text.to_owned());
        let total = &self.total;
        let mut below = Outline::new();
        below.field(
            "pages",
            Cell::Line(vec![
                Cell::Count(total.pages.present_pages),
                faint("of"),
                Cell::Bytes(self.page_size_bytes),
                faint("each,"),
                size(total.pages.present_pages),
            ]),
        );
        below.field("private", size(total.private_pages));
        below.field("shared", size(total.shared_pages));
        below.field_if("zeros", total.pages.zero_pages.map(size));
        below.field_if("unique", total.unique_pages.map(size));
        below.field_if("same as others", total.duplicate_bytes.map(Cell::Bytes));
        below.field("saved by sharing", Cell::Bytes(total.saved_by_sharing_bytes));
        let rest = [
            ("in earlier dumps", total.pages.parent_pages),
            ("left on the host", total.pages.lazy_pages),
            ("lost", total.pages.lost_pages),
        ];
        for (name, pages) in rest {
            below.field_if(name, (pages > 0).then(|| size(pages)));
        }
        outline.group(vec![Cell::from("total")], below);
    }
}
