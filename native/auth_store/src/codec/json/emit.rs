//! Writes JSON text piece by piece, spelled as by `JSON.stringify`.

use std::io::Write as _;

use crate::Value;

use super::super::fault::{Fault, Outcome};
use super::tree::MAX_JSON_DEPTH;
use super::{BytesForm, EncodeContext, bytes};

pub(super) struct Writer<'c> {
    pub(super) context: &'c EncodeContext<'c>,
    out: Vec<u8>,
    /// Checks only what the tables know. The output is no complete file.
    pub(super) known_only: bool,
    /// Writes bytes as base64 where they would be an object.
    pub(super) bytes_as_text: bool,
    /// Leaves out bytes that are nil instead of writing empty ones.
    pub(super) leaves_out_nil: bool,
    /// The number of open brackets.
    pub(super) depth: usize,
}

impl<'c> Writer<'c> {
    pub(super) fn new(context: &'c EncodeContext<'c>) -> Self {
        Writer {
            context,
            out: Vec::new(),
            known_only: false,
            bytes_as_text: false,
            leaves_out_nil: false,
            depth: 0,
        }
    }

    pub(super) fn for_check(context: &'c EncodeContext<'c>) -> Self {
        Writer {
            known_only: true,
            ..Writer::new(context)
        }
    }

    /// A writer for JSON inside bytes.
    pub(super) fn nested(&self) -> Self {
        Writer {
            known_only: self.known_only,
            ..Writer::new(self.context)
        }
    }

    /// Appends the output of another writer unchanged.
    pub(super) fn append(&mut self, other: Writer<'_>) {
        self.out.extend_from_slice(&other.out);
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// The current position, for [`back_to`](Self::back_to).
    pub(super) fn mark(&self) -> (usize, usize) {
        (self.out.len(), self.depth)
    }

    pub(super) fn since(&self, (length, _): (usize, usize)) -> &[u8] {
        &self.out[length..]
    }

    /// Discards what was written since the mark.
    pub(super) fn back_to(&mut self, (length, depth): (usize, usize)) {
        self.out.truncate(length);
        self.depth = depth;
    }

    pub(super) fn list(
        &mut self,
        items: &[Value],
        mut write: impl FnMut(&mut Self, &Value) -> Outcome<()>,
    ) -> Outcome<()> {
        self.open('[')?;
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.raw(",");
            }
            write(self, item).map_err(Fault::item)?;
        }
        self.close(']');
        Ok(())
    }

    pub(super) fn open(&mut self, bracket: char) -> Outcome<()> {
        if self.depth == MAX_JSON_DEPTH {
            return Err(Fault::new(format!(
                "is nested deeper than {MAX_JSON_DEPTH} levels"
            )));
        }
        self.depth += 1;
        self.out.push(bracket as u8);
        Ok(())
    }

    pub(super) fn close(&mut self, bracket: char) {
        self.depth -= 1;
        self.out.push(bracket as u8);
    }

    /// Writes the name of a member, after a comma unless it is the first.
    pub(super) fn name(&mut self, name: &str) {
        if self.out.last() != Some(&b'{') {
            self.out.push(b',');
        }
        self.text(name);
        self.out.push(b':');
    }

    pub(super) fn raw(&mut self, json: &str) {
        self.out.extend_from_slice(json.as_bytes());
    }

    pub(super) fn bool(&mut self, bool: bool) {
        self.raw(if bool { "true" } else { "false" });
    }

    pub(super) fn int(&mut self, int: i128) -> Outcome<()> {
        if int < i128::from(i64::MIN) || int > i128::from(u64::MAX) {
            return Err(out_of_range());
        }
        // Writing to memory cannot fail.
        let _ = write!(self.out, "{int}");
        Ok(())
    }

    pub(super) fn float(&mut self, float: f64) -> Outcome<()> {
        if !float.is_finite() {
            return Err(Fault::new("JSON cannot hold a float that is not finite"));
        }
        serde_json::to_writer(&mut self.out, &float)
            .map_err(|_| Fault::new("JSON cannot hold this float"))
    }

    pub(super) fn text(&mut self, text: &str) {
        // A string always serialises, and writing to memory cannot fail.
        let _ = serde_json::to_writer(&mut self.out, text);
    }

    pub(super) fn tagged(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.open('{')?;
        self.raw("\"type\":\"Buffer\",\"data\":");
        match self.context.bytes {
            BytesForm::Base64 => self.base64(bytes),
            BytesForm::List => self.numbers(bytes)?,
        }
        self.close('}');
        Ok(())
    }

    fn numbers(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.open('[')?;
        for (i, byte) in bytes.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            // Writing to memory cannot fail.
            let _ = write!(self.out, "{comma}{byte}");
        }
        self.close(']');
        Ok(())
    }

    pub(super) fn base64(&mut self, bytes: &[u8]) {
        self.raw("\"");
        bytes::to_base64(bytes, &mut self.out);
        self.raw("\"");
    }
}

pub(super) fn out_of_range() -> Fault {
    Fault::new("is an integer of more than 64 bits, or negative where none can be")
}
