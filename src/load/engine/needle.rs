//! Looks for a text in a body that comes in portions.

#[derive(Debug, Clone)]
pub struct Needle {
    text: Vec<u8>,
    /// The end of what has come, shorter than the text.
    tail: Vec<u8>,
    found: bool,
}

impl Needle {
    pub fn new(text: &str) -> Needle {
        Needle { text: text.as_bytes().to_vec(), tail: Vec::new(), found: text.is_empty() }
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        if self.found {
            return;
        }
        let keep = self.text.len() - 1;
        // Across the border to what came before, then within.
        let seam = bytes.len().min(keep);
        self.tail.extend_from_slice(&bytes[..seam]);
        self.found = contains(&self.tail, &self.text) || contains(bytes, &self.text);
        if bytes.len() >= keep {
            self.tail.clear();
            self.tail.extend_from_slice(&bytes[bytes.len() - keep..]);
        } else if self.tail.len() > keep {
            self.tail.drain(..self.tail.len() - keep);
        }
    }

    /// Whether it was in the body that has ended; the next one begins.
    pub fn finish(&mut self) -> bool {
        self.tail.clear();
        std::mem::replace(&mut self.found, self.text.is_empty())
    }
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn found_in_any_portions(body in "[ab]{0,30}", text in "[ab]{0,5}", lengths in proptest::collection::vec(1..7_usize, 1..5)) {
            let mut needle = Needle::new(&text);
            for _ in 0..2 {
                let mut rest = body.as_bytes();
                for length in lengths.iter().cycle() {
                    if rest.is_empty() {
                        break;
                    }
                    let (portion, behind) = rest.split_at((*length).min(rest.len()));
                    needle.feed(portion);
                    rest = behind;
                }
                prop_assert_eq!(needle.finish(), body.contains(&text));
            }
        }
    }
}
