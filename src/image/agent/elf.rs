//! As much of the ELF format as it takes to know what an executable needs to run: its loader and its libraries.

use crate::error::{Error, Kind, Result};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// `amd64` or `arm64`.
    pub architecture: &'static str,
    /// PT_INTERP; None for a static executable.
    pub loader: Option<String>,
    /// DT_NEEDED, in order.
    pub libraries: Vec<String>,
    /// DT_RUNPATH or DT_RPATH, split at colons.
    pub search: Vec<String>,
}

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// Reads a 64-bit little-endian ELF file.
pub fn needs(bytes: &[u8]) -> Result<Needs> {
    parse(bytes).ok_or_else(|| Error::new(Kind::Preflight, "not a 64-bit little-endian ELF file of amd64 or arm64"))
}

struct Segment {
    kind: u32,
    offset: usize,
    address: u64,
    size: usize,
}

fn parse(bytes: &[u8]) -> Option<Needs> {
    if bytes.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let architecture = match u16_at(bytes, 18)? {
        62 => "amd64",
        183 => "arm64",
        _ => return None,
    };
    let table = usize::try_from(u64_at(bytes, 32)?).ok()?;
    let (size, count) = (usize::from(u16_at(bytes, 54)?), usize::from(u16_at(bytes, 56)?));
    let segments = (0..count)
        .map(|index| {
            let start = table.checked_add(index.checked_mul(size)?)?;
            Some(Segment {
                kind: u32_at(bytes, start)?,
                offset: usize::try_from(u64_at(bytes, start.checked_add(8)?)?).ok()?,
                address: u64_at(bytes, start.checked_add(16)?)?,
                size: usize::try_from(u64_at(bytes, start.checked_add(32)?)?).ok()?,
            })
        })
        .collect::<Option<Vec<_>>>()?;
    let of_kind = |kind| segments.iter().find(|segment| segment.kind == kind);

    let loader = match of_kind(PT_INTERP) {
        Some(segment) => Some(text_at(bytes, segment.offset)?),
        None => None,
    };
    let (mut libraries, mut search) = (Vec::new(), Vec::new());
    if let Some(dynamic) = of_kind(PT_DYNAMIC) {
        let entries: Vec<(u64, u64)> = (dynamic.offset..dynamic.offset.checked_add(dynamic.size)?)
            .step_by(16)
            .map_while(|at| Some((u64_at(bytes, at)?, u64_at(bytes, at + 8)?)))
            .take_while(|(tag, _)| *tag != DT_NULL)
            .collect();
        let strings = entries.iter().find(|(tag, _)| *tag == DT_STRTAB).map(|(_, address)| *address)?;
        // The table's address is that in memory: the segment that is loaded there says where it is in the file.
        let load = segments.iter().find(|segment| {
            let end = segment.address.saturating_add(segment.size as u64);
            segment.kind == PT_LOAD && (segment.address..end).contains(&strings)
        })?;
        let strings = load.offset.checked_add(usize::try_from(strings - load.address).ok()?)?;
        let text = |offset: u64| text_at(bytes, strings.checked_add(usize::try_from(offset).ok()?)?);
        for (tag, value) in entries {
            match tag {
                DT_NEEDED => libraries.push(text(value)?),
                DT_RPATH | DT_RUNPATH => search.extend(text(value)?.split(':').map(str::to_owned)),
                _ => {}
            }
        }
    }
    Some(Needs { architecture, loader, libraries, search })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

fn text_at(bytes: &[u8], at: usize) -> Option<String> {
    let rest = bytes.get(at..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    Some(std::str::from_utf8(&rest[..end]).ok()?.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn this_very_executable() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let needs = needs(&bytes).unwrap();
        assert!(needs.loader.unwrap().contains("ld-linux"));
        assert!(needs.libraries.iter().any(|library| library.starts_with("libc.so")), "{:?}", needs.libraries);
    }

    proptest! {
        /// Broken files are refused, never a panic.
        #[test]
        fn damage(at in 0usize..4096, byte: u8, length in 0usize..100_000) {
            let mut bytes = std::fs::read("/bin/sh").unwrap();
            bytes.truncate(length.max(64));
            if let Some(target) = bytes.get_mut(at) {
                *target = byte;
            }
            let _ = needs(&bytes);
        }
    }
}
