//! A cache: pairs of desired and live that the server itself called equal. Losing the file costs one PATCH per object.

use std::{
    collections::HashMap,
    io::Write,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Context, Kind, Result};
use crate::{kube::noop, object::json};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Pair {
    desired: String,
    live: String,
}

/// By UID. Shared by the tasks of a run; `save` at its end.
#[derive(Debug)]
pub struct Known {
    path: PathBuf,
    pairs: Mutex<(HashMap<String, Pair>, bool)>,
}

fn pair(desired: &Value, live: &Value) -> Option<Pair> {
    let desired = serde_json::to_vec(&*noop::prepared(desired)).ok()?;
    Some(Pair { desired: blake3::hash(&desired).to_hex().to_string(), live: noop::fingerprint(live)? })
}

impl Known {
    /// An absent or unreadable file is an empty one.
    pub fn load(path: &Path) -> Known {
        let pairs = std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Known { path: path.to_owned(), pairs: Mutex::new((pairs, false)) }
    }

    /// Did an apply of just this to just that change nothing before?
    pub fn is_known(&self, desired: &Value, live: &Value) -> bool {
        let Some(now) = pair(desired, live) else { return false };
        let pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        pairs.0.get(json::uid(live)) == Some(&now)
    }

    /// `live` is what the server answered to an apply of `desired`. Kept only where `noop` alone cannot tell.
    pub fn remember(&self, desired: &Value, live: &Value) {
        let Some(now) = pair(desired, live) else { return };
        let uid = json::uid(live).to_owned();
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = match noop::unchanged(desired, live) {
            noop::Verdict::Same => pairs.0.remove(&uid).is_some(),
            _ => pairs.0.insert(uid, now.clone()) != Some(now),
        };
        pairs.1 |= changed;
    }

    /// Writes the file, readable by its owner only, if anything changed.
    pub fn save(&self) -> Result<()> {
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        if !pairs.1 {
            return Ok(());
        }
        let what = || format!("cannot write {}", self.path.display());
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).context(Kind::Unexpected, what)?;
        // Temporary files are made 0600.
        let mut file = tempfile::NamedTempFile::new_in(folder).context(Kind::Unexpected, what)?;
        let bytes = serde_json::to_vec(&pairs.0).context(Kind::Unexpected, what)?;
        file.write_all(&bytes).context(Kind::Unexpected, what)?;
        file.persist(&self.path).context(Kind::Unexpected, what)?;
        pairs.1 = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    fn live(value: &str, owned: Value) -> Value {
        json!({"apiVersion": "x.io/v1", "kind": "X", "metadata": {"name": "x", "uid": "u", "managedFields": [
            {"manager": "stackctl", "operation": "Apply", "apiVersion": "x.io/v1", "fieldsV1": owned}]},
            "spec": {"whole": {"a": value, "added": true}}, "status": {"moves": value}})
    }

    #[test]
    fn what_the_server_called_equal_is_known_until_either_side_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/known.json");
        let desired =
            json!({"apiVersion": "x.io/v1", "kind": "X", "metadata": {"name": "x"}, "spec": {"whole": {"a": "1"}}});
        let owned = json!({"f:spec": {"f:whole": {}}});
        let known = Known::load(&path);
        assert!(!known.is_known(&desired, &live("1", owned.clone())));
        known.remember(&desired, &live("1", owned.clone()));
        known.save().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let known = Known::load(&path);
        assert!(known.is_known(&desired, &live("1", owned.clone())));
        let mut moved = live("1", owned.clone());
        moved["status"]["moves"] = json!("elsewhere");
        moved["metadata"]["resourceVersion"] = json!("99");
        assert!(known.is_known(&desired, &moved), "status is not ours");
        assert!(!known.is_known(&desired, &live("2", owned.clone())));
        assert!(!known.is_known(&desired, &live("1", json!({"f:spec": {}}))));
        let mut other = desired.clone();
        other["spec"]["whole"]["a"] = json!("2");
        assert!(!known.is_known(&other, &live("1", owned)));
    }

    #[test]
    fn a_broken_file_is_an_empty_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{").unwrap();
        let known = Known::load(file.path());
        assert!(known.pairs.lock().unwrap().0.is_empty());
    }
}
