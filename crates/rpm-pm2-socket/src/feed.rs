//! What the bus carries: rpm's events as PM2 tells them, and the lines of log files, which are read
//! as `rpm logs` reads them. It runs only while somebody is subscribed.

use crate::{
    bus::{Bus, now},
    rpm::{Rpm, short, targets},
};
use rpm_logs::follow::{Follower, Line, Source, Start};
use rpm_protocol::{Client, EventView, Events, LogSource, Request};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The longest piece of a line in one message, in bytes: what PM2 reads from a pipe at once.
const MAX_PIECE: usize = 64 << 10;
/// Files followed at once; beyond, those of apps that are gone are given up.
const MAX_FILES: usize = 4096;

/// Why a feed ended.
type Ended = Result<(), String>;

/// Feeds the bus until nobody is subscribed, again and again.
pub(crate) async fn run(rpm: &Rpm, bus: &Bus) {
    loop {
        bus.wait_for(true).await;
        let ended = tokio::select! {
            ended = feed(rpm, bus) => ended,
            () = bus.wait_for(false) => Ok(()),
        };
        bus.set_ready(false);
        if let Err(error) = ended {
            tracing::warn!("PM2's bus has a gap: {error}");
            // Told by an event when it goes on: the next client connects.
            bus.wait_for(false).await;
        }
    }
}

async fn feed(rpm: &Rpm, bus: &Bus) -> Ended {
    loop {
        let client = Client::connect(&rpm.socket).await.map_err(|error| error.to_string())?;
        let events = client.events(None, targets(Vec::new())).await;
        let mut feed = Feed::new(rpm, bus, events.map_err(|error| error.to_string())?).await?;
        bus.set_ready(true);
        while feed.files.len() <= MAX_FILES {
            feed.turn().await?;
        }
    }
}

/// A log file and whose it is.
struct LogFile {
    path: PathBuf,
    instance: u32,
    event: &'static str,
}

/// What an instance is in the midst of.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    /// It was not there before.
    New,
    /// It ended because it was asked to.
    Ended,
    /// It is being reloaded.
    Reloading,
}

struct Feed<'a> {
    rpm: &'a Rpm,
    bus: &'a Bus,
    events: Events,
    follower: Follower,
    /// In the order of the follower's sources.
    files: Vec<LogFile>,
    /// Instances with their last known state, for those that are gone too.
    processes: BTreeMap<u32, Map<String, Value>>,
    phases: BTreeMap<u32, Phase>,
    began: SystemTime,
}

/// What came.
enum News {
    Line(Line),
    Event(EventView),
}

impl<'a> Feed<'a> {
    async fn new(rpm: &'a Rpm, bus: &'a Bus, events: Events) -> Result<Self, String> {
        let mut feed = Self {
            rpm,
            bus,
            events,
            follower: Follower::new(Vec::new()).map_err(|error| error.to_string())?,
            files: Vec::new(),
            processes: BTreeMap::new(),
            phases: BTreeMap::new(),
            began: SystemTime::now(),
        };
        for detail in rpm.details(Vec::new()).await? {
            feed.processes.insert(detail.view.id, short(&detail));
        }
        feed.look_for_files().await?;
        Ok(feed)
    }

    async fn turn(&mut self) -> Ended {
        let news = tokio::select! {
            line = self.follower.next() => News::Line(line.map_err(|error| error.to_string())?),
            event = self.events.next() => match event.map_err(|error| error.to_string())? {
                Some(event) => News::Event(event),
                None => return Err("the daemon hung up".into()),
            },
        };
        match news {
            News::Line(line) => self.on_line(&line),
            News::Event(event) => self.on_event(&event).await?,
        }
        Ok(())
    }

    /// Each line as PM2 gives a chunk, its newline with it.
    fn on_line(&self, line: &Line) {
        let Some(file) = self.files.get(line.source) else { return };
        let mut text = line.text.clone();
        if line.ends {
            text.push(b'\n');
        }
        for piece in text.chunks(MAX_PIECE) {
            let data = String::from_utf8_lossy(piece);
            let process = self.brief(file.instance);
            self.bus.say(file.event, &json!({ "process": process, "at": now(), "data": data }));
        }
    }

    async fn on_event(&mut self, event: &EventView) -> Ended {
        if let Some(message) = event.event.get("message") {
            self.on_message(event, message);
            return Ok(());
        }
        let word = match &event.event {
            Value::String(word) => word.as_str(),
            other => other.as_object().and_then(|object| object.keys().next()).map_or("", |k| k),
        };
        self.learn(event.instance).await?;
        let asked = event.event.pointer("/exited/asked").and_then(Value::as_bool);
        self.tell(event, word, asked == Some(true));
        Ok(())
    }

    /// Tells what PM2 would tell. A restart by hand is an exit that was asked for, and a start.
    fn tell(&mut self, event: &EventView, word: &str, asked: bool) {
        let (id, at) = (event.instance, event.at);
        let phase = self.phases.get(&id).copied();
        let empty = Map::new();
        let process = self.processes.get(&id).unwrap_or(&empty);
        let say = |what: &str, manually: bool| {
            self.bus.process_event(what, manually, process, at);
        };
        match word {
            "online" => {
                say("online", false);
                match phase {
                    Some(Phase::New) => say("start", true),
                    Some(Phase::Ended) => say("restart", true),
                    Some(Phase::Reloading) | None => return,
                }
                self.phases.remove(&id);
            }
            "exited" => {
                say("exit", false);
                if asked && phase != Some(Phase::Reloading) {
                    self.phases.insert(id, Phase::Ended);
                }
            }
            "errored" => say("restart overlimit", false),
            "reloading" => drop(self.phases.insert(id, Phase::Reloading)),
            "reloaded" => {
                say("reload", true);
                self.phases.remove(&id);
            }
            "reload_failed" => drop(self.phases.remove(&id)),
            "stopped" => {
                say("stop", true);
                self.phases.remove(&id);
            }
            "deleted" => {
                say("delete", true);
                self.phases.remove(&id);
                self.processes.remove(&id);
            }
            _ => {}
        }
    }

    /// What an app said with `process.send`. `{type, data}` is an event of that name.
    fn on_message(&self, event: &EventView, message: &Value) {
        let mut process = self.brief(event.instance);
        let named = message.get("type").and_then(Value::as_str).filter(|kind| !kind.is_empty());
        let data = message.get("data").filter(|data| is_true(data));
        match named.zip(data) {
            Some((kind, data)) => {
                let payload = json!({ "at": event.at, "data": data, "process": process });
                self.bus.say(kind, &payload);
            }
            None => {
                process.remove("rev");
                let payload = json!({ "at": event.at, "raw": message, "process": process });
                self.bus.say("process:msg", &payload);
            }
        }
    }

    /// Which process, in as many words as PM2 uses beside each line.
    fn brief(&self, id: u32) -> Map<String, Value> {
        let known = self.processes.get(&id);
        let field = |name: &str| known.and_then(|known| known.get(name)).cloned();
        let revision = known.and_then(|known| known.get("versioning")?.get("revision")).cloned();
        let fields = [
            ("pm_id", Some(json!(id))),
            ("name", field("name")),
            ("rev", revision),
            ("namespace", field("namespace")),
        ];
        fields
            .map(|(name, value)| (name.to_owned(), value.unwrap_or_default()))
            .into_iter()
            .collect()
    }

    /// Looks at an instance anew. One that is gone is remembered as it was.
    async fn learn(&mut self, id: u32) -> Ended {
        let is_new = !self.processes.contains_key(&id);
        if let Ok(detail) = self.rpm.detail(id).await {
            self.processes.insert(id, short(&detail));
        }
        if is_new {
            self.phases.insert(id, Phase::New);
            self.look_for_files().await?;
        }
        Ok(())
    }

    /// Follows what is not followed yet. A file of several instances is said to be the first's.
    async fn look_for_files(&mut self) -> Ended {
        let request = Request::Logs { targets: targets(Vec::new()) };
        let sources: Vec<LogSource> = self.rpm.ask(request).await?;
        let mut seen = BTreeSet::new();
        for LogSource { id, out, error, .. } in sources {
            for (path, event) in [(out, "log:out"), (error, "log:err")] {
                if let Some(path) = path.filter(|path| seen.insert(path.clone())) {
                    let file = LogFile { path, instance: id, event };
                    self.follow(file).map_err(|error| error.to_string())?;
                }
            }
        }
        Ok(())
    }

    fn follow(&mut self, file: LogFile) -> io::Result<()> {
        if let Some(known) = self.files.iter_mut().find(|known| known.path == file.path) {
            *known = file;
            return Ok(());
        }
        let from = if self.is_new(&file.path) { Start::Beginning } else { Start::End };
        self.follower.add(Source { path: file.path.clone(), from })?;
        self.files.push(file);
        Ok(())
    }

    /// Whether all of a file was written since the feed began, as far as the file system tells.
    fn is_new(&self, path: &Path) -> bool {
        let born = fs::metadata(path).and_then(|meta| meta.created());
        born.is_ok_and(|born| born >= self.began)
    }
}

/// What JavaScript takes for true.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}
