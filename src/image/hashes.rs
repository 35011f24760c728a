//! Hashes of files, remembered: a file is read again only when its stamp says that it changed.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    context::{File, Stamp},
    dockerfile::Files,
};
use crate::state;

const MAGIC: &[u8; 16] = b"stackctl hashes1";
const NUMBER: usize = 8;
const HASH: usize = 32;
const RECORD: usize = 5 * NUMBER + HASH;
/// Two changes within one tick of the kernel's clock bear the same time, so what is younger than that is not remembered.
/// A file system that keeps whole seconds has longer ticks.
const TICK: i64 = 50_000_000;
const LONG_TICK: i64 = 2_500_000_000;
/// Contexts of which nothing changed for so long are read once more.
const KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

#[derive(Debug, Default)]
pub struct Hashes {
    /// None: nothing is kept.
    file: Option<PathBuf>,
    known: HashMap<Stamp, blake3::Hash>,
    used: HashMap<Stamp, blake3::Hash>,
    learned: bool,
}

impl Hashes {
    /// Those of the folder `root`, as far as they are of this part of it: two services with one context each keep their
    /// own. A file that is not what was once written is as good as none.
    pub fn load(root: &Path, part: &Files) -> Hashes {
        let Some(folder) = state::cache() else { return Hashes::default() };
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let mut name = blake3::Hasher::new();
        name.update(root.as_os_str().as_encoded_bytes()).update(format!("\0{part:?}").as_bytes());
        Hashes::at(folder.join("contexts").join(&name.finalize().to_hex()[..20]))
    }

    fn at(file: PathBuf) -> Hashes {
        let known = fs::read(&file).ok().and_then(|bytes| parse(&bytes)).unwrap_or_default();
        Hashes { file: Some(file), known, ..Hashes::default() }
    }

    pub fn of(&mut self, file: &File) -> io::Result<blake3::Hash> {
        let File::OnDisk { path, stamp } = file else { return file.hash() };
        if let Some(hash) = self.known.get(stamp) {
            self.used.insert(*stamp, *hash);
            return Ok(*hash);
        }
        let before = now();
        let hash = file.hash()?;
        let unchanged = fs::metadata(path).is_ok_and(|metadata| Stamp::of(&metadata) == *stamp);
        if unchanged && is_settled(stamp, before) {
            self.used.insert(*stamp, hash);
            self.learned = true;
        }
        Ok(hash)
    }

    /// Keeps the hashes that were asked for. Where that fails, files are read once more.
    pub fn save(self) {
        let Some(file) = self.file.filter(|_| self.learned) else { return };
        let Some(folder) = file.parent() else { return };
        forget_old(folder);
        let saved =
            state::make_private(folder).and_then(|()| state::write_atomically(&file, &write(&self.used), 0o600));
        if let Err(error) = saved {
            tracing::debug!(%error, file = %file.display(), "hashes of files are not kept");
        }
    }
}

fn now() -> i64 {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(passed.as_nanos()).unwrap_or(i64::MAX)
}

/// Whether a later change is sure to bear a later time.
fn is_settled(stamp: &Stamp, now: i64) -> bool {
    let tick = if stamp.changed % 1_000_000_000 == 0 { LONG_TICK } else { TICK };
    now.saturating_sub(stamp.changed) > tick
}

fn write(hashes: &HashMap<Stamp, blake3::Hash>) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for (stamp, hash) in hashes {
        for number in [stamp.device, stamp.inode, stamp.size] {
            bytes.extend(number.to_le_bytes());
        }
        for number in [stamp.modified, stamp.changed] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(hash.as_bytes());
    }
    bytes.extend(blake3::hash(&bytes).as_bytes());
    bytes
}

fn parse(bytes: &[u8]) -> Option<HashMap<Stamp, blake3::Hash>> {
    let (content, check) = bytes.split_last_chunk::<HASH>()?;
    let records = content.strip_prefix(MAGIC)?.chunks_exact(RECORD);
    if blake3::hash(content) != blake3::Hash::from_bytes(*check) || !records.remainder().is_empty() {
        return None;
    }
    let record = |record: &[u8]| {
        let (numbers, hash) = record.split_last_chunk::<HASH>()?;
        let (numbers, _) = numbers.as_chunks::<NUMBER>();
        let [device, inode, size, modified, changed] = numbers else { return None };
        let stamp = Stamp {
            device: u64::from_le_bytes(*device),
            inode: u64::from_le_bytes(*inode),
            size: u64::from_le_bytes(*size),
            modified: i64::from_le_bytes(*modified),
            changed: i64::from_le_bytes(*changed),
        };
        Some((stamp, blake3::Hash::from_bytes(*hash)))
    };
    records.map(record).collect()
}

fn forget_old(folder: &Path) {
    let files = fs::read_dir(folder).into_iter().flatten().filter_map(std::result::Result::ok);
    for file in files {
        let age = file.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age > KEPT) {
            let _ = fs::remove_file(file.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &Path) -> File {
        File::OnDisk { path: path.to_owned(), stamp: Stamp::of(&fs::metadata(path).unwrap()) }
    }

    /// As long as the kernel's clock takes to tell two changes apart.
    fn settle(path: &Path) {
        while !is_settled(&Stamp::of(&fs::metadata(path).unwrap()), now()) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_file_is_read_once_per_change() {
        let folder = tempfile::tempdir().unwrap();
        let (kept, path) = (folder.path().join("cache/kept"), folder.path().join("file"));
        fs::write(&path, "one").unwrap();
        settle(&path);
        let mut hashes = Hashes::at(kept.clone());
        let one = hashes.of(&file(&path)).unwrap();
        assert_eq!(one, blake3::hash(b"one"));
        hashes.save();

        let mut hashes = Hashes::at(kept.clone());
        let before = file(&path);
        assert_eq!(hashes.known.len(), 1);
        // With the stamp of before, it is not even looked at.
        fs::write(&path, "two").unwrap();
        assert_eq!(hashes.of(&before).unwrap(), one);
        assert!(!hashes.learned);
        // The same size and time of modification: the time of the change itself tells.
        let File::OnDisk { stamp, .. } = before else { panic!() };
        let time = UNIX_EPOCH + Duration::from_nanos(stamp.modified.try_into().unwrap());
        fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        let now = file(&path);
        assert!(matches!(&now, File::OnDisk { stamp: now, .. } if now.modified == stamp.modified));
        assert_eq!(hashes.of(&now).unwrap(), blake3::hash(b"two"));
    }

    #[test]
    fn what_may_change_within_the_same_tick_is_not_remembered() {
        let stamp = |changed| Stamp { device: 1, inode: 1, size: 1, modified: 0, changed };
        assert!(!is_settled(&stamp(1_000_000_001), 1_000_000_002));
        assert!(!is_settled(&stamp(1_000_000_001), 0), "a clock that was set back");
        assert!(is_settled(&stamp(1_000_000_001), 1_100_000_000));
        assert!(!is_settled(&stamp(1_000_000_000), 2_100_000_000), "whole seconds are a coarse clock");
    }

    #[test]
    fn a_damaged_file_is_as_good_as_none() {
        let stamp = Stamp { device: 1, inode: u64::MAX, size: 3, modified: -4, changed: 5 };
        let hashes = HashMap::from([(stamp, blake3::hash(b"x"))]);
        let bytes = write(&hashes);
        assert_eq!(parse(&bytes).as_ref(), Some(&hashes));
        for index in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[index] ^= 1;
            assert_eq!(parse(&damaged), None, "byte {index}");
            assert_eq!(parse(&bytes[..index]), None, "cut at {index}");
        }
    }
}
