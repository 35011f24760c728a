//! fsutil's protocol: we send what is known of the entries that the engine asks about, and the content of those files
//! that it then wants, by their number.

use std::{
    collections::HashMap,
    io::{self, Read},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use bollard::{
    fsutil::types::{Packet, Stat, packet::PacketType},
    moby::filesync::packet::file_sync_server::FileSync,
};
use futures::{Stream, StreamExt, stream};
use tokio::sync::mpsc;
use tonic::{Request as Call, Response as Answer, Status, Streaming, metadata::MetadataMap};

use super::Reply;
use crate::image::{
    context::{Content, Context, Entry, File, select::select},
    dockerfile::Files,
};

const CHUNK: usize = 32 * 1024;
/// Packets on their way: what is not sent yet is not read either.
const IN_FLIGHT: usize = 64;

type Packets = Pin<Box<dyn Stream<Item = std::result::Result<Packet, Status>> + Send>>;
type Sender = mpsc::Sender<std::result::Result<Packet, Status>>;

/// What of the context was asked for so far.
pub type Taken = Arc<Mutex<Files>>;

pub struct FileServer {
    context: Arc<Context>,
    /// The Dockerfile alone.
    dockerfile: Arc<Context>,
    taken: Taken,
}

impl FileServer {
    pub fn new(context: Arc<Context>, dockerfile: &str, taken: Taken) -> FileServer {
        let content = Content::File(File::Memory(context.dockerfile.as_bytes().into()));
        let entries = vec![Entry { path: dockerfile.to_owned(), mode: 0o644, modified: 0, content }];
        let dockerfile = Arc::new(Context { entries, dockerfile: String::new() });
        FileServer { context, dockerfile, taken }
    }
}

#[tonic::async_trait]
impl FileSync for FileServer {
    type DiffCopyStream = Packets;
    type TarStreamStream = Packets;

    async fn diff_copy(&self, call: Call<Streaming<Packet>>) -> Reply<Packets> {
        let asked = Asked::read(call.metadata());
        if !asked.dockerfile && !asked.is_about_rules() {
            self.taken.lock().unwrap_or_else(PoisonError::into_inner).extend(asked.paths.as_deref());
        }
        let tree = if asked.dockerfile { &self.dockerfile } else { &self.context };
        let tree = Arc::clone(tree);
        let (sender, receiver) = mpsc::channel(IN_FLIGHT);
        let (wanted_sender, wanted) = mpsc::unbounded_channel();
        let mut incoming = call.into_inner();
        tokio::spawn(async move {
            while let Some(Ok(packet)) = incoming.next().await {
                if wanted_sender.send(packet).is_err() {
                    break;
                }
            }
        });
        tokio::spawn(async move {
            let chosen = asked.of(&tree.entries);
            if let Err(status) = send(&tree.entries, &chosen, &sender, wanted).await {
                let _ = sender.send(Err(status)).await;
            }
        });
        let packets = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
        Ok(Answer::new(Box::pin(packets)))
    }

    async fn tar_stream(&self, _: Call<Streaming<Packet>>) -> Reply<Packets> {
        Err(Status::unimplemented("tar_stream"))
    }
}

/// What the engine asks for. Its rules for leaving files out are not asked: they are those of `.dockerignore`, which
/// were applied already.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    dockerfile: bool,
    /// None: all.
    paths: Option<Vec<String>>,
}

impl Asked {
    fn read(metadata: &MetadataMap) -> Asked {
        // Names are sent as they are, or percent-encoded by newer engines that say so.
        let text =
            |key: &str| metadata.get(key).and_then(|value| String::from_utf8(value.as_encoded_bytes().into()).ok());
        let encoded = text("followpaths-encoded").is_some();
        let paths: Option<Vec<String>> = metadata
            .get_all("followpaths")
            .iter()
            .map(|value| {
                let bytes = match encoded {
                    true => percent_decoded(value.as_encoded_bytes()),
                    false => value.as_encoded_bytes().to_vec(),
                };
                String::from_utf8(bytes).ok()
            })
            .collect();
        Asked {
            dockerfile: text("dir-name").as_deref() == Some("dockerfile"),
            paths: paths.filter(|paths| !paths.is_empty()),
        }
    }

    /// The frontend looks for ignore rules before it asks for the rest.
    fn is_about_rules(&self) -> bool {
        self.paths.as_deref().is_some_and(|paths| paths.iter().all(|path| path.ends_with(".dockerignore")))
    }

    fn of(&self, entries: &[Entry]) -> Vec<usize> {
        match &self.paths {
            Some(paths) if !self.dockerfile => select(entries, paths),
            _ => (0..entries.len()).collect(),
        }
    }
}

fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = bytes;
    while let Some((byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| *byte == b'%') {
            Some(value) => {
                decoded.push(value);
                rest = &after[2..];
            }
            None => {
                decoded.push(*byte);
                rest = after;
            }
        }
    }
    decoded
}

async fn send(
    entries: &[Entry],
    chosen: &[usize],
    sender: &Sender,
    mut wanted: mpsc::UnboundedReceiver<Packet>,
) -> std::result::Result<(), Status> {
    let send = async |packet| sender.send(Ok(packet)).await.map_err(|_| over());
    for index in chosen {
        let stat = stat(&entries[*index]).map_err(|error| Status::internal(error.to_string()))?;
        send(Packet { r#type: PacketType::PacketStat as i32, stat: Some(stat), ..Default::default() }).await?;
    }
    send(Packet { r#type: PacketType::PacketStat as i32, ..Default::default() }).await?;
    while let Some(packet) = wanted.recv().await {
        match PacketType::try_from(packet.r#type) {
            Ok(PacketType::PacketReq) => {
                let id = packet.id;
                let entry = chosen.get(id as usize).and_then(|index| entries.get(*index));
                let Some(Entry { path, content: Content::File(file), .. }) = entry else {
                    return Err(Status::invalid_argument(format!("there is no file number {id}")));
                };
                send_content(id, path.clone(), file.clone(), sender.clone()).await?;
            }
            Ok(PacketType::PacketFin) => {
                return send(Packet { r#type: PacketType::PacketFin as i32, ..Default::default() }).await;
            }
            Ok(PacketType::PacketErr) => return Err(Status::aborted(String::from_utf8_lossy(&packet.data))),
            _ => {}
        }
    }
    Ok(())
}

fn over() -> Status {
    Status::cancelled("the build is over")
}

/// Piece by piece, however large the file is. An empty packet ends it.
async fn send_content(id: u32, path: String, file: File, sender: Sender) -> std::result::Result<(), Status> {
    let work = move || {
        let unreadable = |error: io::Error| Status::internal(format!("cannot read {path}: {error}"));
        let data = |data| Packet { r#type: PacketType::PacketData as i32, id, data, ..Default::default() };
        let mut content = file.open().map_err(unreadable)?;
        loop {
            let mut piece = Vec::with_capacity(CHUNK);
            (&mut content).take(CHUNK as u64).read_to_end(&mut piece).map_err(unreadable)?;
            let done = piece.is_empty();
            sender.blocking_send(Ok(data(piece))).map_err(|_| over())?;
            if done {
                return Ok(());
            }
        }
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| Status::internal(error.to_string()))?
}

/// Metadata as Go's os.FileMode has it, of owner root.
fn stat(entry: &Entry) -> io::Result<Stat> {
    const DIRECTORY: u32 = 1 << 31;
    const SYMLINK: u32 = 1 << 27;
    let special = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
    let special = special.iter().filter(|(unix, _)| entry.mode & unix != 0).fold(0, |bits, (_, go)| bits | go);
    let (kind, size, linkname) = match &entry.content {
        Content::Directory => (DIRECTORY, 0, String::new()),
        Content::Symlink(target) => (SYMLINK, 0, target.clone()),
        Content::File(file) => (0, file.size(), String::new()),
    };
    Ok(Stat {
        path: entry.path.clone(),
        mode: entry.mode & 0o777 | special | kind,
        size: i64::try_from(size).map_err(io::Error::other)?,
        mod_time: entry.modified,
        linkname,
        xattrs: HashMap::new(),
        ..Default::default()
    })
}

#[cfg(test)]
mod tests {
    use tonic::metadata::MetadataValue;

    use super::*;

    #[test]
    fn what_the_engine_asks_for_is_read_in_both_spellings() {
        let mut metadata = MetadataMap::new();
        assert_eq!(Asked::read(&metadata), Asked { dockerfile: false, paths: None });
        metadata.append("dir-name", MetadataValue::from_static("context"));
        metadata.append("followpaths", MetadataValue::from_static("a%20b"));
        metadata.append("followpaths", MetadataValue::try_from("é".as_bytes()).unwrap());
        let paths = |paths: &[&str]| Some(paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>());
        assert_eq!(Asked::read(&metadata).paths, paths(&["a%20b", "é"]));
        metadata.append("followpaths-encoded", MetadataValue::from_static("1"));
        assert_eq!(Asked::read(&metadata).paths, paths(&["a b", "é"]));
        metadata.append("followpaths", MetadataValue::from_static("%ff"));
        assert_eq!(Asked::read(&metadata).paths, None, "a name that cannot be read selects all");
    }

    #[test]
    fn times_and_all_bits_of_the_mode_are_sent() {
        let file = Content::File(File::Static(b"12"));
        let entry = |mode, content| Entry { path: "a".into(), mode, modified: 1_700_000_000_000_000_001, content };
        let sent = stat(&entry(0o4755, file)).unwrap();
        assert_eq!((sent.mode, sent.size, sent.mod_time), (1 << 23 | 0o755, 2, 1_700_000_000_000_000_001));
        assert_eq!(stat(&entry(0o1777, Content::Directory)).unwrap().mode, 1 << 31 | 1 << 20 | 0o777);
    }
}
