//! What is about to be made on AWS, written down before the call that makes it: whatever becomes of the call, or of this
//! process, the next run knows what to look for.

use std::{
    collections::BTreeSet,
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    error::{Context, Error, Kind, Result},
    state::Folder,
};

const FILE: &str = "ledger.jsonl";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    pub at: Timestamp,
    pub account: String,
    pub region: String,
    pub cluster: String,
    /// `subnet-public-1`
    pub part: String,
    /// In a tag of what the call makes.
    pub operation: String,
    #[serde(flatten)]
    pub event: Event,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase")]
pub enum Event {
    /// The call is about to be made.
    Intended,
    Made {
        id: String,
    },
    /// The call was refused: it made nothing.
    Refused {
        why: String,
    },
}

/// The file of one cluster: only added to, each line on the disk before anything else happens.
#[derive(Debug, Clone)]
pub struct Ledger {
    folder: Folder,
}

impl Ledger {
    pub fn of(folder: &Folder) -> Ledger {
        Ledger { folder: folder.clone() }
    }

    pub fn write(&self, entry: &Entry) -> Result<()> {
        let path = self.folder.file(FILE);
        let failed = || format!("cannot write {}, so nothing is made on AWS", path.display());
        self.folder.make()?;
        let mut line = serde_json::to_vec(entry).context(Kind::Unexpected, failed)?;
        line.push(b'\n');
        let is_new = !path.exists();
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path)?;
            if ends_torn(&mut file)? {
                file.write_all(b"\n")?;
            }
            file.write_all(&line)?;
            file.sync_all()?;
            if is_new {
                File::open(self.folder.path())?.sync_all()?;
                // The folder itself may be new as well.
                if let Some(above) = self.folder.path().parent() {
                    File::open(above)?.sync_all()?;
                }
            }
            Ok(())
        };
        write().context(Kind::Platform, failed)
    }

    /// All entries. A line that a crash cut off is none: its call was never made.
    pub fn read(&self) -> Result<Vec<Entry>> {
        read(&self.folder.file(FILE))
    }

    /// The newest call for this part of which nobody knows what became of it.
    pub fn pending(&self, part: &str) -> Result<Option<Entry>> {
        Ok(pending(&self.read()?).into_iter().rfind(|entry| entry.part == part))
    }

    /// When something was last made, or may have been: what a call makes does not show at once.
    pub fn last_made(&self, part: Option<&str>) -> Result<Option<Timestamp>> {
        let entries = self.read()?;
        let unknown = pending(&entries);
        let made = entries.into_iter().filter(|entry| matches!(entry.event, Event::Made { .. })).chain(unknown);
        Ok(made.filter(|entry| part.is_none_or(|part| entry.part == part)).map(|entry| entry.at).max())
    }
}

/// Fails where a cluster for the same purpose is on record beside this one, in another account, which these credentials
/// cannot see; or in another region, where this one has nothing to remove: what is not seen is not gone.
pub fn refuse_elsewhere(folder: &Folder, cluster: &str, account: &str, region: &str, is_here: bool) -> Result<()> {
    let purpose = |name: &str| name.rsplit_once('-').map(|(purpose, _)| purpose.to_owned());
    let beside = folder.path().parent().and_then(|clusters| std::fs::read_dir(clusters).ok());
    for entry in beside.into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == cluster || purpose(&name) != purpose(cluster) {
            continue;
        }
        let entries = read(&entry.path().join(FILE))?;
        if let Some(other) = entries.iter().find(|other| other.account != account) {
            return Err(Error::new(
                Kind::Preflight,
                format!(
                    "the cluster {name} is in the account {}, and these credentials are of {account}",
                    other.account
                ),
            )
            .cause(entry.path().join(FILE).display())
            .hint("use the credentials with which it was made: AWS_PROFILE, or `aws sso login`"));
        }
        if let Some(other) = entries.iter().find(|other| other.region != region && !is_here) {
            let elsewhere = &other.region;
            return Err(Error::new(
                Kind::Preflight,
                format!("the cluster {name} is in the region {elsewhere}, and {region} has nothing of it"),
            )
            .cause(entry.path().join(FILE).display())
            .hint(format!("name the region: --region {elsewhere}")));
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<Entry>> {
    let failed = || format!("cannot read {}", path.display());
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).context(Kind::Platform, failed),
    };
    let lines = BufReader::new(file).lines().collect::<std::io::Result<Vec<_>>>().context(Kind::Platform, failed)?;
    Ok(lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// Whether its last line was cut off.
fn ends_torn(file: &mut File) -> std::io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// In the order in which they were made. One that came to its end says nothing of another for the same part.
fn pending(entries: &[Entry]) -> Vec<Entry> {
    let known: BTreeSet<&str> = entries
        .iter()
        .filter(|entry| !matches!(entry.event, Event::Intended))
        .map(|entry| entry.operation.as_str())
        .collect();
    entries.iter().filter(|entry| !known.contains(entry.operation.as_str())).cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::state::State;

    fn entry(part: &str, event: Event) -> Entry {
        of("o", part, event)
    }

    fn of(operation: &str, part: &str, event: Event) -> Entry {
        Entry {
            at: Timestamp::UNIX_EPOCH,
            account: "1".to_owned(),
            region: "us-east-1".to_owned(),
            cluster: "c".to_owned(),
            part: part.to_owned(),
            operation: format!("{operation}-{part}"),
            event,
        }
    }

    #[test]
    fn what_was_intended_is_pending_until_it_is_known_what_became_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::of(&State::at(folder.path()).cluster("c"));
        assert_eq!(ledger.pending("vpc").unwrap(), None);
        ledger.write(&entry("vpc", Event::Intended)).unwrap();
        ledger.write(&entry("subnet", Event::Intended)).unwrap();
        assert_eq!(ledger.pending("vpc").unwrap().unwrap().operation, "o-vpc");
        ledger.write(&entry("vpc", Event::Made { id: "vpc-1".to_owned() })).unwrap();
        ledger.write(&entry("subnet", Event::Refused { why: "no".to_owned() })).unwrap();
        assert_eq!((ledger.pending("vpc").unwrap(), ledger.pending("subnet").unwrap()), (None, None));
        assert_eq!(ledger.read().unwrap().len(), 4);
        let mode = std::fs::metadata(ledger.folder.file(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_call_whose_answer_was_lost_stays_so_when_another_one_for_the_same_part_is_answered() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::of(&State::at(folder.path()).cluster("c"));
        assert_eq!(ledger.last_made(None).unwrap(), None);
        ledger.write(&of("lost", "vpc", Event::Intended)).unwrap();
        ledger.write(&of("second", "vpc", Event::Intended)).unwrap();
        ledger.write(&of("second", "vpc", Event::Made { id: "vpc-2".to_owned() })).unwrap();
        assert_eq!(ledger.pending("vpc").unwrap().unwrap().operation, "lost-vpc");
        assert_eq!(ledger.last_made(Some("vpc")).unwrap(), Some(Timestamp::UNIX_EPOCH));
        assert_eq!(ledger.last_made(Some("subnet")).unwrap(), None);
    }

    #[test]
    fn a_line_that_was_cut_off_is_no_entry_and_hides_none() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::of(&State::at(folder.path()).cluster("c"));
        ledger.write(&entry("vpc", Event::Intended)).unwrap();
        let path = ledger.folder.file(FILE);
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{}", &whole[..20])).unwrap();
        assert_eq!(ledger.read().unwrap().len(), 1);
        ledger.write(&entry("subnet", Event::Intended)).unwrap();
        let parts: Vec<String> = ledger.read().unwrap().into_iter().map(|entry| entry.part).collect();
        assert_eq!(parts, ["vpc", "subnet"]);
    }

    #[test]
    fn a_cluster_of_another_account_is_not_taken_for_gone() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::at(folder.path());
        let refuse =
            |name: &str, account: &str| refuse_elsewhere(&state.cluster(name), name, account, "us-east-1", true);
        refuse("stackctl-hello-222222", "2").unwrap();
        Ledger::of(&state.cluster("stackctl-hello-111111")).write(&entry("vpc", Event::Intended)).unwrap();
        assert_eq!(refuse("stackctl-hello-222222", "2").unwrap_err().kind, Kind::Preflight);
        refuse("stackctl-greeter-222222", "2").unwrap();
    }

    #[test]
    fn a_cluster_of_another_region_is_not_taken_for_gone_where_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::at(folder.path());
        Ledger::of(&state.cluster("stackctl-hello-111111")).write(&entry("vpc", Event::Intended)).unwrap();
        let name = "stackctl-hello-333333";
        let refuse = |region: &str, is_here: bool| refuse_elsewhere(&state.cluster(name), name, "1", region, is_here);
        let refused = refuse("eu-west-1", false).unwrap_err();
        assert!(refused.hints.concat().contains("--region us-east-1"), "{refused:?}");
        // Whoever has one in each region may remove either.
        refuse("eu-west-1", true).unwrap();
    }
}
