//! Writes audit lines: to the file as they arrive, to the catalog once a second. Slow disks and databases delay
//! no call; while they do not answer, lines are lost, and their number is written later.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mosaico_catalog::Catalog;
use mosaico_types::{SequenceName, TopicLocator, now_ns};
use mosaico_wire::event::{Event, EventKind};
use serde_json::json;
use tokio::select;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::file::AuditFile;
use super::line::Line;
use super::log::{Audit, WAITING};
use crate::occasionally::Occasionally;

/// Events of this period are one transaction.
const GATHER: Duration = Duration::from_secs(1);

struct Writer {
    audit: Arc<Audit>,
    catalog: Catalog,
    file: Option<AuditFile>,
    /// Events that are not in the catalog yet.
    events: Vec<Event>,
    failures: Occasionally,
}

pub(super) async fn run(
    audit: Arc<Audit>,
    mut waiting: mpsc::Receiver<Line>,
    catalog: Catalog,
    file: Option<AuditFile>,
) {
    let ending = audit.ending.clone();
    let mut writer = Writer { audit, catalog, file, events: Vec::new(), failures: Occasionally::default() };
    let mut ticks = tokio::time::interval(GATHER);
    loop {
        let mut lines = Vec::new();
        let ends = select! {
            _ = waiting.recv_many(&mut lines, WAITING) => false,
            _ = ticks.tick() => {
                writer.summarize(false);
                writer.add_events().await;
                false
            }
            () = ending.cancelled() => true,
        };
        if ends {
            writer.summarize(true);
            while let Ok(line) = waiting.try_recv() {
                lines.push(line);
            }
        }
        writer.take(lines).await;
        if ends {
            return writer.add_events().await;
        }
    }
}

impl Writer {
    /// Adds lines about failures that were only counted, and about lines that were lost.
    fn summarize(&self, all: bool) {
        let summaries = self.audit.repeats.lock().take(Instant::now(), all);
        summaries.into_iter().for_each(|line| self.audit.write(line));
        let lost = self.audit.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            self.audit.write(Line {
                at_ns: now_ns(),
                who: "mosaicod".into(),
                call: "audit".into(),
                subject: String::new(),
                from: "this process".into(),
                result: "DATA_LOSS",
                request: String::new(),
                times: Some(lost),
                is_event: true,
            });
        }
    }

    async fn take(&mut self, lines: Vec<Line>) {
        self.append(&lines).await;
        let room = WAITING.saturating_sub(self.events.len());
        let events: Vec<Event> = lines.into_iter().filter(|line| line.is_event).map(event).collect();
        let lost = events.len().saturating_sub(room);
        self.audit.lost.fetch_add(lost as u64, Ordering::Relaxed);
        self.events.extend(events.into_iter().take(room));
    }

    async fn append(&mut self, lines: &[Line]) {
        let Some(mut file) = self.file.take_if(|_| !lines.is_empty()) else { return };
        let mut text = Vec::new();
        for line in lines {
            // A line has strings and numbers only.
            if serde_json::to_writer(&mut text, line).is_ok() {
                text.push(b'\n');
            }
        }
        let written = spawn_blocking(move || {
            let written = file.append(&text);
            (file, written)
        });
        let Ok((file, written)) = written.await else { return };
        self.file = Some(file);
        if let Err(error) = written {
            self.audit.lost.fetch_add(lines.len() as u64, Ordering::Relaxed);
            if let Some(times) = self.failures.due() {
                tracing::error!(cause = %error, times, "the audit log cannot be written; its lines are lost");
            }
        }
    }

    async fn add_events(&mut self) {
        if self.events.is_empty() {
            return;
        }
        match self.catalog.add_events(&mut self.events).await {
            Ok(()) => self.events.clear(),
            Err(error) => {
                if let Some(times) = self.failures.due() {
                    let waiting = self.events.len();
                    tracing::error!(cause = %error.detail(), times, waiting, "audit events cannot be stored yet");
                }
            }
        }
    }
}

pub(super) fn event(line: Line) -> Event {
    let Line { at_ns, who, call, subject, from, result, request, times, .. } = line;
    let mut detail = json!({"who": who, "call": call, "subject": subject, "from": from, "result": result});
    if !request.is_empty() {
        detail["request"] = request.into();
    }
    if let Some(times) = times {
        detail["times"] = times.into();
    }
    let (sequence, topic) = match TopicLocator::parse(&subject) {
        Ok(locator) => (Some(locator.sequence.to_string()), Some(locator.topic.to_string())),
        Err(_) => (SequenceName::parse(&subject).ok().map(|name| name.to_string()), None),
    };
    Event { id: String::new(), kind: EventKind::Audit, sequence, topic, at_ns, detail }
}
