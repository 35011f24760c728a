//! The context as an archive, for builders that take nothing else.

use std::io::{self, Read, Write};

use super::{Content, Context};

impl Context {
    /// Writes an archive of owner root. Blocking.
    pub fn write_tar(&self, output: impl Write) -> io::Result<()> {
        let mut archive = tar::Builder::new(output);
        for entry in &self.entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(entry.mode);
            header.set_mtime(u64::try_from(entry.modified.div_euclid(1_000_000_000)).unwrap_or(0));
            header.set_uid(0);
            header.set_gid(0);
            header.set_size(0);
            match &entry.content {
                Content::Directory => {
                    header.set_entry_type(tar::EntryType::Directory);
                    archive.append_data(&mut header, format!("{}/", entry.path), io::empty())?;
                }
                Content::Symlink(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    archive.append_link(&mut header, &entry.path, target)?;
                }
                Content::File(file) => {
                    header.set_entry_type(tar::EntryType::Regular);
                    header.set_size(file.size());
                    let mut content = Exact { left: file.size(), of: file.open()?, path: &entry.path };
                    archive.append_data(&mut header, &entry.path, &mut content)?;
                }
            }
        }
        archive.into_inner()?.flush()
    }
}

/// As many bytes as the header says: a file that was cut meanwhile would shift all that follows.
struct Exact<'a> {
    left: u64,
    of: Box<dyn Read + 'a>,
    path: &'a str,
}

impl Read for Exact<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = (&mut self.of).take(self.left).read(buffer)?;
        if read == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::Error::other(format!("{} became shorter while it was sent", self.path)));
        }
        self.left -= read as u64;
        Ok(read)
    }
}
