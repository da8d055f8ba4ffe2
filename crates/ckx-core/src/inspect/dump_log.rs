//! `dump-log`: what CRIU wrote while it dumped.

use schemars::JsonSchema;
use serde::Serialize;

use crate::inspect::Collect;
use crate::model::{self, LogLine};
use crate::outline::{Cell, Outline, Table};
use crate::{Checkpoint, Issue};

/// What CRIU wrote while it dumped.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DumpLog {
    /// The log; absent when the checkpoint has none. Podman does not keep it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<model::DumpLog>,
    /// What is missing or broken.
    pub issues: Vec<Issue>,
}

impl Collect for DumpLog {
    fn collect(checkpoint: &Checkpoint) -> Self {
        let log = checkpoint.dump_log();
        Self { log: log.member.is_some().then(|| log.clone()), issues: log.issues.clone() }
    }

    fn outline(&self) -> Outline {
        let mut outline = Outline::new();
        let Some(log) = &self.log else { return outline };
        if log.lines == 0 {
            return outline;
        }
        if let Some(version) = &log.version {
            let mut line = vec![Cell::from(version)];
            line.extend(log.git_id.as_ref().map(|id| Cell::Faint(format!("gitid {id}"))));
            outline.field("CRIU", Cell::Line(line));
        }
        if let Some(kernel) = &log.kernel {
            let mut line = vec![Cell::Text(format!("Linux {kernel}"))];
            line.extend(log.kernel_build.as_ref().map(|build| Cell::Faint(build.clone())));
            outline.field("kernel", Cell::Line(line));
        }
        outline.field_if("machine", log.machine.as_ref());
        outline.field_if("host", log.host.as_ref());
        outline.field_if("run id", log.run_id.as_ref());
        outline.field_if("settings", log.settings.as_ref());
        outline.field("took", Cell::or_dash(log.took_us.map(Cell::Micros)));
        outline.field(
            "ends",
            match log.is_finished {
                true => Cell::from("dumping finished successfully"),
                false => Cell::Marked("without saying that the dump was finished".to_owned()),
            },
        );
        for (title, lines) in [("errors", &log.errors), ("warnings", &log.warnings)] {
            if !lines.is_empty() {
                outline.group(vec![Cell::from(title)], listed(lines));
            }
        }
        if log.more > 0 {
            outline.line(Cell::Faint(format!("and {} more warnings and errors", log.more)));
        }
        let mut table = Table::new(&["TOOK", "LINE", "AFTER"]);
        for gap in &log.slowest {
            table.row(vec![Cell::Micros(gap.took_us), Cell::Count(gap.after.line), (&gap.after.text).into()]);
        }
        if !table.rows.is_empty() {
            let mut inner = Outline::new();
            inner.table(table);
            outline.group(vec![Cell::from("longest waits")], inner);
        }
        outline
    }

    fn issues(&self) -> &[Issue] {
        &self.issues
    }
}

fn listed(lines: &[LogLine]) -> Outline {
    let mut outline = Outline::new();
    for line in lines {
        let mut cells = vec![Cell::Faint(format!("line {}", line.line))];
        cells.extend(line.place.as_ref().map(|place| Cell::Faint(place.to_string())));
        cells.push(Cell::from(&line.text));
        outline.line(Cell::Line(cells));
    }
    outline
}
